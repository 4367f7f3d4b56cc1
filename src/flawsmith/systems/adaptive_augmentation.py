"""Adaptive discriminator augmentation (ADA; Karras et al. 2020, arXiv 2006.06676, appendix B).

What the discriminator sees, real or made, is augmented so that it cannot learn few images by heart;
the generator does not learn to augment as long as the probability p stays below about 0.8. p
follows how sure the discriminator is of real images.

All geometric transforms are one affine map, applied to the image and to its mask planes alike; all
colour transforms are one matrix, applied to the image alone. The paper filters the geometric map
with wavelets; here it is plain linear interpolation of the mirrored image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.config import StrictModel

Transform = Literal[
    "flip",
    "rot90",
    "int_translate",
    "scale",
    "rotate",
    "aniso",
    "frac_translate",
    "brightness",
    "contrast",
    "luma_flip",
    "hue",
    "saturation",
]
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)
"""The pipe ``bgc`` of the paper, in its order."""

CHANGES_CLASSES: tuple[Transform, ...] = ("rot90", "rotate", "luma_flip")
"""Wrong where orientation or polarity makes the class, such as a white and a black dot."""

SECOND_ROTATION = "second_rotation"
"""Key of its random numbers; those of the other transforms have their names."""

GEOMETRIC: tuple[tuple[Transform, str], ...] = (
    ("flip", "flip"),
    ("rot90", "rot90"),
    ("int_translate", "int_translate"),
    ("scale", "scale"),
    ("rotate", "rotate"),
    ("aniso", "aniso"),
    ("rotate", SECOND_ROTATION),
    ("frac_translate", "frac_translate"),
)
"""In the order in which they follow each other, each with the key of its random numbers."""

COLOURED: tuple[Transform, ...] = TRANSFORMS[7:]


class AdaptiveAugmentation(StrictModel):
    """Which transforms, and how their probability p moves.

    Attributes:
        transforms: of `TRANSFORMS`; their order does not matter. None: no augmentation.
        target: share of real images that are called real less that of those that are not, above
            which p rises.
        images: in which p moves by 1.
        every: steps between two moves.
    """

    transforms: list[Transform] = [t for t in TRANSFORMS if t not in CHANGES_CLASSES]
    target: float = Field(default=0.6, ge=-1, le=1)
    images: int = Field(default=500_000, ge=1)
    every: int = Field(default=4, ge=1)


class AdaptiveProbability(nn.Module):
    """p and what it follows, as buffers: a resumed run goes on with them.

    Attributes:
        p: probability of each transform, 0 to 1.
    """

    p: Tensor
    sign_sum: Tensor
    steps: Tensor

    def __init__(self, settings: AdaptiveAugmentation) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("sign_sum", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def observe(self, sign: Tensor, images: int) -> None:
        """Take note of a step, and move p after every few of them.

        Args:
            sign: mean over real images of the sign of their scores.
            images: of the step.
        """
        self.sign_sum += sign
        self.steps += 1
        if int(self.steps) < self.settings.every:
            return
        seen, self_confidence = images * int(self.steps), self.sign_sum / self.steps
        direction = (self_confidence - self.settings.target).sign()
        self.p.copy_((self.p + direction * seen / self.settings.images).clamp(0.0, 1.0))
        self.sign_sum.zero_()
        self.steps.zero_()


@dataclass(frozen=True)
class _Draw:
    """The random numbers of one transform, N values each: two of [0, 1), two normal ones."""

    chosen: Tensor
    u: Tensor
    v: Tensor
    n: Tensor
    m: Tensor


def augment(
    joint: Tensor, seeds: Tensor, *, channels: int, p: float, transforms: Sequence[Transform]
) -> Tensor:
    """Return N x (channels + K) x H x W augmented pictures in float32, differentiable.

    Args:
        joint: images in [-1, 1] and their mask planes; H = W.
        seeds: N; what happens to image i follows from seed i alone.
        channels: of the image, 1 or 3.
        p: probability of each transform.
        transforms: which there are.
    """
    joint = joint.float()
    if p <= 0.0 or not transforms:
        return joint
    draws = _draw(seeds, p)
    steps = [
        (_geometric(name, draws[key], joint.shape[-1]), draws[key].chosen)
        for name, key in GEOMETRIC
        if name in transforms
    ]
    if steps:
        matrix = _product(steps).to(joint.device)
        grid = F.affine_grid(matrix[:, :2], list(joint.shape), align_corners=False)
        joint = F.grid_sample(joint, grid, padding_mode="reflection", align_corners=False)
    image, planes = joint[:, :channels], joint[:, channels:]
    steps = [
        (_coloured(name, draws[name], channels), draws[name].chosen)
        for name in COLOURED
        if name in transforms
    ]
    if steps:
        matrix = _product(steps[::-1]).to(joint.device)
        mixed = torch.einsum("nij,njhw->nihw", matrix[:, :channels, :channels], image)
        image = mixed + matrix[:, :channels, channels, None, None]
    return torch.cat([image, planes], dim=1)


def _draw(seeds: Tensor, p: float) -> dict[str, _Draw]:
    """Return the random numbers of every transform; row i follows from seed i alone."""
    keys = [*TRANSFORMS, SECOND_ROTATION]
    rows, normals = [], []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(len(keys), 3, generator=generator))
        normals.append(torch.randn(len(keys), 2, generator=generator))
    uniform, normal = torch.stack(rows), torch.stack(normals)
    # Two rotations together leave the image as it was with probability 1 - p.
    rotation_p = 1.0 - math.sqrt(max(1.0 - p, 0.0))
    draws = {}
    for i, key in enumerate(keys):
        chosen = uniform[:, i, 0] < (rotation_p if key in ("rotate", SECOND_ROTATION) else p)
        u, v = uniform[:, i, 1], uniform[:, i, 2]
        draws[key] = _Draw(chosen, u, v, normal[:, i, 0], normal[:, i, 1])
    return draws


def _product(steps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the product, from left to right, of the N matrices that were chosen."""
    first, _ = steps[0]
    identity = torch.eye(first.shape[-1]).expand_as(first)
    product = identity
    for matrix, chosen in steps:
        product = product @ matrix.where(chosen[:, None, None], identity)
    return product


