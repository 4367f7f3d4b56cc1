"""Inception-v3 as the literature measures FID, KID and the Inception score with it.

The network is that of Szegedy et al., CVPR 2016 (Table 1, Figures 5 to 7), in the variant that was
published for FID (``inception-2015-12-05``): average pools leave the padding out, the last block
pools by maximum, and there are 1,008 outputs. Layers are named as in the file
``pt_inception-2015-12-05-6726825d.pth``, which is loaded and never downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_SIDE = 299
FEATURES = 2048
CLASSES = 1008
EPSILON = 1e-3
"""Of the batch normalisation; PyTorch's own default is another."""


class Unit(NamedTuple):
    """A convolution with normalisation and ReLU; the padding keeps the size at stride 1."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


@dataclass(frozen=True)
class Path:
    """One way through a block: a pool, or none, units in a row, then units side by side."""

    units: Sequence[Unit] = ()
    ends: Sequence[Unit] = ()
    pool: Literal["average", "maximum", "halve"] | None = None


class ConvUnit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, unit: Unit) -> None:
        super().__init__()
        height, width = unit.kernel
        padding = (height // 2, width // 2) if unit.padded else (0, 0)
        self.conv = nn.Conv2d(
            in_channels, unit.channels, unit.kernel, unit.stride, padding, bias=False
        )
        self.bn = nn.BatchNorm2d(unit.channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W."""
        return F.relu(self.bn(self.conv(x)))


