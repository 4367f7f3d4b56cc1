"""The one training loop: every system and every inspection model runs through `fit`.

Step n depends on the weights and on (seed, images seen) alone: tiles, noise and learning rate are
functions of the progress. A run that was killed therefore goes on from its last checkpoint and
ends bit-equal to one that was not, on a CPU with the same number of threads.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from flawsmith.errors import FlawsmithError
from flawsmith.nn.ema import Ema
from flawsmith.storage import write_text
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import RunConfig, TrainingConfig
from flawsmith.training.engine import Engine
from flawsmith.training.interruption import Interruption
from flawsmith.training.logs import ENVIRONMENT_FILE, MetricsLog, environment
from flawsmith.training.precision import (
    Precision,
    candidates,
    choose,
    keep_freed_memory,
    worthwhile,
)
from flawsmith.training.processes import start_processes

BEST = "best"


class Batch(Protocol):
    """What the loop needs to know of a batch."""

    def to(self, device: torch.device, memory_format: torch.memory_format) -> Any:  # noqa: ANN401
        """Return the batch on ``device``."""


class Trainable(Protocol):
    """What the loop needs to know of a system or of an inspection model in training."""

    engine: Engine

    def networks(self) -> dict[str, nn.Module]:
        """Return every network by name."""

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return every optimiser by name."""

    def averaged(self) -> list[str]:
        """Return the names of the networks that a moving average is kept of."""

    def step(self, batch: Any) -> dict[str, float]:  # noqa: ANN401 - each system its own batch
        """Make one training step and return its named scalars."""


class Advance(Protocol):
    """Moves a progress bar on."""

    def __call__(self, count: int = 1, *, note: str = "") -> None:
        """Add ``count`` finished images."""


