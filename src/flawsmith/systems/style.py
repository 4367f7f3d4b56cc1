"""Tone and contrast of a tile: what no label tells, told to the generator (docs/decisions.md, D21).

A leakage is darker or brighter than the foil, and no label says which. A generator that must
reproduce it from the label alone paints the mean of both, which is nothing. With the style of the
real image beside the label it learns both, and samples with the style of another real image.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from flawsmith.losses.reconstruction import defect_mask, low_frequency
from flawsmith.systems.base import Batch

STYLE_MAPS = 2
"""Maps for each branch: tone and contrast."""

TONE_SCALE, CONTRAST_SCALE = 0.3, 0.1
"""Usual sizes of both on images in [-1, 1], so that the maps are about as large as noise."""

COARSE = 16
"""Structure of so many pixels is tone; contrast is what is finer."""


def style_length(num_backgrounds: int) -> int:
    """Return how many numbers a style has: tone and contrast of each background and the defect."""
    return 2 * (num_backgrounds + 1)


def style_of(batch: Batch, num_backgrounds: int) -> Tensor:
    """Return the N x 2 (B + 1) styles of real images.

    First the tones of the backgrounds, then their contrasts (0 where one is not seen), then tone
    of the defect against what is around it, and its contrast.
    """
    grey = batch.images.float().mean(dim=1)
    on_defect = defect_mask(batch.defects)
    regions = [(batch.backgrounds == b) & (batch.defects == 0) for b in range(num_backgrounds)]
    smooth = F.interpolate(
        low_frequency(grey.unsqueeze(1), COARSE), size=grey.shape[1:], mode="bilinear"
    ).squeeze(1)
    fine = (grey - smooth).square()
    tones = [_mean(grey, region) / TONE_SCALE for region in regions]
    contrasts = [_mean(fine, region).sqrt() / CONTRAST_SCALE for region in regions]
    around = _mean(grey, torch.stack(regions).any(dim=0))
    defect_tone = (_mean(grey, on_defect) - around) * on_defect.any(dim=(1, 2)) / TONE_SCALE
    defect_contrast = _mean(fine, on_defect).sqrt() / CONTRAST_SCALE
    return torch.stack([*tones, *contrasts, defect_tone, defect_contrast], dim=1)


def complete_styles(styles: Tensor, num_backgrounds: int) -> Tensor:
    """Return styles in which a background that a tile did not show is as in some other tile.

    A tile of the body alone says nothing of the outside, but may be sampled beside it.
    """
    completed = styles.clone()
    for background in range(num_backgrounds):
        columns = [background, num_backgrounds + background]
        seen = styles[:, columns[1]] > 0  # nothing real is without any contrast
        known = styles[seen][:, columns]
        if len(known):
            missing = torch.nonzero(~seen).flatten()
            rows = known[torch.arange(len(missing)) % len(known)]
            completed[missing[:, None], torch.tensor(columns)] = rows
    return completed


def style_maps(style: Tensor, defects: Tensor, backgrounds: Tensor) -> tuple[Tensor, Tensor]:
    """Return N x 2 x H x W maps of tone and contrast, for the backgrounds and for the defect."""
    count = style.shape[1] // 2 - 1
    index = backgrounds.clamp(max=count - 1).flatten(1)
    of_background = [
        style[:, start : start + count].gather(1, index).view(backgrounds.shape)
        for start in (0, count)
    ]
    on_defect = defect_mask(defects).to(style.dtype)
    of_defect = [style[:, i, None, None] * on_defect for i in (-2, -1)]
    return torch.stack(of_background, dim=1), torch.stack(of_defect, dim=1)


def main_class(defects: Tensor) -> Tensor:
    """Return the defect with the most pixels in each N x H x W label map, 0 where there is none."""
    classes = []
    for indices in defects:
        counts = torch.bincount(indices[defect_mask(indices)])
        classes.append(int(counts.argmax()) if len(counts) else 0)
    return torch.tensor(classes)


def _mean(values: Tensor, region: Tensor) -> Tensor:
    weight = region.to(values.dtype)
    return (values * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp_min(1.0)
