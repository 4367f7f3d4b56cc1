"""Pretrained networks that turn crops into the features that the figures are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from flawsmith.models.efficientnet_lite0 import load_pretrained
from flawsmith.registry import Registry

Variant = Literal["in_mask", "pooled", "whole_tile"]
"""in_mask: maps at strides 8 and 16, each place normalised, averaged over the defect; pooled: the
head's features over the whole crop; whole_tile: the same of a tile of the synthetic size."""

IN_MASK_MAPS = (2, 3)
"""Of EfficientNet-Lite0: strides 8 (40 channels) and 16 (112)."""


@dataclass(frozen=True)
class CropFeatures:
    """Features of N crops.

    Attributes:
        pooled: N x D.
        in_mask: N x E; None of a network that gives none.
        probabilities: N x C of the network's own classes; None without a classifier.
    """

    pooled: NDArray[np.float32]
    in_mask: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None


FeatureNetwork = Callable[[Tensor, Tensor], CropFeatures]
"""Maps N x 3 x H x W in [-1, 1] and N x H x W mask weights in [0, 1] to features."""

FEATURE_NETWORKS: Registry[Callable[[], FeatureNetwork]] = Registry("feature network")
"""Makers of networks by name; the name is part of every figure's name."""


@FEATURE_NETWORKS.register("efficientnet_lite0")
def efficientnet_lite0() -> FeatureNetwork:
    """Return EfficientNet-Lite0 with ImageNet weights: pooled 1280, in_mask 40 + 112 features.

    Raises:
        FlawsmithError: if its weights are not installed.
    """
    network = load_pretrained()

    @torch.inference_mode()
    def features(crops: Tensor, masks: Tensor) -> CropFeatures:
        maps = network(crops)
        pooled = network.head(maps[-1]).mean(dim=(2, 3))
        inside = torch.cat([pool_inside(maps[i], masks) for i in IN_MASK_MAPS], dim=1)
        return CropFeatures(pooled.numpy(), inside.numpy())

    return features


def pool_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Return N x C: the normalised features of N x C x h x w maps, averaged over the masks.

    At each place the C features are scaled to mean square 1, as in LPIPS (Zhang et al., CVPR 2018):
    otherwise a few strong places decide every distance, and the cubic kernel most of all. Places
    weigh by the share of their cell in the mask; a mask without any pixel counts as the whole crop.
    """
    scale = maps.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
    height, width = maps.shape[2:]
    weights = F.adaptive_avg_pool2d(masks[:, None].float(), (height, width))
    weights = torch.where(weights.sum(dim=(2, 3), keepdim=True) > 0, weights, 1.0)
    return (maps / scale * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3))
