"""What systems of a generator and a discriminator share: an Adam each, and their steps in turn."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from flawsmith.systems.base import Batch, System
from flawsmith.training.engine import Losses


class AdversarialSystem(System):
    """A generator and a discriminator that are updated in turn.

    Attributes:
        max_norm: clips the gradients' norm; None: they are not clipped.
    """

    max_norm: float | None = None

    def __init__(self) -> None:
        super().__init__()
        self._optimizers: dict[str, torch.optim.Optimizer] = {}

    def optimize(
        self, networks: dict[str, tuple[nn.Module, float]], betas: tuple[float, float]
    ) -> None:
        """Give every network its Adam.

        Args:
            networks: the generator first, then the discriminator, with their learning rates.
            betas: of both.
        """
        self._optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=rate, betas=betas)
            for name, (network, rate) in networks.items()
        }

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return one Adam each."""
        return self._optimizers

    def step(self, batch: Batch) -> dict[str, float]:
        """Update the generator, then the discriminator on the images that this step made.

        The images are made once and used for both updates (D4).
        """
        fakes: list[Tensor] = []
        generator, discriminator = self._optimizers.values()
        g = self.engine.update(
            generator,
            batch,
            lambda piece: self.generator_losses(piece, fakes),
            max_norm=self.max_norm,
        )
        d = self.engine.update(
            discriminator,
            batch,
            lambda piece: self.discriminator_losses(piece, fakes.pop(0)),
            max_norm=self.max_norm,
        )
        return {**g, **d}

    @abstractmethod
    def generator_losses(self, batch: Batch, fakes: list[Tensor]) -> Losses:
        """Return the generator's terms, and append its images, detached."""

    @abstractmethod
    def discriminator_losses(self, batch: Batch, fake: Tensor) -> Losses:
        """Return the discriminator's terms on real images and on those of the generator."""
