"""Style of a defect on a real surface: how it changes the tone and the grain under it (D21)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from flawsmith.losses.reconstruction import defect_mask
from flawsmith.models.surface_painter import GRAIN_PIXELS, grain

STYLE_LENGTH = 2
"""Tone and grain of the defect against those of the bare surface under it (D21)."""

BLACK = 1.2
"""Added to images in [-1, 1], so that a tone is relative to the light of the surface."""

TONE_SCALE = 0.3
"""Usual size of a tone, so that its map is about as large as noise."""


def smooth(image: Tensor) -> Tensor:
    """Return N x 1 x H x W: the grey image without its grain."""
    return (image.float() - grain(image.float())).mean(dim=1, keepdim=True)


def style_on_surface(image: Tensor, surface: Tensor, defects: Tensor) -> Tensor:
    """Return N x 2: how the defect changes the tone and the grain of the surface under it.

    Args:
        image: N x C x H x W in [-1, 1].
        surface: the same without the defect.
        defects: N x H x W.
    """
    inside = defect_mask(defects).float().unsqueeze(1)
    return style_between(image, inside, surface, inside)


def style_between(image: Tensor, inside: Tensor, surface: Tensor, bare: Tensor) -> Tensor:
    """Return N x 2: tone and grain of an image inside, against those of a bare surface.

    The tone is relative to the light of the surface, so that a defect of a bright tile is not
    black on a dark one; the grain is the logarithm of the ratio of both contrasts. 0 without a
    defect.

    Args:
        image: N x C x H x W in [-1, 1].
        inside: N x 1 x H x W, 1 on the defect.
        surface: as the image.
        bare: as ``inside``, where the surface is looked at.
    """
    over, under = _mean(image.float(), inside), _mean(surface.float(), bare)
    fine = _mean(_inner_grain(image, inside).square(), inside) + 1e-5
    coarse = _mean(_inner_grain(surface, bare).square(), bare) + 1e-5
    shown = ((inside.sum(dim=(1, 2, 3)) > 0) & (bare.sum(dim=(1, 2, 3)) > 0)).float()
    tone = (over - under) / (under + BLACK) / TONE_SCALE
    return torch.stack([tone * shown, 0.5 * (fine / coarse).log() * shown], dim=1)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean grey of each image over a region."""
    pixels = where.sum(dim=(1, 2, 3)).clamp_min(1.0)
    return (values.mean(dim=1, keepdim=True) * where).sum(dim=(1, 2, 3)) / pixels


def _inner_grain(image: Tensor, inside: Tensor) -> Tensor:
    """Return the grain within a region, against local means of the region alone."""
    values = image.float() * inside

    def mean(maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, GRAIN_PIXELS, 1, GRAIN_PIXELS // 2)

    return values - inside * mean(values) / mean(inside).clamp_min(1e-6)
