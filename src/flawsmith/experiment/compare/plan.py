"""What a comparison of systems runs and in which order; nothing here trains or writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from flawsmith.config import StrictModel
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.plan import Step as TestStep
from flawsmith.experiment.benefit.settings import REAL, BenefitSettings
from flawsmith.systems import SYSTEMS
from flawsmith.systems.untrained import UntrainedSystem

ALL = "all"
MACHINE_VISION = "machine_vision"
TOTAL = "training.total_images"
MINUTES = 25.0


class CompareSettings(StrictModel):
    """What the user asks for.

    Attributes:
        systems: to compare; each is trained with the same budget.
        minutes: training time of every system on this machine; None where images are given.
        images: that every system sees in training; None where minutes are given.
        fold: to test on.
        seeds: trainings of the inspection model with each system's images.
        model: inspection network.
        per_class: images of each class, real and synthetic, in the balanced set.
        preset: of everything that is trained.
        overrides: of the inspection models' configuration.
        system_overrides: (system, key=value) of single systems.
    """

    systems: list[str] = Field(min_length=1)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    images: int | None = Field(default=None, ge=1)
    fold: int = Field(default=0, ge=0)
    seeds: int = Field(default=3, ge=1)
    model: str = "efficientnet_lite0"
    per_class: int = Field(default=400, ge=1)
    preset: str = "small"
    overrides: list[str] = []
    system_overrides: list[tuple[str, str]] = []

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.minutes is not None and self.images is not None:
            raise ValueError("a budget is minutes or images; give one of --minutes and --images")
        return self

    @property
    def budget(self) -> str:
        """The budget in words."""
        if self.images is not None:
            return f"{self.images:,} images seen"
        return f"{self.minutes or MINUTES:g} minutes of training"

    def for_test(self) -> BenefitSettings:
        """Return what the benefit test knows of it: every system is an arm of one fold."""
        return BenefitSettings(
            systems=self.systems,
            models=[self.model],
            preset=self.preset,
            seeds=self.seeds,
            amounts=[0.25],
            schedules=["mixed"],
            per_class=self.per_class,
            folds=[self.fold],
            overrides=self.overrides,
        )


Kind = Literal["budget", "synthesizer", "synthesis", "score", "model", "machine_vision"]


@dataclass(frozen=True)
class Step:
    """One thing to do that is found again when it is done.

    Attributes:
        arm: a system, ``real`` or ``machine_vision``.
        seed: of an inspection model.
    """

    kind: Kind
    arm: str
    seed: int = 0

    def title(self, model: str) -> str:
        """What it is, in a line."""
        words = {
            "budget": "time some steps, to fix the images of its budget",
            "synthesizer": "train",
            "synthesis": "make the balanced set",
            "score": "compare its images with held-out real ones",
            "model": f"train and test {model}, seed {self.seed}",
            "machine_vision": "fit and test fixed rules",
        }
        return f"{self.arm}: {words[self.kind]}"

    def as_test(self, settings: CompareSettings) -> TestStep:
        """Return the step of a benefit test that has the same configuration and key."""
        if self.kind == "model":
            return TestStep("model", self.arm, settings.fold, settings.model, self.seed)
        return TestStep("synthesizer", self.arm, settings.fold)


def is_trained(system: str) -> bool:
    """Whether a system learns anything; others take no budget.

    Raises:
        FlawsmithError: if there is no such system.
    """
    return not issubclass(SYSTEMS.get(system), UntrainedSystem)


def chosen_systems(names: Sequence[str]) -> list[str]:
    """Return the systems that the user names; ``all`` stands for every one.

    Raises:
        FlawsmithError: for an unknown name.
    """
    wanted = [n for name in names for n in (SYSTEMS.names() if name == ALL else [name])]
    for name in wanted:
        SYSTEMS.get(name)
    return list(dict.fromkeys(wanted))


def split_override(text: str, systems: Sequence[str]) -> tuple[str, str]:
    """Return (system, key=value) of ``NAME.key=value``.

    Raises:
        FlawsmithError: if it is no such text, names a system that is not compared, or would give a
            system another budget than the others.
    """
    name, dot, setting = text.partition(".")
    key, equals, _ = setting.partition("=")
    if not (dot and equals and key) or name not in systems:
        raise FlawsmithError(
            f"--system-set {text}: expected NAME.key=value with one of {', '.join(systems)}, such "
            f"as {systems[0]}.training.batch_size=8"
        )
    if key == TOTAL:
        raise FlawsmithError(
            f"--system-set {text}: every system has the same budget; give --minutes or --images"
        )
    return name, setting


def make_steps(settings: CompareSettings) -> list[Step]:
    """Return all steps: one training of everything first, then further seeds."""
    steps = [Step("model", REAL), Step("machine_vision", MACHINE_VISION)]
    for system in settings.systems:
        steps += _system_steps(settings, system)
    for seed in range(1, settings.seeds):
        steps += [Step("model", arm, seed) for arm in (REAL, *settings.systems)]
    return steps


def _system_steps(settings: CompareSettings, system: str) -> Iterator[Step]:
    if is_trained(system) and settings.images is None:
        yield Step("budget", system)
    yield Step("synthesizer", system)
    yield Step("synthesis", system)
    yield Step("score", system)
    yield Step("model", system)
