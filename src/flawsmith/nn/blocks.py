"""Layers that come together."""

from torch import nn


def conv_bn_relu(
    in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1
) -> nn.Sequential:
    """Return convolution (no bias, size kept but for the stride), batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def conv_layers(network: nn.Module) -> list[nn.Module]:
    """Return the convolutions and transposed convolutions of a network, in order."""
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
