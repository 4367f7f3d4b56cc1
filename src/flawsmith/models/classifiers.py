"""Classifiers of whole images, every one with exact class-activation maps, and their registry.

The last layers are a 1 x 1 convolution to one map a class and the mean over all places, so a
logit is the mean of its map (Zhou et al. 2016, arXiv 1512.04150, equation 2, with the mean for
the sum). Pooling first and a linear layer after it would give the same logits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, Self

from torch import Tensor, nn

from flawsmith.models.efficientnet_lite0 import (
    HEAD_CHANNELS,
    EfficientNetLite0,
    build_encoder,
    to_rgb,
)
from flawsmith.nn.blocks import conv_bn_relu
from flawsmith.nn.init import he_normal_
from flawsmith.registry import Registry


class MapClassifier(nn.Module, ABC):
    """An image N x C x H x W in [-1, 1] to logits N x num_classes; a subclass gives features.

    Args:
        feature_channels: of the features.
        num_classes: one logit each; an image may show several classes or none.
    """

    def __init__(self, feature_channels: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(feature_channels, num_classes, 1)
        he_normal_(self.classifier, linear=(self.classifier,))

    @abstractmethod
    def features(self, image: Tensor) -> Tensor:
        """Return N x feature_channels x h x w."""

    def maps(self, image: Tensor) -> Tensor:
        """Return N x num_classes x h x w; the mean over the places of a map is the logit."""
        result: Tensor = self.classifier(self.features(image))
        return result.float()

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits."""
        return self.maps(image).mean(dim=(2, 3))

    def pooled(self, image: Tensor) -> Tensor:
        """Return N x feature_channels: the features, averaged over all places."""
        return self.features(image).float().mean(dim=(2, 3))


class CnnClassifier(MapClassifier):
    """Two 3 x 3 convolutions at each width, the first with stride 2; maps at stride 16.

    210,931 parameters for grey images and three classes.

    Args:
        in_channels: 1 grey, 3 colour.
        num_classes: see `MapClassifier`.
        channels: width of each stage.
    """

    def __init__(self, *, in_channels: int, num_classes: int, channels: Sequence[int]) -> None:
        super().__init__(channels[-1], num_classes)
        stages = [
            nn.Sequential(conv_bn_relu(before, width, stride=2), conv_bn_relu(width, width))
            for before, width in pairwise((in_channels, *channels))
        ]
        self.stages = nn.Sequential(*stages)
        he_normal_(self.stages)

    def features(self, image: Tensor) -> Tensor:
        """Return N x channels[-1] x ceil(H / 16) x ceil(W / 16)."""
        result: Tensor = self.stages(image)
        return result


class EfficientNetClassifier(MapClassifier):
    """The 1,280 features of EfficientNet-Lite0 and a linear layer; maps at stride 32.

    Args:
        encoder: takes an RGB image; a grey one is repeated.
        num_classes: see `MapClassifier`.
        freeze_encoder: keep the encoder's weights and statistics as they are, which leaves
            logistic regression on its pooled features.
    """

    def __init__(
        self, encoder: EfficientNetLite0, *, num_classes: int, freeze_encoder: bool
    ) -> None:
        super().__init__(HEAD_CHANNELS, num_classes)
        self.encoder = encoder
        self.freeze_encoder = freeze_encoder
        self.encoder.requires_grad_(not freeze_encoder)

    def features(self, image: Tensor) -> Tensor:
        """Return N x 1280 x ceil(H / 32) x ceil(W / 32)."""
        result: Tensor = self.encoder.head(self.encoder(to_rgb(image))[-1])
        return result

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.freeze_encoder:
            self.encoder.eval()
        return self


CLASSIFIERS: Registry[Callable[..., MapClassifier]] = Registry("classifier")


@CLASSIFIERS.register("cnn_classifier")
def cnn_classifier(*, in_channels: int = 1, num_classes: int = 3) -> CnnClassifier:
    """Return a small convolutional network, trained from scratch."""
    return CnnClassifier(
        in_channels=in_channels, num_classes=num_classes, channels=(16, 32, 64, 96)
    )


@CLASSIFIERS.register("efficientnet_classifier")
def efficientnet_classifier(
    *,
    in_channels: int = 1,
    num_classes: int = 3,
    pretrained: bool = True,
    encoder: Literal["frozen", "tuned"] = "frozen",
    load: bool = True,
) -> EfficientNetClassifier:
    """Return a linear layer on EfficientNet-Lite0 (Tan and Le 2019).

    Args:
        in_channels: 1 grey (repeated to RGB), 3 colour.
        num_classes: one logit each.
        pretrained: begin with ImageNet weights and keep their batch-norm statistics.
        encoder: whether the encoder's weights are trained, or the linear layer's only.
        load: False: a checkpoint brings the weights; nothing needs to be installed.
    """
    backbone = build_encoder(pretrained=pretrained, encoder=encoder, load=load)
    return EfficientNetClassifier(
        backbone, num_classes=num_classes, freeze_encoder=encoder == "frozen"
    )
