"""Amount and schedule: how synthetic images enter the training of an arm, and which is best."""

import json
from collections.abc import Sequence
from typing import Literal

from flawsmith.config import StrictModel
from flawsmith.data.tiles import SyntheticShare

Schedule = Literal["mixed", "first"]
UNTIL: dict[Schedule, float] = {"mixed": 1.0, "first": 0.7}
"""Share of the run that draws synthetic crops; ``first`` ends with real crops alone."""


class Mix(StrictModel):
    """How synthetic images enter the training of an arm.

    Attributes:
        amount: share of the crops of each class that is synthetic, while any are drawn; of those
            classes alone that are named, if it names them.
        schedule: mixed over the whole run, or synthetic ones first and real ones alone last.
    """

    amount: SyntheticShare
    schedule: Schedule

    def overrides(self) -> list[str]:
        """Return the settings of an inspection model's run."""
        return [
            f"data.synthetic_share={_toml(self.amount)}",
            f"data.synthetic_until={UNTIL[self.schedule]}",
        ]

    def classes(self) -> list[str] | None:
        """Return the classes that get synthetic images; None if all do."""
        if not isinstance(self.amount, dict):
            return None
        return [name for name, share in self.amount.items() if share > 0]

    @property
    def is_empty(self) -> bool:
        """Whether no class gets any: such a training is that of ``real``."""
        return self.classes() == []

    def words(self, drawn: str = "crops") -> str:
        """Return the amount in words, as "25 % of each class's crops".

        Args:
            drawn: what is drawn in training, crops or images.
        """
        if not isinstance(self.amount, dict):
            return f"{100 * self.amount:.0f} % of each class's {drawn}"
        shares = [f"{100 * v:.0f} % of {name}" for name, v in self.amount.items() if v > 0]
        if not shares:
            return f"no {drawn} of any class"
        listed = " and ".join([", ".join(shares[:-1]), shares[-1]]) if shares[1:] else shares[0]
        rest = " (of other classes none)" if len(shares) < len(self.amount) else ""
        return f"of the {drawn} {listed}{rest}"


def _toml(amount: SyntheticShare) -> str:
    if not isinstance(amount, dict):
        return str(amount)
    pairs = (f"{json.dumps(name, ensure_ascii=False)} = {v}" for name, v in amount.items())
    return f"{{{', '.join(pairs)}}}"


FALLBACK_MIX = Mix(amount=0.25, schedule="mixed")
"""Where no validation part could choose one."""


class Tried(StrictModel):
    """A short run that chooses amount and schedule, with its figures on validation parts.

    Attributes:
        mix: None for ``real``, which has no synthetic images.
        value: the macro figure; None if no validation part gives one.
        classes: the figure of each class that has one.
    """

    mix: Mix | None
    value: float | None
    classes: dict[str, float] = {}


def best_mix(tried: Sequence[Tried], schedules: Sequence[Schedule]) -> Mix | None:
    """Return what has the highest macro figure; of equals the smaller amount. None: no figure."""
    known = [(one.value, one.mix) for one in tried if one.value is not None and one.mix is not None]
    if not known:
        return None
    best = min(known, key=lambda k: (-k[0], _most(k[1].amount), schedules.index(k[1].schedule)))
    return best[1]


def _most(amount: SyntheticShare) -> float:
    return max(amount.values(), default=0.0) if isinstance(amount, dict) else amount


def best_of_each(tried: Sequence[Tried], names: Sequence[str]) -> dict[str, float]:
    """Return the amount of each class that is best for the class itself; of equals the smaller.

    Args:
        tried: of it count runs with one amount for all classes, and ``real``, whose amount is 0.
        names: the classes; one without a figure, or with the same in all runs, of which nothing can
            be learned, gets the amount of `FALLBACK_MIX`.
    """
    amounts = [(0.0 if one.mix is None else one.mix.amount, one.classes) for one in tried]
    chosen = {}
    for name in names:
        known = {
            (-classes[name], amount)
            for amount, classes in amounts
            if name in classes and not isinstance(amount, dict)
        }
        told = len({figure for figure, _ in known}) > 1
        chosen[name] = min(known)[1] if told else _most(FALLBACK_MIX.amount)
    return chosen
