"""Losses of a segmentation network: the hardest pixels of each image, and overlap of classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from flawsmith.data.schema import IGNORE


def bootstrapped_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    keep_share: float = 1 / 256,
    threshold: float = 0.3,
    ignore: int = IGNORE,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return the mean over images of the mean cross-entropy of their hard pixels.

    Of each image those pixels are kept whose cross-entropy is above ``threshold``, and the
    hardest K if these are fewer: K = keep_share * H * W, at least 1, at most the known pixels.
    An image without a known pixel adds 0. (FC-HarDNet's training; docs/systems/fc_hardnet70.md.)

    Args:
        logits: N x C x H x W.
        target: N x H x W int64, 0 to C - 1 or ``ignore``.
        keep_share: K as a share of the image's pixels.
        threshold: cross-entropy above which a pixel is hard; 0.3 is a probability of 0.74.
        ignore: target value that never counts.
        class_weights: C weights of the kept pixels, whose weighted mean is taken; which pixels
            are kept does not depend on them.

    Raises:
        ValueError: if logits and target differ in size.
    """
    _check_sizes(logits, target)
    per_pixel = F.cross_entropy(logits.float(), target, ignore_index=ignore, reduction="none")
    keep = max(int(keep_share * target[0].numel()), 1)
    losses = []
    for image_losses, image_target in zip(per_pixel, target, strict=True):
        known = image_target != ignore
        values = image_losses[known]
        kept = values.detach() > threshold
        if int(kept.sum()) < keep:
            hardest = values.detach().topk(min(keep, len(values))).indices
            kept = torch.zeros_like(kept).index_fill_(0, hardest, True)
        if class_weights is None:
            weights = kept.float()
        else:
            weights = kept * class_weights.float()[image_target[known]]
        total = weights.sum()
        losses.append((values * weights).sum() / total.where(total > 0, 1.0))
    return torch.stack(losses).mean()


def rarity_weights(
    target: Tensor,
    num_classes: int,
    *,
    exponent: float,
    largest: float = 50.0,
    ignore: int = IGNORE,
) -> Tensor:
    """Return a weight for each class: (most common / own pixels in the target) ^ exponent.

    Defects are a few percent of the pixels and a dot is a thousandth: with equal weights a
    network learns for hundreds of steps that there is no defect (docs/decisions.md, D23).

    Args:
        target: N x H x W int64.
        num_classes: C; absent classes weigh 1.
        exponent: 0 weighs all alike, 1 gives every class the same total.
        largest: upper limit.
        ignore: target value that never counts.
    """
    counts = torch.bincount(target[target != ignore], minlength=num_classes).float()
    weights = (counts.max() / counts.clamp_min(1.0)).pow(exponent).clamp(max=largest)
    return weights.where(counts > 0, 1.0)


def dice_loss(logits: Tensor, target: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Return 1 - the mean Dice coefficient of the defect classes present in the batch.

    For class c with probability p and indicator y over all known pixels of the batch:
    Dice = 2 sum(p y) / (sum(p) + sum(y)) (Milletari et al. 2016, without squares). Class 0 is
    the background and left out; 0 where the batch shows no defect.

    Args:
        logits: N x C x H x W.
        target: N x H x W int64, 0 to C - 1 or ``ignore``.
        ignore: target value that never counts.

    Raises:
        ValueError: if logits and target differ in size.
    """
    _check_sizes(logits, target)
    known = (target != ignore).unsqueeze(1)
    probabilities = logits.float().softmax(dim=1)[:, 1:] * known
    classes = torch.arange(1, logits.shape[1], device=target.device).view(1, -1, 1, 1)
    truth = (target.unsqueeze(1) == classes).float() * known
    over = (0, 2, 3)
    overlap, area = (probabilities * truth).sum(over), truth.sum(over)
    dice = 2 * overlap / (probabilities.sum(over) + area).where(area > 0, 1.0)
    present = (area > 0).float()
    return ((1 - dice) * present).sum() / present.sum().clamp_min(1.0)


def _check_sizes(logits: Tensor, target: Tensor) -> None:
    if logits.shape[0] != target.shape[0] or logits.shape[2:] != target.shape[1:]:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} do not fit a target of {tuple(target.shape)}"
        )
