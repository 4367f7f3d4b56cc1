"""How far an image is from the real one, where the label map says that it should be near.

Every mean is taken within an image first and over images after, so that two processes with half
of a batch each agree with one that has it all.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from flawsmith.data.schema import IGNORE


def defect_mask(defects: Tensor) -> Tensor:
    """Return where a label map (N x H x W int64) shows a defect, as bool; ignore is none."""
    return (defects != 0) & (defects != IGNORE)


def known_weight(defects: Tensor) -> Tensor:
    """Return 1.0 where a label map (N x H x W int64) is certain and 0.0 where it is ignored."""
    return (defects != IGNORE).float()


def background_weight(defects: Tensor, *, margin_pixels: int = 0) -> Tensor:
    """Return 1.0 where the background is seen, 0.0 on defects, ignored pixels and near both.

    Args:
        defects: label map, N x H x W int64.
        margin_pixels: how far a defect or ignored region is grown, as a square: labels are
            seldom exact, and a defect's rim is not background (docs/decisions.md, A12).
    """
    covered = (defects != 0).float().unsqueeze(1)
    if margin_pixels:
        covered = F.max_pool2d(covered, 2 * margin_pixels + 1, stride=1, padding=margin_pixels)
    return 1.0 - covered.squeeze(1)


def defect_target(image: Tensor, defect_mask: Tensor, fill: float = 0.0) -> Tensor:
    """Return T_d = image where a defect is, ``fill`` elsewhere (docs/decisions.md, A12).

    Args:
        image: N x C x H x W in [-1, 1].
        defect_mask: N x H x W bool.
        fill: mid-grey of the image's range.

    Raises:
        ValueError: if the mask is not boolean: a label map's 255 would pass for a defect.
    """
    if defect_mask.dtype != torch.bool:
        raise ValueError(f"a defect mask must be bool, got {defect_mask.dtype}")
    return image.masked_fill(~defect_mask.unsqueeze(1), fill)


def masked_mse(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over images of sum(w (p - t)^2) / (C sum(w)), 0 for an image without w.

    Args:
        prediction: N x C x H x W.
        target: as the prediction.
        weight: N x H x W, 0 = does not count; bool or not negative.
    """
    squared = (prediction.float() - target.float()).square().mean(dim=1)
    return _weighted_mean(squared, weight.to(squared.dtype))


def low_frequency(image: Tensor, scale: int) -> Tensor:
    """Return the local means of an N x C x H x W image over ``scale`` x ``scale`` pixels.

    The windows overlap by half, so that no grid of cells can show in an image trained with it.
    The result has about H / (scale / 2) rows; a window is at most the image.
    """
    ones = torch.ones_like(image[:, 0])
    return _local_means(image.float(), ones, scale)[0]


def low_frequency_mse(prediction: Tensor, target: Tensor, weight: Tensor, scale: int) -> Tensor:
    """Return the masked MSE of local means: tone and shading must match, texture need not.

    A per-pixel MSE of an image with random texture is least for the blurred mean image; this one
    leaves the texture free (docs/decisions.md, D3). Pixels of weight 0 enter no mean, and a
    window counts by its weight. With ``scale`` = 1 it is ``masked_mse``.

    Args:
        prediction: N x C x H x W.
        target: as the prediction.
        weight: N x H x W, 0 = does not count; bool or not negative.
        scale: side of a window, in pixels.
    """
    weight = weight.float()
    means, share = _local_means(prediction.float() - target.float(), weight, scale)
    return _weighted_mean(means.square().mean(dim=1), share)


def band_contrast_mse(
    prediction: Tensor, target: Tensor, weight: Tensor, scale: int, *, bands: int = 3
) -> Tensor:
    """Return how far the local contrast of a few frequency bands is from the target's.

    Band b is the difference of local means over 2^b and 2^(b+1) pixels; its contrast is the root
    of its mean square over windows of ``scale`` pixels. The texture itself stays free: this says
    how strong it must be, the discriminator what it looks like (docs/decisions.md, D12).

    Args:
        prediction: N x C x H x W.
        target: as the prediction.
        weight: N x H x W, 0 = does not count.
        scale: side of a window, in pixels.
        bands: number of bands, from the finest.
    """
    weight = weight.float()
    total = prediction.new_zeros((), dtype=torch.float32)
    fine = torch.stack([prediction.float(), target.float()])
    for band in range(bands):
        coarse = _smooth(fine, 2 ** (band + 1))
        squares = (fine - coarse).square()
        roots = []
        for image in squares:
            means, share = _local_means(image, weight, scale)
            roots.append((means + 1e-6).sqrt())
        total = total + _weighted_mean((roots[0] - roots[1]).square().mean(dim=1), share)
        fine = coarse
    return total


def _smooth(images: Tensor, pixels: int) -> Tensor:
    """Return ... x C x H x W images averaged over about ``pixels`` pixels, same size."""
    flat = images.flatten(0, 1)
    kernel = pixels + 1
    edges = [kernel // 2] * 4
    return F.avg_pool2d(F.pad(flat, edges, mode="replicate"), kernel, stride=1).view_as(images)


def _local_means(image: Tensor, weight: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Return weighted means, N x C x h x w, and the weight of each window, N x h x w."""
    if scale < 1:
        raise ValueError(f"a scale must be at least 1 pixel, got {scale}")
    kernel = min(scale, image.shape[-2], image.shape[-1])
    stride = max(kernel // 2, 1)
    # divisor_override turns means into sums: windows cut by the border weigh less
    weights = weight.unsqueeze(1)
    share = F.avg_pool2d(weights, kernel, stride, ceil_mode=True, divisor_override=1)
    sums = F.avg_pool2d(image * weights, kernel, stride, ceil_mode=True, divisor_override=1)
    means = sums / share.clamp_min(torch.finfo(share.dtype).tiny)
    return means, share.squeeze(1)


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum(dim=(1, 2))
    return ((values * weight).sum(dim=(1, 2)) / total.where(total > 0, 1.0)).mean()
