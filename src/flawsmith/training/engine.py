"""How a loss becomes an update: precision, micro-batches, processes. Systems call nothing else.

Gradients are all-reduced explicitly after the backward passes that belong together. No wrapper
stands around a network, since penalties that are back-propagated alone would leave wrapped
processes with different gradients.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from flawsmith.training.precision import Precision

Losses = dict[str, Tensor]


class Splittable(Protocol):
    """A batch that can be cut into equal micro-batches."""

    def split(self, pieces: int) -> list[Self]:
        """Return ``pieces`` equal micro-batches."""


SomeBatch = TypeVar("SomeBatch", bound=Splittable)


class Engine:
    """Runs a loss function over a batch and updates one optimiser with the mean gradient.

    Args:
        precision: format of the products and of the memory.
        accumulate: micro-batches a step.
        device: where the networks are.
        all_reduce_mean: averages a tensor over all processes; None for a single process.
    """

    def __init__(
        self,
        *,
        precision: Precision | None = None,
        accumulate: int = 1,
        device: torch.device | None = None,
        all_reduce_mean: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.precision = precision or Precision()
        self.accumulate = accumulate
        self.device = device or torch.device("cpu")
        self._all_reduce_mean = all_reduce_mean

    def update(
        self,
        optimizer: torch.optim.Optimizer,
        batch: SomeBatch,
        losses: Callable[[SomeBatch], Losses],
        *,
        max_norm: float | None = None,
    ) -> dict[str, float]:
        """Make one step of ``optimizer``; only its parameters get a gradient.

        Args:
            optimizer: holds the parameters to update.
            batch: the batch of this process; all processes have equally many images.
            losses: gives mean-reduced terms named ``network/term`` for a micro-batch; the one
                named ``.../total`` is back-propagated.
            max_norm: clips the gradient's norm over all parameters of the optimiser.

        Returns:
            The mean of every term over the micro-batches of this process.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad(set_to_none=True)
        means: dict[str, float] = defaultdict(float)
        for piece in batch.split(self.accumulate):
            with self.precision.autocast(self.device):
                terms = losses(piece)
            total = next(value for name, value in terms.items() if name.endswith("/total"))
            (total / self.accumulate).backward(inputs=parameters)  # type: ignore[no-untyped-call]
            for name, value in terms.items():
                means[name] += float(value.detach()) / self.accumulate
        self._average_gradients(parameters)
        if max_norm is not None:
            nn.utils.clip_grad_norm_(parameters, max_norm)
        optimizer.step()
        return dict(means)

    def mean(self, values: list[Tensor]) -> Tensor:
        """Return the mean of one tensor a micro-batch, over these and over all processes."""
        mean = torch.stack(values).mean(dim=0)
        return mean if self._all_reduce_mean is None else self._all_reduce_mean(mean)

    def _average_gradients(self, parameters: list[nn.Parameter]) -> None:
        if self._all_reduce_mean is None:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self._all_reduce_mean(torch.cat([g.reshape(-1) for g in gradients]))
        start = 0
        for gradient in gradients:
            values = flat[start : start + gradient.numel()]
            gradient.copy_(values.view(gradient.shape))
            start += gradient.numel()
