"""What a benefit test runs and in which order; nothing here trains or writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import check_parts_together, part_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.arms import Arm
from flawsmith.experiment.benefit.mix import Schedule
from flawsmith.experiment.benefit.settings import REAL, BenefitSettings

Kind = Literal["synthesizer", "synthesis", "selection", "screen", "model"]


@dataclass(frozen=True)
class Step:
    """One thing to do that is found again when it is done.

    Attributes:
        share: of the real parts of each class that anything in this step may see.
        draw: which parts these are.
        amount: of a screening run; None: the best one of those before it, or that of each class.
        schedule: of a screening run.
        only: the defect that a synthesizer is trained on and asked for; empty: all.
    """

    kind: Kind
    arm: str
    fold: int
    network: str = ""
    seed: int = 0
    share: float = 1.0
    draw: int = 0
    amount: float | None = None
    schedule: Schedule = "mixed"
    only: str = ""

    @property
    def title(self) -> str:
        """What it is, in a line."""
        part = "" if self.share == 1.0 else f", {self.share:g} of the parts (draw {self.draw})"
        only = f", {self.only} alone" if self.only else ""
        where = f"{self.arm}, fold {self.fold}{part}{only}"
        if self.kind == "screen" and self.arm == REAL:
            return f"{where}: try without synthetic images ({self.network})"
        if self.kind == "screen":
            amount = "best amount" if self.amount is None else f"amount {self.amount:g}"
            return f"{where}: try {amount}, {self.schedule} ({self.network})"
        if self.kind == "model":
            return f"{where}: train and test {self.network}, seed {self.seed}"
        if self.kind == "selection":
            return f"{where}: keep what {self.network} recognises"
        return f"{where}: " + ("train" if self.kind == "synthesizer" else "make the images")


def require_folds(dataset: DefectDataset, wanted: Sequence[int] | None) -> list[int]:
    """Return the folds to test on, those with the most defective parts first.

    Raises:
        FlawsmithError: if the data set has none, or a wanted one does not exist.
    """
    records = [r for r in dataset.usable() if r.source == "real"]
    if not records or any(record.fold is None for record in records):
        raise FlawsmithError(
            f"{dataset.root} has images without a fold, so nothing can be held out; freeze folds "
            f"first with: flawsmith data split {dataset.root}"
        )
    check_parts_together(records)
    _require_difference(dataset.root, records)
    known = sorted({record.fold for record in records if record.fold is not None})
    if len(known) < 2:
        raise FlawsmithError(
            f"{dataset.root} has one fold only; a test needs parts to train on and others to "
            f"test on: flawsmith data split {dataset.root}"
        )
    folds = known if wanted is None else list(dict.fromkeys(wanted))
    strangers = [fold for fold in folds if fold not in known]
    if strangers:
        raise FlawsmithError(f"there is no fold {strangers[0]} in {dataset.root} (it has {known})")
    strata = part_defects(records)
    fold_of = {record.part: record.fold for record in records}
    defective = {f: sum(bool(d) and fold_of[p] == f for p, d in strata.items()) for f in known}
    tested = [fold for fold in folds if defective[fold]]
    if not tested:
        raise FlawsmithError(
            f"no part of fold {', '.join(map(str, folds))} shows a defect; there is nothing to "
            "find: split again"
        )
    return sorted(tested, key=lambda fold: (-defective[fold], fold))


def _require_difference(root: Path, records: Sequence[ImageRecord]) -> None:
    """Refuse images that are all labelled alike as a whole: no model could tell them apart."""
    shown = {frozenset(record.labels) for record in records}
    if len(shown) == 1 and not any(record.mask_file_name for record in records):
        names = " and ".join(sorted(*shown)) or "no defect"
        raise FlawsmithError(
            f"every image of {root} shows {names} and nothing else, so there is nothing to tell "
            "apart; add good images, or images of other defects"
        )


def make_steps(settings: BenefitSettings, arms: Sequence[Arm], folds: Sequence[int]) -> list[Step]:
    """Return all steps, the most informative first.

    ``real`` and every arm of one fold come before the next fold, the folds of one seed and one
    network before the next; points of the learning curve come last.
    """
    steps: dict[Step, None] = {}
    for seed in range(settings.seeds):
        for network in settings.models:
            for fold in folds:
                steps |= dict.fromkeys(_pair_steps(settings, arms, fold, network, seed, folds))
    for share in sorted({share for share in settings.curve if share < 1.0}, reverse=True):
        for draw in range(settings.draws):
            for fold in folds:
                trained = [arm for arm in arms if arm.system]
                steps |= dict.fromkeys(_curve_steps(settings, trained, fold, share, draw))
    return list(steps)


def _pair_steps(
    settings: BenefitSettings,
    arms: Sequence[Arm],
    fold: int,
    network: str,
    seed: int,
    folds: Sequence[int],
) -> Iterator[Step]:
    yield Step("model", REAL, fold, network, seed)
    for arm in arms:
        own = [f for f in folds if arm.system or arm.folder(f) is not None]
        if fold not in own:
            continue
        yield from _image_steps(settings, arm, fold)
        if settings.chooses and fold == own[0]:
            yield from screen_steps(settings, arm.name, fold)
        yield Step("model", arm.name, fold, network, seed)


def _image_steps(
    settings: BenefitSettings, arm: Arm, fold: int, share: float = 1.0, draw: int = 0
) -> Iterator[Step]:
    """Yield what makes the images of an arm, and selects among them; nothing for a given set."""
    if arm.system:
        for only in arm.classes or ("",):
            for kind in ("synthesizer", "synthesis"):
                yield Step(kind, arm.source or arm.name, fold, share=share, draw=draw, only=only)
    if arm.source:
        yield Step("selection", arm.name, fold, settings.models[0], share=share, draw=draw)


def screen_steps(settings: BenefitSettings, arm: str, fold: int) -> Iterator[Step]:
    """Yield the short runs that choose: every amount, then the other schedules at the best one.

    Amounts of each class were not tried together, so with them every schedule is tried.
    """
    network, (schedule, *others) = settings.models[0], settings.schedules
    if settings.each_class:
        yield Step("screen", REAL, fold, network)
    if not settings.class_amounts:
        for amount in settings.amounts:
            yield Step("screen", arm, fold, network, amount=amount, schedule=schedule)
    if others and (settings.each_class or settings.class_amounts):
        others = [schedule, *others]
    for other in others:
        yield Step("screen", arm, fold, network, schedule=other)


def _curve_steps(
    settings: BenefitSettings, arms: Sequence[Arm], fold: int, share: float, draw: int
) -> Iterator[Step]:
    network = settings.models[0]
    yield Step("model", REAL, fold, network, share=share, draw=draw)
    for arm in arms:
        yield from _image_steps(settings, arm, fold, share, draw)
        yield Step("model", arm.name, fold, network, share=share, draw=draw)