class MixedBlock(nn.Module):
    """Paths side by side, their outputs joined in order."""

    def __init__(self, in_channels: int, paths: Sequence[Path]) -> None:
        super().__init__()
        self.paths = paths
        self.out_channels = 0
        for path in paths:
            channels = in_channels
            for unit in path.units:
                self.add_module(unit.name, ConvUnit(channels, unit))
                channels = unit.channels
            for unit in path.ends:
                self.add_module(unit.name, ConvUnit(channels, unit))
            self.out_channels += sum(unit.channels for unit in path.ends) or channels

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W."""
        return torch.cat([out for path in self.paths for out in self._along(path, x)], dim=1)

    def _along(self, path: Path, x: Tensor) -> list[Tensor]:
        if path.pool == "average":
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        elif path.pool == "maximum":
            x = F.max_pool2d(x, 3, stride=1, padding=1)
        elif path.pool == "halve":
            x = F.max_pool2d(x, 3, stride=2)
        for unit in path.units:
            x = self.get_submodule(unit.name)(x)
        return [self.get_submodule(unit.name)(x) for unit in path.ends] or [x]


def grid_35(pool_channels: int) -> list[Path]:
    """Return a block of Figure 5: 5 x 5 as two 3 x 3."""
    return [
        Path([Unit("branch1x1", 64)]),
        Path([Unit("branch5x5_1", 48), Unit("branch5x5_2", 64, (5, 5))]),
        Path([Unit("branch3x3dbl_1", 64), Unit("branch3x3dbl_2", 96, (3, 3)),
              Unit("branch3x3dbl_3", 96, (3, 3))]),
        Path([Unit("branch_pool", pool_channels)], pool="average"),
    ]  # fmt: skip


def grid_17(width: int) -> list[Path]:
    """Return a block of Figure 6: 7 x 7 as 1 x 7 and 7 x 1; ``width`` channels inside."""
    return [
        Path([Unit("branch1x1", 192)]),
        Path([Unit("branch7x7_1", width), Unit("branch7x7_2", width, (1, 7)),
              Unit("branch7x7_3", 192, (7, 1))]),
        Path([Unit("branch7x7dbl_1", width), Unit("branch7x7dbl_2", width, (7, 1)),
              Unit("branch7x7dbl_3", width, (1, 7)), Unit("branch7x7dbl_4", width, (7, 1)),
              Unit("branch7x7dbl_5", 192, (1, 7))]),
        Path([Unit("branch_pool", 192)], pool="average"),
    ]  # fmt: skip


def grid_8(pool: Literal["average", "maximum"]) -> list[Path]:
    """Return a block of Figure 7: filter banks that widen at their ends."""
    return [
        Path([Unit("branch1x1", 320)]),
        Path([Unit("branch3x3_1", 384)],
             [Unit("branch3x3_2a", 384, (1, 3)), Unit("branch3x3_2b", 384, (3, 1))]),
        Path([Unit("branch3x3dbl_1", 448), Unit("branch3x3dbl_2", 384, (3, 3))],
             [Unit("branch3x3dbl_3a", 384, (1, 3)), Unit("branch3x3dbl_3b", 384, (3, 1))]),
        Path([Unit("branch_pool", 192)], pool=pool),
    ]  # fmt: skip


TO_17 = [
    Path([Unit("branch3x3", 384, (3, 3), 2, padded=False)]),
    Path([Unit("branch3x3dbl_1", 64), Unit("branch3x3dbl_2", 96, (3, 3)),
          Unit("branch3x3dbl_3", 96, (3, 3), 2, padded=False)]),
    Path(pool="halve"),
]  # fmt: skip
TO_8 = [
    Path([Unit("branch3x3_1", 192), Unit("branch3x3_2", 320, (3, 3), 2, padded=False)]),
    Path([Unit("branch7x7x3_1", 192), Unit("branch7x7x3_2", 192, (1, 7)),
          Unit("branch7x7x3_3", 192, (7, 1)),
          Unit("branch7x7x3_4", 192, (3, 3), 2, padded=False)]),
    Path(pool="halve"),
]  # fmt: skip

STEM = (
    Unit("Conv2d_1a_3x3", 32, (3, 3), 2, padded=False),
    Unit("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    Unit("Conv2d_2b_3x3", 64, (3, 3)),
    Unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, (3, 3), padded=False),
)
HALVED_AFTER = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")

BLOCKS: dict[str, list[Path]] = {
    "Mixed_5b": grid_35(32), "Mixed_5c": grid_35(64), "Mixed_5d": grid_35(64),
    "Mixed_6a": TO_17,
    "Mixed_6b": grid_17(128), "Mixed_6c": grid_17(160), "Mixed_6d": grid_17(160),
    "Mixed_6e": grid_17(192),
    "Mixed_7a": TO_8,
    "Mixed_7b": grid_8("average"), "Mixed_7c": grid_8("maximum"),
}  # fmt: skip


class InceptionV3(nn.Module):
    """The network without weights; `flawsmith.metrics.generation.inception_features` loads them."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for unit in STEM:
            self.add_module(unit.name, ConvUnit(channels, unit))
            channels = unit.channels
        for name, paths in BLOCKS.items():
            block = MixedBlock(channels, paths)
            self.add_module(name, block)
            channels = block.out_channels
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return N x 2048 pooled features and N x 1008 logits.

        The logits leave the bias of the last layer out, as the published Inception score does.

        Args:
            images: N x 3 x 299 x 299 in [-1, 1].
        """
        x = images
        for unit in STEM:
            x = self.get_submodule(unit.name)(x)
            if unit.name in HALVED_AFTER:
                x = F.max_pool2d(x, 3, stride=2)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        pooled = x.mean(dim=(2, 3))
        return pooled, F.linear(pooled, self.fc.weight)


def resize_as_tensorflow(images: Tensor, side: int = INPUT_SIDE) -> Tensor:
    """Return N x C x side x side by the bilinear rule of TensorFlow 1, as FID's reference does.

    Output pixel i is read at i * (old size / side): the grids meet in their first pixels, not in
    their middles, and nothing is averaged where an image shrinks.
    """
    for dimension in (2, 3):
        images = _resized_along(images, dimension, side)
    return images


def _resized_along(images: Tensor, dimension: int, side: int) -> Tensor:
    length = images.shape[dimension]
    # In float32, as there: the places decide which pixels are mixed.
    places = torch.arange(side, dtype=torch.float32) * torch.tensor(length / side)
    before = places.floor().long().clamp(max=length - 1)
    after = (before + 1).clamp(max=length - 1)
    share = (places - before).reshape([-1 if d == dimension else 1 for d in range(4)])
    first, second = images.index_select(dimension, before), images.index_select(dimension, after)
    return first + (second - first) * share.to(images.dtype)
