"""What a benefit test runs and in which order; nothing here trains or writes."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from flawsmith.config import StrictModel, apply_overrides
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import check_parts_together, part_defects
from flawsmith.data.schema import Schema
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.mix import Schedule
from flawsmith.experiment.synthesis import SETTINGS_FILE, SynthesisSettings
from flawsmith.experiment.train_model import USUAL_NETWORK
from flawsmith.experiment.train_synthesizer import configure
from flawsmith.experiment.whole_image_synthesis import unlabelled
from flawsmith.systems import SYSTEMS

REAL = "real"
Level = Literal["pixel", "image"]
ALWAYS: dict[Level, tuple[str, ...]] = {"pixel": ("copy_paste",), "image": ()}
"""Arms beside ``real`` that are always there: the simplest synthesis is the one to beat.

Labels of whole images do not say what to cut out and paste, so there it is ``real`` alone.
"""

Share = Annotated[float, Field(gt=0, le=1)]


class BenefitSettings(StrictModel):
    """What the user asks for.

    Attributes:
        systems: synthesizers to train in every fold, each an arm: SYSTEM, or NAME=SYSTEM and
            settings of its own as key=value, between blanks. None: those of `ALWAYS`.
        given: synthetic sets that exist already: (arm, folder).
        models: inspection networks; the first decides, the others are reported beside it. None
            given: that of `USUAL_NETWORK`.
        preset: of everything that is trained.
        seeds: trainings of every inspection model with different seeds.
        draws: for shares of the data below 1: how many random draws of parts.
        amounts: candidates; with one amount and one schedule nothing is chosen.
        class_amounts: the amount of each class by its name, instead of a choice; classes that are
            not named get no synthetic images.
        each_class: choose the amount of every class by itself, from ``amounts`` and none.
        per_class: synthetic images of each class.
        folds: to test on; None: all.
        curve: shares of the real parts of each class, for the learning curve.
        screen_share: length of a run that chooses amount and schedule, of a full one.
        overrides: of the inspection models' configuration.
        synthesizer_overrides: of the synthesizers' configuration.
    """

    systems: list[str] | None = None
    given: list[tuple[str, str]] = []
    models: list[str] = []
    preset: str = "small"
    seeds: int = Field(default=1, ge=1)
    draws: int = Field(default=1, ge=1)
    amounts: list[Share] = Field(default=[0.1, 0.25, 0.5, 1.0], min_length=1)
    class_amounts: dict[str, Share] = {}
    each_class: bool = False
    schedules: list[Schedule] = Field(default=["mixed", "first"], min_length=1)
    per_class: int = Field(default=400, ge=1)
    folds: list[int] | None = None
    curve: list[Share] = []
    screen_share: float = Field(default=0.25, gt=0, le=1)
    overrides: list[str] = []
    synthesizer_overrides: list[str] = []

    @property
    def chooses(self) -> bool:
        """Whether amount and schedule have to be chosen."""
        amounts = 1 if self.class_amounts else len(self.amounts)
        return amounts * len(self.schedules) > 1 or self.each_class


def complete(settings: BenefitSettings, data: Path) -> BenefitSettings:
    """Return the settings with the arms and the network that the labels of the data ask for."""
    has: Level = kind_of_labels(data)
    read = apply_overrides({"data": {"labels": has}}, settings.overrides)["data"]["labels"]
    # A wrong value is told where the whole configuration is checked.
    usual = USUAL_NETWORK.get(read, USUAL_NETWORK[has])
    systems = list(ALWAYS[has]) if settings.systems is None else settings.systems
    return settings.model_copy(update={"systems": systems, "models": settings.models or [usual]})


def class_amounts(settings: BenefitSettings, schema: Schema) -> dict[str, float]:
    """Return the given amount of every class, 0 of those not named; empty if none is given.

    Raises:
        FlawsmithError: if there is no such class, or amounts are given in two ways.
    """
    if not settings.class_amounts:
        return {}
    if settings.each_class:
        raise FlawsmithError(
            "amounts of classes are given, and are to be chosen for each class; do one of both"
        )
    named = {schema.defect(name).name: value for name, value in settings.class_amounts.items()}
    if len(named) < len(settings.class_amounts):
        raise FlawsmithError(
            f"amounts of {', '.join(settings.class_amounts)} name a class twice; give it one"
        )
    return {name: named.get(name, 0.0) for name in schema.defect_names}


@dataclass(frozen=True)
class Arm:
    """One training mix beside ``real``.

    Attributes:
        system: that makes the images in every fold; empty for a given set.
        folders: of a given set: fold -> folder.
        overrides: of the system's configuration, for this arm alone.
        classes: defects of which the system, which takes no class, needs a training each.
    """

    name: str
    system: str = ""
    folders: tuple[tuple[int, str], ...] = ()
    overrides: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def folder(self, fold: int) -> str | None:
        """Return the given set of a fold."""
        return dict(self.folders).get(fold)


Kind = Literal["synthesizer", "synthesis", "screen", "model"]


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


def make_arms(settings: BenefitSettings, dataset: DefectDataset) -> list[Arm]:
    """Return the arms beside ``real``.

    Raises:
        FlawsmithError: for an unknown system, one of which no image could be labelled, or a given
            set that does not say what it left out.
    """
    arms: list[Arm] = []
    for text in dict.fromkeys(complete(settings, dataset.root).systems or []):
        arm = _trained_arm(text)
        if arm.name in {other.name for other in arms}:
            raise FlawsmithError(
                f"there are two arms called {arm.name}; name one: --arm 'NAME={arm.system}'"
            )
        arms.append(replace(arm, classes=_classes_alone(arm, settings, dataset)))
    folders: dict[str, dict[int, str]] = {}
    for name, folder in settings.given:
        made = _read_settings(Path(folder))
        if made.fold is None:
            raise FlawsmithError(
                f"{folder} was made without leaving out a fold, so its images may show what is "
                "tested; synthesize one for each fold"
            )
        if made.data != dataset.fingerprint():
            raise FlawsmithError(
                f"{folder} was made from other data or other folds than {dataset.root} has now "
                f"({made.data}, not {dataset.fingerprint()}); synthesize it again"
            )
        of_arm = folders.setdefault(name or f"given_{made.system}", {})
        if made.fold in of_arm:
            raise FlawsmithError(
                f"{of_arm[made.fold]} and {folder} are both for fold {made.fold}; name their arms: "
                "--synthetic NAME=FOLDER"
            )
        of_arm[made.fold] = folder
    for name, of_fold in folders.items():
        if name == REAL or any(arm.name == name for arm in arms):
            raise FlawsmithError(f"there are two arms called {name}; --synthetic NAME=FOLDER")
        arms.append(Arm(name, folders=tuple(sorted(of_fold.items()))))
    return arms


def _trained_arm(text: str) -> Arm:
    """Return the arm of SYSTEM or NAME=SYSTEM, with key=value after it."""
    try:
        head, *overrides = shlex.split(text) or [""]
    except ValueError as error:
        raise FlawsmithError(f"--arm {text}: {error}; close the quotes") from None
    name, named, system = head.partition("=")
    if not named:
        name = system = head
    SYSTEMS.get(system)
    if overrides and not named:
        raise FlawsmithError(
            f"--arm '{text}': an arm with settings of its own needs a name: --arm 'NAME={text}'"
        )
    wrong = [override for override in overrides if not re.match(r"[\w.]+=.", override)]
    if wrong or name == REAL or not re.fullmatch(r"[\w.-]+", name):
        raise FlawsmithError(
            f"--arm '{text}': expected 'NAME=SYSTEM key=value ...' with a name of letters, digits "
            f"and _ that is not {REAL}, such as 'uniform=bagan_gp loss.wrong_label=uniform'"
        )
    return Arm(name, system=system, overrides=tuple(overrides))


def _classes_alone(arm: Arm, settings: BenefitSettings, dataset: DefectDataset) -> tuple[str, ...]:
    """Return the defects of which an arm needs a training each, so that its images have a label.

    Raises:
        FlawsmithError: if its images cannot be labelled whatever it is trained on.
    """
    given = [*settings.synthesizer_overrides, *arm.overrides]
    config = configure(arm.system, settings.preset, dataset.root, fold=None, overrides=given)
    if config.data.labels == "pixel":
        return ()
    records = dataset.usable().records
    reason = unlabelled(config, dataset.schema, records)
    if reason is None:
        return ()
    if getattr(config, "only", "") is not None:
        raise FlawsmithError(f"--arm {arm.name}: {reason}")
    shown = {label for record in records for label in record.labels}
    return tuple(name for name in dataset.schema.defect_names if name in shown)


def _read_settings(folder: Path) -> SynthesisSettings:
    settings = SynthesisSettings.load(folder)
    if settings is None:
        raise FlawsmithError(
            f"{folder} has no {SETTINGS_FILE}, so nobody knows which fold it left out; expected "
            "a folder that flawsmith synthesize made"
        )
    return settings


def make_steps(settings: BenefitSettings, arms: Sequence[Arm], folds: Sequence[int]) -> list[Step]:
    """Return all steps, the most informative first.

    ``real`` and every arm of one fold come before the next fold, the folds of one seed and one
    network before the next; points of the learning curve come last.
    """
    steps: dict[Step, None] = {}
    for seed in range(settings.seeds):
        for network in settings.models:
            for fold in folds:
                steps |= dict.fromkeys(_pair_steps(settings, arms, fold, network, seed, folds[0]))
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
    first: int,
) -> Iterator[Step]:
    yield Step("model", REAL, fold, network, seed)
    for arm in arms:
        if not arm.system and arm.folder(fold) is None:
            continue
        yield from _synthesis_steps(arm, fold)
        if settings.chooses and fold == first:
            yield from screen_steps(settings, arm.name, fold)
        yield Step("model", arm.name, fold, network, seed)


def _synthesis_steps(arm: Arm, fold: int, share: float = 1.0, draw: int = 0) -> Iterator[Step]:
    """Yield what makes the images of an arm; nothing for a given set."""
    if not arm.system:
        return
    for only in arm.classes or ("",):
        for kind in ("synthesizer", "synthesis"):
            yield Step(kind, arm.name, fold, share=share, draw=draw, only=only)


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
        yield from _synthesis_steps(arm, fold, share, draw)
        yield Step("model", arm.name, fold, network, share=share, draw=draw)
