"""Systems that learn nothing: they build images from real pixels by a fixed procedure."""

from torch import nn, optim

from flawsmith.systems.base import Batch, System


class UntrainedSystem(System):
    """A procedure without networks. Its run is finished when it begins; it samples at once."""

    def networks(self) -> dict[str, nn.Module]:
        """Return nothing."""
        return {}

    def optimizers(self) -> dict[str, optim.Optimizer]:
        """Return nothing."""
        return {}

    def averaged(self) -> list[str]:
        """Return nothing."""
        return []

    def step(self, batch: Batch) -> dict[str, float]:
        """Do nothing."""
        return {}
