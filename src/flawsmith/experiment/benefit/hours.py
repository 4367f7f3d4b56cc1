"""How long a step will take: as long as one like it took, or as steps of two small batches say."""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flawsmith.data.schema import Schema
from flawsmith.experiment.estimate import estimate
from flawsmith.experiment.fitting import training_of
from flawsmith.experiment.inspection_model import ModelConfig
from flawsmith.experiment.train_synthesizer import build_system
from flawsmith.systems import SYSTEMS
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.config import RunConfig

Workload = tuple[str, str, int]
"""Kind, system or network, images: steps with the same one take about the same time."""
IMAGES_PER_SECOND = 20.0
"""Of synthesis, until one has been timed."""
OTHER_SHARE = 1.25
"""Thresholds and test beside the training, until one has been timed."""


SomeStep = TypeVar("SomeStep")


@dataclass(frozen=True)
class PlannedStep(Generic[SomeStep]):
    """A step of a plan.

    Attributes:
        seconds: that it will take; 0 if it is done, or not needed.
        measured: whether one like it was timed.
        needed: false for one that nothing asks for, or that another step does too.
    """

    step: SomeStep
    done: bool
    seconds: float
    measured: bool
    needed: bool = True


@dataclass
class Hours:
    """Seconds of finished work by workload, and guesses for the rest.

    Attributes:
        timed: seconds of finished steps.
    """

    schema: Schema
    timed: dict[Workload, list[float]] = field(default_factory=dict)
    _guessed: dict[Workload, float] = field(default_factory=dict)

    def add(self, workload: Workload, seconds: float) -> None:
        """Note what a finished step took."""
        self.timed.setdefault(workload, []).append(seconds)

    def measured(self, workload: Workload) -> bool:
        """Whether a step like this one was timed."""
        return workload in self.timed

    def synthesizer(self, config: RunConfig, done: float = 0.0) -> float:
        """Return the seconds that a synthesizer's training still takes, ``done`` a share of it."""
        return self._whole_synthesizer(config) * (1.0 - done)

    def _whole_synthesizer(self, config: RunConfig) -> float:
        workload = synthesizer_workload(config)
        if issubclass(SYSTEMS.get(config.system), UntrainedSystem):
            return self.seconds_of(workload, lambda: 1.0)
        return self.seconds_of(
            workload,
            lambda: (
                estimate(lambda: build_system(config, self.schema), config, self.schema).seconds
            ),
        )

    def synthesis(self, system: str, images: int) -> float:
        """Return the seconds of making a synthetic set."""
        return self.seconds_of(("synthesis", system, images), lambda: images / IMAGES_PER_SECOND)

    def model(self, config: ModelConfig, done: float = 0.0) -> float:
        """Return the seconds that training and test of an inspection model still take.

        Args:
            config: of its run.
            done: share of the training that a kill left done.
        """

        def guess() -> float:
            costs = estimate(lambda: training_of(config, self.schema), config, self.schema)
            return costs.seconds * OTHER_SHARE

        return self.seconds_of(model_workload(config), guess) * (1.0 - done / OTHER_SHARE)

    def seconds_of(self, workload: Workload, guess: Callable[[], float]) -> float:
        """Return the median of what steps like this one took, or a guess, made once."""
        if workload in self.timed:
            return statistics.median(self.timed[workload])
        if workload not in self._guessed:
            self._guessed[workload] = guess()
        return self._guessed[workload]


def model_workload(config: RunConfig) -> Workload:
    """Return the workload of an inspection model's run."""
    return "model", _cost_of(config), config.training.total_images


def synthesizer_workload(config: RunConfig) -> Workload:
    """Return the workload of a synthesizer's training."""
    return "synthesizer", _cost_of(config), config.training.total_images


def _cost_of(config: RunConfig) -> str:
    """Return what an image of a run costs: system, networks, size of tiles and batches."""
    values = config.model_dump(mode="json")
    training = values["training"]
    size = [training[name] for name in ("tile_size", "batch_size", "precision")]
    return json.dumps([config.system, values.get("network"), values.get("loss"), size])