def _geometric(name: Transform, draw: _Draw, size: int) -> Tensor:
    """Return N x 3 x 3: from a place of the transformed picture to that of the original.

    Places are (x, y, 1), -1 to 1 from border to border. These being inverses, those of transforms
    that follow each other are multiplied from the left to the right.
    """
    one = torch.ones_like(draw.u)
    match name:
        case "flip":
            return _scaling(one - 2.0 * (draw.u < 0.5), one)
        case "rot90":
            return _rotation((4.0 * draw.u).floor() * (0.5 * math.pi))
        case "int_translate":
            return _shift(
                *(((2.0 * t - 1.0) * size / 8).round() * 2 / size for t in (draw.u, draw.v))
            )
        case "scale":
            return _scaling(torch.exp2(0.2 * draw.n), torch.exp2(0.2 * draw.n))
        case "rotate":
            return _rotation((2.0 * draw.u - 1.0) * math.pi)
        case "aniso":
            return _scaling(torch.exp2(0.2 * draw.n), torch.exp2(-0.2 * draw.n))
        case _:
            return _shift(0.25 * draw.n, 0.25 * draw.m)  # a standard deviation of 1/8 of the size


def _coloured(name: Transform, draw: _Draw, channels: int) -> Tensor:
    """Return N x (C + 1) x (C + 1): from (colour, 1) to the changed colour.

    Grey has no hue and no saturation.
    """
    identity = torch.eye(channels)
    axis = torch.full((channels,), 1.0 / math.sqrt(channels))
    luma = torch.outer(axis, axis)
    offset = torch.zeros(len(draw.u), channels)
    match name:
        case "brightness":
            mixing, offset = identity, (0.2 * draw.n)[:, None].expand(-1, channels)
        case "contrast":
            mixing = torch.exp2(0.5 * draw.n)[:, None, None] * identity
        case "luma_flip":
            mixing = identity - 2.0 * luma * (draw.u < 0.5)[:, None, None]
        case "hue":
            mixing = _hue((2.0 * draw.u - 1.0) * math.pi, luma)
        case _:
            mixing = luma + (identity - luma) * torch.exp2(draw.n)[:, None, None]
    matrix = torch.eye(channels + 1).repeat(len(draw.u), 1, 1)
    matrix[:, :channels, :channels] = mixing
    matrix[:, :channels, channels] = offset
    return matrix


def _hue(angle: Tensor, luma: Tensor) -> Tensor:
    """Return N x C x C rotations about the grey axis (Rodrigues)."""
    if len(luma) == 1:
        return luma
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3.0)
    angle = angle[:, None, None]
    return luma + angle.cos() * (torch.eye(3) - luma) + angle.sin() * across


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    """Return N x 3 x 3 from its first two rows of N values each."""
    zero = torch.zeros_like(rows[0][0])
    last = [zero, zero, torch.ones_like(zero)]
    return torch.stack([torch.stack(row, dim=1) for row in [*rows, last]], dim=1)


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    zero = torch.zeros_like(x)
    return _matrix([[x, zero, zero], [zero, y, zero]])


def _shift(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[one, zero, x], [zero, one, y]])


def _rotation(angle: Tensor) -> Tensor:
    zero = torch.zeros_like(angle)
    return _matrix([[angle.cos(), -angle.sin(), zero], [angle.sin(), angle.cos(), zero]])
