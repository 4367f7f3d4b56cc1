"""What a system is: the contract between a paper's procedure and the one training loop.

A system never moves data, saves, logs or draws. It gives its networks and optimisers, makes one
step on a batch, and samples labelled images.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor, nn

from flawsmith.registry import Registry


@dataclass(frozen=True)
class Batch:
    """A batch of real crops at native scale.

    Attributes:
        images: N x C x H x W float32 in [-1, 1].
        defects: N x H x W int64; 0 = none, k = k-th defect, 255 = ignore.
        backgrounds: N x H x W int64; index of the background, also under a defect.
        labels: N int64; the defect that the crop was drawn for, 0 for a good crop.
        seeds: N int64; whatever is random in the use of crop i depends on seed i alone.
    """

    images: Tensor
    defects: Tensor
    backgrounds: Tensor
    labels: Tensor
    seeds: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def split(self, pieces: int) -> list[Self]:
        """Return equal micro-batches, for gradient accumulation."""
        chunks = {name: getattr(self, name).chunk(pieces) for name in _names(self)}
        count = len(chunks["images"])
        return [replace(self, **{n: c[i] for n, c in chunks.items()}) for i in range(count)]

    def to(self, device: torch.device, memory_format: torch.memory_format) -> Self:
        """Return the batch on ``device``, its images in ``memory_format``."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in _names(self)}
        moved["images"] = moved["images"].contiguous(memory_format=memory_format)
        return replace(self, **moved)


def _names(batch: Batch) -> list[str]:
    return [f.name for f in fields(batch)]


@dataclass(frozen=True)
class SampleRequest:
    """What to synthesise: one label map an image, and a real background where a system uses one.

    Attributes:
        defects: N x H x W int64, 0 to the number of defects, no ignore.
        backgrounds: N x H x W int64.
        background_images: N x C x H x W in [-1, 1], or None.
    """

    defects: Tensor
    backgrounds: Tensor
    background_images: Tensor | None = None


@dataclass(frozen=True)
class Samples:
    """Synthetic images with everything that a data set needs to know of them.

    Attributes:
        images: N x C x H x W float32 in [-1, 1].
        defects: N x H x W int64, the label map of each image.
        backgrounds: N x H x W int64.
        mask_source: how the label map came about (specs: conditioning, joint, difference, pseudo).
        seeds: N int64; image i depends on seed i alone, whatever the batch size.
        layers: further pictures of the same size to show beside, such as X_d and X_b.
    """

    images: Tensor
    defects: Tensor
    backgrounds: Tensor
    mask_source: str
    seeds: Tensor
    layers: dict[str, Tensor] = field(default_factory=dict)


def seeded_noise(seeds: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return N x shape standard normal noise; row i depends on seed i alone."""
    rows = [
        torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds
    ]
    return torch.stack(rows).to(seeds.device)


class System(ABC):
    """A training procedure that also samples: the base of every synthesizer."""

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Return every network by name, trained or not."""

    @abstractmethod
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return every optimiser by name."""

    @abstractmethod
    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image for each label map of the request."""


SYSTEMS: Registry[type[System]] = Registry("system")
