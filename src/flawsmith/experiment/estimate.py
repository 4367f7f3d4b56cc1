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
    """Time one small step and scale it by the number of pixels.

    Convolutions cost and keep in proportion to the pixels, so a probe of 64 px tells what 512 px
    will take without spending minutes on it. A system of one size is timed at that size,
    one of several phases in the last.
    """
    settings = config.training
    system = build()
    size = PROBE_SIZE
    if isinstance(system, System):
        system.enter_last_phase()
        size = settings.tile_size if system.fixed_size else PROBE_SIZE
    batch = _blank_batch(schema, size)
    if config.data.labels == "image":
        batch = replace(batch, present=torch.zeros(PROBE_BATCH, schema.num_defects))
    saved = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        system.step(batch)
    start = time.perf_counter()
    system.step(batch)
    seconds = time.perf_counter() - start
    pixels = settings.tile_size**2 * settings.batch_size / (size**2 * PROBE_BATCH)
    parameters = {name: parameter_count(net) for name, net in system.networks().items()}
    copies = 4 + (settings.ema_halflife_images is not None)  # weight, gradient, two moments
    return Estimate(
        parameters=parameters,
        memory_bytes=4.0 * copies * sum(parameters.values()) + saved * pixels / settings.accumulate,
        seconds=seconds * pixels * settings.total_images / settings.batch_size,
    )


def _blank_batch(schema: Schema, size: int) -> Batch:
    shape = (PROBE_BATCH, size, size)
    defects = torch.zeros(shape, dtype=torch.long)
    defects[:, size // 4 : size // 2, size // 4 : size // 2] = 1
    images = torch.rand(PROBE_BATCH, schema.channels, *shape[1:]) * 2 - 1
    return Batch(
        images=images,
        defects=defects,
        backgrounds=torch.zeros(shape, dtype=torch.long),
        labels=torch.ones(PROBE_BATCH, dtype=torch.long),
        seeds=torch.arange(PROBE_BATCH),
        clean=images,
    )
