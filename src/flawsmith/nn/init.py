"""Initial weights, drawn from PyTorch's global generator: seed it before building a network."""

import math

from torch import nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def fan_in(layer: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Return how many weights meet in one output value, on average over positions.

    PyTorch's own rule takes a transposed convolution's weight for a convolution's: it swaps the
    channels and forgets that only 1 in stride^2 taps meets an output pixel.
    """
    taps = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        return taps / math.prod(layer.stride)
    return float(taps)


def he_normal_(network: nn.Module, *, linear: tuple[nn.Module, ...] = ()) -> None:
    """Draw convolution weights from N(0, 2 / fan_in), biases zero (He et al. 2015).

    Args:
        network: changed in place.
        linear: layers with no ReLU behind them: N(0, 1 / fan_in).
    """
    for layer in network.modules():
        if isinstance(layer, CONVOLUTIONS):
            gain = 1.0 if layer in linear else 2.0
            nn.init.normal_(layer.weight, 0.0, math.sqrt(gain / fan_in(layer)))
            _zero_bias(layer)


def xavier_normal_(network: nn.Module) -> None:
    """Draw convolution weights from N(0, 2 / (fan_in + fan_out)), biases zero (Glorot 2010)."""
    for layer in network.modules():
        if isinstance(layer, CONVOLUTIONS):
            nn.init.xavier_normal_(layer.weight)
            _zero_bias(layer)


def normal_(network: nn.Module, *, std: float = 0.02) -> None:
    """Draw convolution weights from N(0, std^2), biases zero: the rule of DCGAN and CycleGAN."""
    for layer in network.modules():
        if isinstance(layer, CONVOLUTIONS):
            nn.init.normal_(layer.weight, 0.0, std)
            _zero_bias(layer)


def _zero_bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
