"""Several updates of a discriminator for one of the generator, on the same images (D40)."""

from collections.abc import Callable
from dataclasses import replace

from torch.optim import Optimizer

from flawsmith.systems.base import Batch
from flawsmith.training.engine import Engine, Losses

NEXT_DRAW = 1_000_003
"""Between the seeds of two draws for the same image."""


def update_repeatedly(
    engine: Engine,
    optimizer: Optimizer,
    batch: Batch,
    losses: Callable[[Batch], Losses],
    *,
    times: int,
) -> dict[str, float]:
    """Update on the same real images several times, each with seeds of its own.

    Fresh images every time would make a discriminator that is updated more often see more of them,
    and images seen would not compare between systems. The seeds are never those of the batch,
    which are the generator's.

    Args:
        engine: of the system.
        optimizer: of the discriminator.
        batch: real images.
        losses: terms of a micro-batch.
        times: updates.

    Returns:
        The terms of the last update.
    """
    values: dict[str, float] = {}
    for number in range(1, times + 1):
        drawn = replace(batch, seeds=batch.seeds + number * NEXT_DRAW)
        values = engine.update(optimizer, drawn, losses)
    return values
