"""Networks of segmentation-models-pytorch (Iakubovskii; MIT) behind one adapter.

The package is optional; with it every pair of its architectures and encoders is an inspection
network. Nothing is downloaded unless ``weights`` asks for it.
"""

from importlib import import_module
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError

MULTIPLE = 32
"""Most of its networks take only sides that are multiples of this."""


class SegmentationModel(nn.Module):
    """An image N x in_channels x H x W of any size to class logits N x num_classes x H x W.

    Args:
        architecture: unet, fpn, deeplabv3plus, ...; the package's `create_model` knows the names.
        backbone: its encoder: resnet18, efficientnet-b0, ...
        weights: None: random; ``imagenet``: the package downloads them once.
        in_channels: 1 grey, 3 colour.
        num_classes: with the background as class 0.

    Raises:
        FlawsmithError: if the package is not installed or does not know a name.
    """

    def __init__(
        self,
        *,
        architecture: str,
        backbone: str,
        weights: str | None,
        in_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        package = _package()
        try:
            self.network = package.create_model(
                architecture,
                encoder_name=backbone,
                encoder_weights=weights,
                in_channels=in_channels,
                classes=num_classes,
            )
        except (KeyError, ValueError, RuntimeError, OSError) as error:
            raise FlawsmithError(
                f"segmentation-models-pytorch cannot build architecture '{architecture}' on "
                f"backbone '{backbone}' with weights '{weights}': {error}"
            ) from None

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits; sides are extended to multiples of 32 by their last pixels."""
        height, width = image.shape[-2:]
        below, right = -height % MULTIPLE, -width % MULTIPLE
        padded = F.pad(image, (0, right, 0, below), mode="replicate") if below + right else image
        logits: Tensor = self.network(padded)
        return logits[..., :height, :width]


def _package() -> ModuleType:
    try:
        return import_module("segmentation_models_pytorch")
    except ModuleNotFoundError:
        raise FlawsmithError(
            "network 'smp' needs segmentation-models-pytorch, which is not installed; install it "
            "with: pip install 'flawsmith[smp]', or choose another network: flawsmith info"
        ) from None
