"""Differentiable augmentation of what a discriminator sees (DiffAugment; Zhao et al. 2020).

With few real images a discriminator learns them by heart. It is shown all images, real or made, in
another light, shifted and partly covered (arXiv 2006.10738: colour, translation, cutout), and as
the changes are differentiable the generator learns through them. Labels move along; what a shift
brought in and what is covered is `IGNORE`, so that nobody is asked to name it.
"""

import torch
from torch import Tensor

from flawsmith.data.schema import IGNORE

BRIGHTNESS = 0.5
CONTRAST = 0.5
SHIFT = 1 / 8
"""Of the side, either way."""
COVERED = 1 / 2
"""Of the side: of the square that is covered. All four are the paper's."""

OWN_SEEDS = 1_000_003
"""Added to a seed, so that light and place do not follow what else is random in an image."""


def diff_augment(images: Tensor, labels: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
    """Return changed images and their labels.

    Args:
        images: N x C x H x W in [-1, 1]; the result may leave that range.
        labels: N x H x W int64.
        seeds: N; what happens to image i follows from seed i alone.
    """
    pairs = [
        _changed(image, label, torch.Generator().manual_seed(int(seed) + OWN_SEEDS))
        for image, label, seed in zip(images, labels, seeds, strict=True)
    ]
    return torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])


def _changed(image: Tensor, label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return one image, C x H x W, and its H x W labels."""
    brightness, saturation, contrast, *places = torch.rand(7, generator=generator).tolist()
    image = image + BRIGHTNESS * (2 * brightness - 1)
    grey = image.mean(dim=0, keepdim=True)
    image = grey + (image - grey) * 2 * saturation
    image = image.mean() + (image - image.mean()) * (1 + CONTRAST * (2 * contrast - 1))
    size = image.shape[-2:]
    down, right = (round((2 * p - 1) * SHIFT * s) for p, s in zip(places[:2], size, strict=True))
    outside = _moved_in(size, down, right) | _square(size, places[2:])
    outside = outside.to(image.device)
    image = image.roll((down, right), dims=(-2, -1)).masked_fill(outside, 0.0)
    label = label.roll((down, right), dims=(-2, -1)).masked_fill(outside, IGNORE)
    return image, label


def _moved_in(size: torch.Size, down: int, right: int) -> Tensor:
    """Return H x W bool: what a shift brings in from outside the image."""
    rows, columns = torch.arange(size[0]) - down, torch.arange(size[1]) - right
    inside_rows = (rows >= 0) & (rows < size[0])
    inside_columns = (columns >= 0) & (columns < size[1])
    return ~(inside_rows[:, None] & inside_columns[None])


def _square(size: torch.Size, middle: list[float]) -> Tensor:
    """Return H x W bool: the covered square; its middle is anywhere in the image."""
    near = [
        (torch.arange(s) - int(m * s)).abs() * 2 <= s * COVERED
        for s, m in zip(size, middle, strict=True)
    ]
    return near[0][:, None] & near[1][None]
