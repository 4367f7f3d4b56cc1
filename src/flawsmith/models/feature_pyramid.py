"""Segmentation on an encoder's feature maps: a light feature pyramid (Lin et al. 2017).

Unlike the published pyramid its levels are as wide as their resolution can pay for, neighbouring
levels are joined instead of added, and it goes down to stride 2: the smallest blowholes are a few
pixels wide and vanish at stride 4.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flawsmith.models.efficientnet_lite0 import FEATURE_CHANNELS, EfficientNetLite0, to_rgb
from flawsmith.nn.blocks import conv_bn_relu
from flawsmith.nn.init import he_normal_

DECODER_CHANNELS = (32, 48, 64, 96, 128)


class FeaturePyramid(nn.Module):
    """Feature maps, fine to coarse, to one map as fine as the finest.

    From the coarsest map on: enlarge bilinearly, join with the next finer map behind a 1 x 1
    convolution, convolve 3 x 3.

    Args:
        in_channels: of the maps, fine to coarse.
        channels: of the decoder at each of them.
    """

    def __init__(self, in_channels: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            conv_bn_relu(width, out, kernel=1)
            for width, out in zip(in_channels, channels, strict=True)
        )
        self.fusions = nn.ModuleList(
            conv_bn_relu(coarse + fine, fine) for fine, coarse in pairwise(channels)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return N x channels[0] x H x W for a finest map of H x W."""
        x: Tensor = self.laterals[-1](maps[-1])
        for level in reversed(range(len(self.fusions))):
            fine = self.laterals[level](maps[level])
            x = self.fusions[level](torch.cat([_resize(x, fine.shape[-2:]), fine], dim=1))
        return x


class PyramidSegmenter(nn.Module):
    """A grey or RGB image N x C x H x W in [-1, 1] to class logits N x num_classes x H x W.

    Args:
        encoder: gives the maps of an RGB image.
        num_classes: with the background as class 0.
        freeze_encoder: keep the encoder's weights and statistics as they are.
        channels: of the decoder at strides 2, 4, 8, 16, 32.
    """

    def __init__(
        self,
        encoder: EfficientNetLite0,
        *,
        num_classes: int,
        freeze_encoder: bool = False,
        channels: Sequence[int] = DECODER_CHANNELS,
    ) -> None:
        super().__init__()
        self.decoder = FeaturePyramid(FEATURE_CHANNELS, channels)
        self.classifier = nn.Conv2d(channels[0], num_classes, 1)
        he_normal_(self, linear=(self.classifier,))
        self.encoder = encoder
        self.freeze_encoder = freeze_encoder
        # The head serves pooled features only; here it would be weights without a gradient.
        self.encoder.head = nn.Sequential()
        self.encoder.requires_grad_(not freeze_encoder)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits."""
        x: Tensor = self.decoder(self.encoder(to_rgb(image)))
        return _resize(self.classifier(x), image.shape[-2:])

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.freeze_encoder:
            self.encoder.eval()
        return self


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
