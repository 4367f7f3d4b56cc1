"""An exponential moving average of a network's weights, its length told in images."""

import copy

import torch
from torch import Tensor, nn


class Ema:
    """The running average of a network: ``average``, in evaluation mode, without gradients.

    After ``images`` more images, average <- d * average + (1 - d) * live with
    d = 2 ** (-images / halflife_images): after a half-life the old average weighs one half,
    whatever the batch size. Early in a run the half-life is at most a tenth of the images seen,
    so that untrained weights are soon forgotten (StyleGAN2's ramp-up, there a twentieth). Buffers
    (batch-norm statistics) are copied.
    """

    RAMP_UP = 0.1

    def __init__(self, network: nn.Module, halflife_images: float) -> None:
        if halflife_images <= 0:
            raise ValueError(f"a half-life must be positive, got {halflife_images}")
        self.live = network
        self.halflife_images = halflife_images
        self.average = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, images: int, *, seen: int | None = None) -> None:
        """Move the average towards the live weights by the step that ``images`` images make.

        Args:
            images: of the step.
            seen: images of the whole run so far, for the ramp-up; None: no ramp-up.
        """
        halflife = self.halflife_images
        if seen is not None:
            halflife = min(halflife, max(self.RAMP_UP * seen, 1e-9))
        share = 1.0 - 2.0 ** (-images / halflife)
        for mean, live in zip(self.average.parameters(), self.live.parameters(), strict=True):
            mean.lerp_(live, share)
        for kept, current in zip(self.average.buffers(), self.live.buffers(), strict=True):
            kept.copy_(current)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights and buffers, named as in the network itself."""
        return self.average.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from averaged weights that ``state_dict`` gave."""
        self.average.load_state_dict(state)
