"""What a run will cost before it runs: parameters, operations, memory, time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flawsmith.data.schema import Schema
from flawsmith.nn.cost import parameter_count
from flawsmith.systems.base import Batch, System
from flawsmith.training.config import RunConfig
from flawsmith.training.loop import Trainable

PROBE_SIZE, PROBE_BATCH = 64, 2
LARGER = 4
"""Times as many images are in the second batch that is timed; 2 where a system has one size."""
TIMES = 2
"""A step is timed so often, and the fastest counts."""


@dataclass(frozen=True)
class Estimate:
    """Costs of a run.

    Attributes:
        parameters: of each network.
        memory_bytes: weights, gradients, optimiser state, averages and saved activations.
        seconds: of the whole run, in plain fp32; the chosen precision is usually faster.
    """

    parameters: dict[str, int]
    memory_bytes: float
    seconds: float


def estimate(build: Callable[[], Trainable], config: RunConfig, schema: Schema) -> Estimate:
    """Time steps of two small batches; what grows with the pixels is scaled, the rest is not.

    Convolutions cost and keep in proportion to the pixels, so probes of 64 px tell what 512 px
    will take without spending minutes on it; the optimiser costs the same for any batch. A system
    of one size is timed at that size, one of several phases in the last.
    """
    settings = config.training
    system = build()
    size = PROBE_SIZE
    if isinstance(system, System):
        system.enter_last_phase()
        size = settings.tile_size if system.fixed_size else PROBE_SIZE
    small, large = (
        _blank_batch(schema, config, size, count)
        for count in (PROBE_BATCH, PROBE_BATCH * (LARGER if size == PROBE_SIZE else 2))
    )
    saved = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        system.step(small)
    pixels = settings.tile_size**2 * settings.batch_size / (size**2 * PROBE_BATCH)
    grown = len(large.images) / PROBE_BATCH
    seconds = extrapolated(_seconds(system, small), _seconds(system, large), grown, pixels)
    parameters = {name: parameter_count(net) for name, net in system.networks().items()}
    copies = 4 + (settings.ema_halflife_images is not None)  # weight, gradient, two moments
    return Estimate(
        parameters=parameters,
        memory_bytes=4.0 * copies * sum(parameters.values()) + saved * pixels / settings.accumulate,
        seconds=seconds * settings.total_images / settings.batch_size,
    )


def extrapolated(small: float, large: float, grown: float, times: float) -> float:
    """Return the seconds of a step whose pixels are a multiple of the small one's.

    Args:
        small: seconds of a small step.
        large: of a step with ``grown`` times the pixels.
        grown: more than 1.
        times: the multiple.
    """
    each = max(large - small, 0.0) / (grown - 1)  # for the pixels of the small step
    return max(small - each, 0.0) + each * times


def _seconds(system: Trainable, batch: Batch) -> float:
    """Return the seconds of a step; the first one, which allocates, does not count."""
    system.step(batch)
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        system.step(batch)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _blank_batch(schema: Schema, config: RunConfig, size: int, count: int) -> Batch:
    shape = (count, size, size)
    defects = torch.zeros(shape, dtype=torch.long)
    defects[:, size // 4 : size // 2, size // 4 : size // 2] = 1
    images = torch.rand(count, schema.channels, *shape[1:]) * 2 - 1
    batch = Batch(
        images=images,
        defects=defects,
        backgrounds=torch.zeros(shape, dtype=torch.long),
        labels=torch.ones(count, dtype=torch.long),
        seeds=torch.arange(count),
        clean=images,
    )
    if config.data.labels == "image":
        batch = replace(batch, present=torch.zeros(count, schema.num_defects))
    return batch
