"""FC-HarDNet: segmentation with harmonic dense blocks (Chao et al. 2019, arXiv 1909.00948).

Clean-room from the published architecture; plain concatenation, so it runs anywhere.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.nn.blocks import conv_bn_relu
from flawsmith.nn.init import xavier_normal_

SMALLEST = 64


def harmonic_links(layer: int) -> list[int]:
    """Return the layers that feed ``layer``: layer - 2^i wherever 2^i divides it; 0 = input."""
    return [layer - 2**i for i in range(layer.bit_length()) if layer % 2**i == 0]


def harmonic_widths(num_layers: int, growth: int, multiplier: float) -> list[int]:
    """Return the channels of layers 1 to ``num_layers``: growth * multiplier^(links - 1), even."""
    widths = []
    for layer in range(1, num_layers + 1):
        width = float(growth)
        for _ in harmonic_links(layer)[1:]:
            width *= multiplier
        widths.append(int(int(width + 1) / 2) * 2)
    return widths


class HarmonicBlock(nn.Module):
    """N x in_channels x H x W to N x out_channels x H x W, not negative.

    The result joins all odd layers and the last one, in order; the block's input is not part.
    """

    def __init__(
        self, in_channels: int, *, growth: int, num_layers: int, multiplier: float = 1.7
    ) -> None:
        super().__init__()
        widths = [in_channels, *harmonic_widths(num_layers, growth, multiplier)]
        self.links = [harmonic_links(layer) for layer in range(1, num_layers + 1)]
        self.kept = [n for n in range(1, num_layers + 1) if n % 2 == 1 or n == num_layers]
        self.out_channels = sum(widths[n] for n in self.kept)
        self.layers = nn.ModuleList(
            conv_bn_relu(sum(widths[n] for n in links), width)
            for links, width in zip(self.links, widths[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined layers."""
        maps = [x]
        for links, layer in zip(self.links, self.layers, strict=True):
            inputs = [maps[n] for n in links]
            maps.append(layer(torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0]))
        return torch.cat([maps[n] for n in self.kept], dim=1)


class FcHarDNet(nn.Module):
    """An image N x in_channels x H x W to class logits N x num_classes x H x W.

    H and W are any sizes from 64. 70 convolutions and 4,119,257 parameters at the defaults with
    19 classes. Training with batch norm needs more than one image, or more than 64 pixels.

    Args:
        in_channels: 1 grey, 3 colour.
        num_classes: with the background as class 0.
        stem_channels: of the four stem layers; the first and third halve the size.
        transition_channels: of the 1 x 1 convolution behind each block.
        growth: channels of each block's layers with a single link.
        num_layers: of each block.
        multiplier: how much wider a layer is for each further link.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int,
        stem_channels: tuple[int, int, int, int] = (16, 24, 32, 48),
        transition_channels: tuple[int, ...] = (64, 96, 160, 224, 320),
        growth: tuple[int, ...] = (10, 16, 18, 24, 32),
        num_layers: tuple[int, ...] = (4, 4, 8, 8, 8),
        multiplier: float = 1.7,
    ) -> None:
        super().__init__()
        stem = (in_channels, *stem_channels)
        self.stem = nn.Sequential(
            *(conv_bn_relu(stem[i], stem[i + 1], stride=2 - i % 2) for i in range(4))
        )
        width = stem_channels[-1]
        skips: list[int] = []
        self.down_blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        for g, layers, transition in zip(growth, num_layers, transition_channels, strict=True):
            block = HarmonicBlock(width, growth=g, num_layers=layers, multiplier=multiplier)
            self.down_blocks.append(block)
            self.transitions.append(conv_bn_relu(block.out_channels, transition, kernel=1))
            skips.append(block.out_channels)
            width = transition
        self.reductions = nn.ModuleList()
        self.up_blocks = nn.ModuleList()
        for i in reversed(range(len(skips) - 1)):
            joined = width + skips[i]
            self.reductions.append(conv_bn_relu(joined, joined // 2, kernel=1))
            block = HarmonicBlock(
                joined // 2, growth=growth[i], num_layers=num_layers[i], multiplier=multiplier
            )
            self.up_blocks.append(block)
            width = block.out_channels
        self.head = nn.Conv2d(width, num_classes, 1)
        xavier_normal_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            FlawsmithError: if the image is smaller than 64 x 64 pixels.
        """
        height, width = image.shape[-2:]
        if min(height, width) < SMALLEST:
            raise FlawsmithError(
                f"an image of {height} x {width} pixels was given to FC-HarDNet, which needs at "
                f"least {SMALLEST} x {SMALLEST}: use larger tiles or pad the image"
            )
        x = self.stem(image)
        skips: list[Tensor] = []
        for block, transition in zip(self.down_blocks, self.transitions, strict=True):
            if skips:
                x = F.avg_pool2d(x, 2)
            skips.append(block(x))  # as it is before its 1 x 1 convolution
            x = transition(skips[-1])
        skips.pop()
        for reduction, block in zip(self.reductions, self.up_blocks, strict=True):
            skip = skips.pop()
            x = _resize(x, skip.shape[-2], skip.shape[-1])
            x = block(reduction(torch.cat([x, skip], dim=1)))
        return _resize(self.head(x), height, width)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)
