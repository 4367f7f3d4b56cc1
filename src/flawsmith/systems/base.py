"""What a system is: the contract between a paper's procedure and the one training loop.

A system never moves data, saves, logs or draws. It gives its networks and optimisers, makes one
step on a batch, and samples labelled images.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.data.images import LabelArray
from flawsmith.data.tiles import Tile
from flawsmith.registry import Registry
from flawsmith.training.config import RunConfig
from flawsmith.training.engine import Engine


@dataclass(frozen=True)
class Batch:
    """A batch of real crops at native scale.

    Attributes:
        images: N x C x H x W float32 in [-1, 1].
        defects: N x H x W int64; 0 = none, k = k-th defect, 255 = ignore.
        backgrounds: N x H x W int64; index of the background, also under a defect.
        labels: N int64; the defect that the crop was drawn for, 0 for a good crop.
        seeds: N int64; whatever is random in the use of crop i depends on seed i alone.
        clean: like the images, without their defects; for systems with ``trains_on_clean``.
        present: N x K float32, 1 for each defect that the image shows, where labels are for whole
            images; else None.
    """

    images: Tensor
    defects: Tensor
    backgrounds: Tensor
    labels: Tensor
    seeds: Tensor
    clean: Tensor | None = None
    present: Tensor | None = None

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
        for name in ("images", "clean"):
            if name in moved:
                moved[name] = moved[name].contiguous(memory_format=memory_format)
        return replace(self, **moved)


def stack_tiles(tiles: list[Tile]) -> Batch:
    """Return tiles as a batch: images from [0, 1] to [-1, 1], channels first."""
    clean = [tile.clean for tile in tiles if tile.clean is not None]
    present = [tile.present for tile in tiles if tile.present is not None]
    return Batch(
        images=_signed([tile.image for tile in tiles]),
        defects=_indices([tile.label_map.defects for tile in tiles]),
        backgrounds=_indices([tile.label_map.backgrounds for tile in tiles]),
        labels=torch.tensor([tile.label for tile in tiles]),
        seeds=torch.tensor([tile.seed for tile in tiles]),
        clean=_signed(clean) if clean else None,
        present=torch.from_numpy(np.stack(present)).float() if present else None,
    )


def _signed(images: list[NDArray[np.float32]]) -> Tensor:
    """Return H x W x C images of [0, 1] as N x C x H x W of [-1, 1]."""
    stacked = np.stack(images).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stacked * np.float32(2) - np.float32(1)))


def _indices(maps: list[LabelArray]) -> Tensor:
    return torch.from_numpy(np.stack(maps)).long()


def _names(batch: Batch) -> list[str]:
    return [f.name for f in fields(batch) if getattr(batch, f.name) is not None]


@dataclass(frozen=True)
class SampleRequest:
    """What to synthesise: one label map an image, and what real a system builds it from.

    Attributes:
        defects: N x H x W int64, 0 to the number of defects, no ignore.
        backgrounds: N x H x W int64.
        background_images: N x C x H x W in [-1, 1], real surface without defect, or None.
        exemplars: N x C x H x W in [-1, 1], the real defect of the drawn mask in its place, under
            the very map that varied the mask, or None.
        exemplar_known: N x H x W bool, where the exemplar has pixels: the mask and a margin.
    """

    defects: Tensor
    backgrounds: Tensor
    background_images: Tensor | None = None
    exemplars: Tensor | None = None
    exemplar_known: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        """Return the request on ``device``."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: value.to(device) for name, value in given.items() if value is not None}
        return replace(self, **moved)


@dataclass(frozen=True)
class Samples:
    """Synthetic images with everything that a data set needs to know of them.

    Attributes:
        images: N x C x H x W float32 in [-1, 1].
        defects: N x H x W int64, the label map of each image.
        backgrounds: N x H x W int64.
        mask_source: how the label map came about (specs: conditioning, joint, difference, pseudo);
            none where labels are for whole images: then it is 255 throughout, or 0 for a good one.
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


NOISE_SCALES = (1, 4, 16, 64)


def multiscale_noise(
    seeds: Tensor, channels: int, size: torch.Size, scales: tuple[int, ...] = NOISE_SCALES
) -> Tensor:
    """Return N x channels x H x W noise, channel c varying over ``scales``[c mod ...] pixels.

    Fine noise can become texture, coarse noise shading: a network of small reach could not make
    the one of the other. Row i depends on seed i alone.
    """
    maps = []
    for scale in scales[: max(1, min(channels, len(scales)))]:
        height, width = (-(-length // scale) + 1 for length in size)
        coarse = seeded_noise(seeds + scale, (-(-channels // len(scales)), height, width))
        if scale > 1:
            coarse = F.interpolate(coarse, scale_factor=scale, mode="bilinear")
        maps.append(coarse[..., : size[0], : size[1]])
    stacked = torch.stack(maps, dim=2).flatten(1, 2)
    return stacked[:, :channels]


class System(ABC):
    """A training procedure that also samples: the base of every synthesizer.

    Attributes:
        config_class: its configuration, a `RunConfig` with the system's own tables.
        size_multiple: height and width must be multiples of it.
        needs: of "background_images" and "exemplars" those that its requests must carry.
        trains_on_clean: its batches carry the surface without the defects too, where labels say
            where they are.
        image_labels: it can also learn from labels of whole images, which need no masks.
        conditional: a request for a class gives an image of that class.
        fixed_size: its networks fit ``training.tile_size`` and no other size.
        only: the one class that trains it, 0 for good; None: all.
        cuts_masks_unless: the setting without which it labels parts of the masks that were drawn,
            so that no size can be asked for; None: it does not cut them.
        engine: turns losses into updates; the loop replaces the default.
    """

    config_class: ClassVar[type[RunConfig]]
    size_multiple: ClassVar[int]
    trains_on_clean: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    image_labels: ClassVar[bool] = False
    conditional: ClassVar[bool] = True
    fixed_size: ClassVar[bool] = False
    only: int | None = None
    cuts_masks_unless: str | None = None

    def __init__(self) -> None:
        self.engine = Engine()

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Return every network by name, trained or not."""

    @abstractmethod
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return every optimiser by name."""

    def prepare(self, tiles: Callable[[int], Batch]) -> None:  # noqa: B027 - most need nothing
        """Look at real training tiles before the first step; ``tiles`` gives a batch of so many."""

    def enter_last_phase(self) -> None:  # noqa: B027 - most have one phase
        """Go to the last phase of a run at once: its steps tell what most of the run costs."""

    @abstractmethod
    def averaged(self) -> list[str]:
        """Return the names of the networks that sample, of which an average may be kept."""

    @abstractmethod
    def step(self, batch: Batch) -> dict[str, float]:
        """Make one training step, as the paper's algorithm says, and return named scalars."""

    @abstractmethod
    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image for each label map of the request."""


SYSTEMS: Registry[type[System]] = Registry("system")
