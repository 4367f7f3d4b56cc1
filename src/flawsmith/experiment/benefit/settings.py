"""What a user asks of a benefit test, and what is understood where they ask nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from flawsmith.config import StrictModel, apply_overrides
from flawsmith.data.schema import Schema
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.mix import Schedule
from flawsmith.experiment.train_model import USUAL_NETWORK

REAL = "real"
Level = Literal["pixel", "image"]
ALWAYS: dict[Level, tuple[str, ...]] = {"pixel": ("copy_paste",), "image": ()}
"""Arms beside ``real`` that are always there: the simplest synthesis is the one to beat.

Labels of whole images do not say what to cut out and paste, so there it is ``real`` alone.
"""

PRECISION = 'training.precision="fp32"'
GIVEN_BY_THE_TEST = {
    "training.seed": "--seeds N trains every model with N seeds",
    "data.path": "give the data set as the argument",
    "data.fold": "--fold N says what to test on",
    "data.synthetic": "--synthetic NAME=FOLDER adds a set as an arm",
    "data.synthetic_share": "--amount says how much",
    "data.synthetic_until": "--schedule says when",
    "data.part_share": "--curve says which shares of the parts to train on",
    "data.part_draw": "--draws says how many random draws of parts",
}
"""Settings that differ between the runs of a test, and the option that changes them."""

Share = Annotated[float, Field(gt=0, le=1)]


class BenefitSettings(StrictModel):
    """What the user asks for.

    Attributes:
        systems: synthesizers to train in every fold, each an arm: SYSTEM, or NAME=SYSTEM and
            settings of its own as key=value, between blanks. None: those of `ALWAYS`.
        given: synthetic sets that exist already: (arm, folder).
        select: arms that are tested once more with those of their images alone that a model of
            real images recognises, see `flawsmith.experiment.selection`.
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
    select: list[str] = []
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


def level_of(data: Path, overrides: Sequence[str]) -> Level:
    """Return how the labels of a data set are read: as they are, or as ``data.labels`` says."""
    has: Level = kind_of_labels(data)
    read = apply_overrides({"data": {"labels": has}}, list(overrides))["data"]["labels"]
    # A wrong value is told where the whole configuration is checked.
    return read if read in ALWAYS else has


def complete(settings: BenefitSettings, data: Path) -> BenefitSettings:
    """Return the settings with arms, network and arithmetic where nothing is said of them.

    Raises:
        FlawsmithError: for a setting that the test gives itself.
    """
    for option, overrides in (
        ("--set", settings.overrides), ("--synthesizer-set", settings.synthesizer_overrides)
    ):  # fmt: skip
        _require_free(option, overrides)
    if settings.draws > 1 and all(share == 1.0 for share in settings.curve):
        raise FlawsmithError(
            f"--draws {settings.draws}: draws of parts are for the learning curve; give shares "
            "below 1 too, such as --curve 0.25,0.5,1"
        )
    level = level_of(data, settings.overrides)
    systems = list(ALWAYS[level]) if settings.systems is None else settings.systems
    return settings.model_copy(
        update={
            "systems": systems,
            "models": settings.models or [USUAL_NETWORK[level]],
            "overrides": _with_precision(settings.overrides),
            "synthesizer_overrides": _with_precision(settings.synthesizer_overrides),
        }
    )


def _require_free(option: str, overrides: Sequence[str]) -> None:
    for text in overrides:
        key = text.partition("=")[0].strip()
        if key in GIVEN_BY_THE_TEST and not (option != "--set" and key == "training.seed"):
            raise FlawsmithError(
                f"{option} {text}: the test gives {key} itself, another one to each of its runs; "
                f"{GIVEN_BY_THE_TEST[key]}"
            )


def _with_precision(overrides: list[str]) -> list[str]:
    """Return overrides that say how to compute; ``auto`` might choose otherwise in each run.

    Runs with other arithmetic would be compared with each other, and found again in a ledger.
    """
    if any(text.partition("=")[0].strip() == "training.precision" for text in overrides):
        return overrides
    return [PRECISION, *overrides]


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
