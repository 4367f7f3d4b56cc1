"""Keras's defaults where they differ from PyTorch's: each of them changes training silently."""

from torch import nn

from flawsmith.nn.init import CONVOLUTIONS

ADAM_EPSILON = 1e-7
LEAKY_SLOPE = 0.3
NORM_MOMENTUM = 0.01
"""Share of the new batch in the running statistics; Keras says 0.99, the share of the old."""

NORM_EPSILON = 1e-3


def batch_norm(channels: int, *, momentum: float = NORM_MOMENTUM) -> nn.BatchNorm2d:
    """Return batch norm of N x channels x H x W maps."""
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON, momentum=momentum)


def feature_norm(features: int, *, momentum: float = NORM_MOMENTUM) -> nn.BatchNorm1d:
    """Return batch norm of N x features values."""
    return nn.BatchNorm1d(features, eps=NORM_EPSILON, momentum=momentum)


def glorot_uniform_(network: nn.Module) -> None:
    """Draw the weights of convolutions and dense layers as Glorot 2010, biases zero."""
    for layer in network.modules():
        if isinstance(layer, (*CONVOLUTIONS, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