@dataclass
class Hooks:
    """What happens beside the steps.

    Attributes:
        sample: draws a sample sheet for the progress it is given.
        validate: returns named figures; called with averaged weights in place.
        best: the figure whose highest value decides which weights are kept as best.
        progress: opens a bar for (title, total images).
        report: prints a line.
        go_on: the command that goes on with the run after a stop.
    """

    sample: Callable[[Any, int], None] | None = None
    validate: Callable[[Any], dict[str, float]] | None = None
    best: str | None = None
    progress: Callable[[str, int], AbstractContextManager[Advance]] | None = None
    report: Callable[[str], None] = field(default=lambda line: None)
    go_on: str = "the same command"

    def bar(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Return a progress bar, or a silent one."""
        return _NoBar() if self.progress is None else self.progress(title, total)


@dataclass
class Progress:
    """How far a run is; saved with every checkpoint."""

    images: int = 0
    seconds: float = 0.0
    best_value: float | None = None
    best_images: int | None = None


class Fit:
    """One run of the loop.

    Args:
        build: makes a fresh system with untrained networks; called again to time precisions.
        make_batch: (first image, count) -> batch of tiles with these numbers.
        config: the run's configuration.
        run: its folder; holds ``config.toml`` already.
        hooks: what happens beside the steps.
    """

    def __init__(
        self,
        build: Callable[[], Trainable],
        make_batch: Callable[[int, int], Batch],
        config: RunConfig,
        run: Path,
        hooks: Hooks | None = None,
    ) -> None:
        keep_freed_memory()
        self.run, self.config, self.settings = run, config, config.training
        self.hooks = hooks or Hooks()
        self.make_batch = make_batch
        self.processes = start_processes()
        self.local_size = self.processes.share(self.settings.batch_size)
        self.progress = Progress()
        saved = ckpt.checkpoints(run)
        self.precision = self._choose_precision(build, saved[-1] if saved else None)
        torch.manual_seed(self.settings.seed)
        self.system = build()
        self._prepare(self.system, self.precision)
        half_life = self.settings.ema_halflife_images
        networks = self.system.networks()
        self.averages = (
            {}
            if half_life is None
            else {name: Ema(networks[name], half_life) for name in self.system.averaged()}
        )
        self.base_rates = {
            name: [group["lr"] for group in optimizer.param_groups]
            for name, optimizer in self.system.optimizers().items()
        }
        if saved:
            self._restore(saved[-1])

    def __call__(self) -> Progress:
        """Train up to the configured number of images and return the progress."""
        settings, progress = self.settings, self.progress
        if self.processes.first:
            write_text(self.run / ENVIRONMENT_FILE, json.dumps(self._environment(), indent=1))
        with (
            (
                MetricsLog(self.run, images=progress.images) if self.processes.first else _Silent()
            ) as log,
            Interruption() as interruption,
            self._bar() as advance,
        ):
            advance(progress.images)
            while progress.images < settings.total_images:
                start = time.perf_counter()
                scalars = self._step()
                progress.images += settings.batch_size
                progress.seconds += time.perf_counter() - start
                advance(settings.batch_size, note=self._note(start))
                self._after_step(log, scalars)
                if interruption.requested:
                    self._save()
                    raise interruption.error(progress.images, self.hooks.go_on)
        return progress

    def _step(self) -> dict[str, float]:
        images, rank = self.progress.images, self.processes.rank
        sequence = np.random.SeedSequence((self.settings.seed, images, rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))
        self._set_learning_rates(images)
        batch = self.make_batch(images + rank * self.local_size, self.local_size)
        device = self.processes.device
        scalars = self.system.step(batch.to(device, self.precision.memory_format))
        wrong = [name for name, value in scalars.items() if not math.isfinite(value)]
        if wrong:
            raise FlawsmithError(
                f"{wrong[0]} is no longer a number after {images:,} images; lower the learning "
                f"rate (--set optimizer.learning_rate=...). The last good weights are in {self.run}"
            )
        for average in self.averages.values():
            average.update(self.settings.batch_size, seen=images)
        return scalars

    def _after_step(self, log: "MetricsLog | _Silent", scalars: dict[str, float]) -> None:
        settings, progress = self.settings, self.progress
        finished = progress.images >= settings.total_images
        log_every = max(settings.total_images // 400, 1)
        if self._due(settings.validate_every_images) or finished:
            scalars = scalars | self._validate()
        if self._due(log_every) or finished or any(n.startswith("val/") for n in scalars):
            log.write(progress.images, {"seconds": round(progress.seconds, 3), **scalars})
        if self._due(settings.sample_every_images) or finished:
            self._sample()
        if self._due(settings.checkpoint_every_images) or finished:
            self._save()

    def _due(self, every: int) -> bool:
        images = self.progress.images
        return images // every > (images - self.settings.batch_size) // every

    def _validate(self) -> dict[str, float]:
        if self.hooks.validate is None or not self.processes.first:
            return {}
        with self.averaged_weights():
            figures = self.hooks.validate(self.system)
        value = figures.get(self.hooks.best or "")
        progress = self.progress
        if value is not None and (progress.best_value is None or value > progress.best_value):
            progress.best_value, progress.best_images = value, progress.images
            with self.averaged_weights():
                tensors = ckpt.network_tensors(self.system.networks())
            ckpt.save_tensors(self.run / f"{BEST}.safetensors", tensors)
        return figures

    def _sample(self) -> None:
        if self.hooks.sample is not None and self.processes.first:
            with self.averaged_weights():
                self.hooks.sample(self.system, self.progress.images)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Return a context in which the networks hold their moving averages."""
        return _Swapped(list(self.averages.values()))

    def _save(self) -> None:
        if not self.processes.first:
            return
        system = self.system
        files = {"networks": ckpt.network_tensors(system.networks())}
        if self.averages:
            files["ema"] = ckpt.network_tensors({n: a.average for n, a in self.averages.items()})
        plain = {}
        for name, optimizer in system.optimizers().items():
            files[f"optimizer_{name}"], plain[name] = ckpt.optimizer_state(optimizer)
        state = {
            "progress": vars(self.progress),
            "precision": {"dtype": self.precision.dtype,
                          "channels_last": self.precision.channels_last},
            "optimizers": plain,
        }  # fmt: skip
        ckpt.write_checkpoint(self.run, self.progress.images, files, state)

    def _restore(self, folder: Path) -> None:
        state = ckpt.read_state(folder)
        networks = self.system.networks()
        ckpt.load_network_tensors(networks, ckpt.load_tensors(folder / "networks.safetensors"))
        if self.averages:
            tensors = ckpt.load_tensors(folder / "ema.safetensors")
            ckpt.load_network_tensors({n: a.average for n, a in self.averages.items()}, tensors)
        for name, optimizer in self.system.optimizers().items():
            tensors = ckpt.load_tensors(folder / f"optimizer_{name}.safetensors")
            ckpt.load_optimizer_state(optimizer, tensors, state["optimizers"][name])
        self._prepare(self.system, self.precision)
        self.progress = Progress(**state["progress"])
        self.hooks.report(f"goes on after {self.progress.images:,} images")

    def _choose_precision(self, build: Callable[[], Trainable], saved: Path | None) -> Precision:
        if saved is not None:  # bit-equal only in the precision that the run began with
            return Precision(**ckpt.read_state(saved)["precision"])
        options = candidates(self.settings)
        # Timed steps reduce gradients: every process has to time the same ones.
        kept = len(worthwhile(options, self.processes.device))
        tried = options[: self.processes.agree(kept)]
        precision, seconds = choose(tried, lambda option: self._timed_step(build, option))
        choice = options.index(precision)
        precision = options[self.processes.agree(choice)]
        timed = ", ".join(f"{name}: {value:.3f} s" for name, value in seconds.items())
        left_out = "; bf16 is slower here" if len(tried) < len(options) else ""
        timed = f" (a step of {timed}{left_out})" if timed else ""
        self.hooks.report(f"computes in {precision}{timed}")
        return precision

    def _timed_step(
        self, build: Callable[[], Trainable], precision: Precision
    ) -> Callable[[], object]:
        system = build()
        self._prepare(system, precision)
        batch = self.make_batch(0, self.local_size)
        batch = batch.to(self.processes.device, precision.memory_format)
        return lambda: system.step(batch)

    def _prepare(self, system: Trainable, precision: Precision) -> None:
        """Put networks on the device in the chosen layout and give the system its engine."""
        for network in system.networks().values():
            network.to(self.processes.device, memory_format=precision.memory_format)  # type: ignore[call-overload]
        system.engine = Engine(
            precision=precision,
            accumulate=self.settings.accumulate,
            device=self.processes.device,
            all_reduce_mean=self.processes.all_reduce_mean,
        )

    def _set_learning_rates(self, images: int) -> None:
        factor = learning_rate_factor(self.settings, images)
        for name, optimizer in self.system.optimizers().items():
            for group, rate in zip(optimizer.param_groups, self.base_rates[name], strict=True):
                group["lr"] = rate * factor

    def _bar(self) -> AbstractContextManager[Advance]:
        return self.hooks.bar("train", self.settings.total_images)

    def _note(self, start: float) -> str:
        rate = self.settings.batch_size / (time.perf_counter() - start)
        return f"{rate:.1f} images/s"

    def _environment(self) -> dict[str, Any]:
        processes = {"processes": self.processes.count, "precision": str(self.precision)}
        return environment() | processes


def learning_rate_factor(settings: TrainingConfig, images: int) -> float:
    """Return the share of the learning rate that applies after ``images`` images."""
    if images < settings.warmup_images:
        return (images + settings.batch_size) / (settings.warmup_images + settings.batch_size)
    rest = 1.0 - images / settings.total_images
    if settings.schedule == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * rest))
    return rest**0.9 if settings.schedule == "poly" else 1.0


class _Swapped:
    """Swaps the tensors of networks with those of their averages, and back."""

    def __init__(self, averages: list[Ema]) -> None:
        self._averages = averages

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for ema in self._averages:
            state = ema.average.state_dict()
            for name, value in ema.live.state_dict().items():
                kept = value.clone()
                value.copy_(state[name])
                state[name].copy_(kept)


class _Silent:
    """A log that keeps nothing, for all processes but the first."""

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, images: int, values: dict[str, float]) -> None:
        """Drop a line."""


class _NoBar:
    """No progress bar."""

    def __enter__(self) -> Advance:
        return lambda count=1, *, note="": None

    def __exit__(self, *_: object) -> None:
        pass
