"""Layers of StyleGAN2 in plain PyTorch operations (Karras et al. 2020, arXiv 1912.04958).

Weights are drawn from N(0, 1) and scaled at run time (equalised learning rate: Karras et al. 2018,
arXiv 1710.10196). A leaky rectifier follows with a gain of sqrt 2; it is homogeneous, so the gain
stands in the weight and the bias before it and costs no pass over the map.
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
GAIN = math.sqrt(2.0)
EPSILON = 1e-8


def float32(like: Tensor) -> AbstractContextManager[object]:
    """Return a context in which products are made in float32, also under autocast."""
    if like.is_meta:  # shapes only: no autocast there
        return nullcontext()
    return torch.autocast(like.device.type, enabled=False)


def normalize(x: Tensor) -> Tensor:
    """Return N x F vectors of mean square 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu_(x, SLOPE)


class Smooth(nn.Module):
    """The filter [1, 3, 3, 1] / 8 along both axes, with zeros around the map.

    A map of n pixels has n + 2 padding - 3 of them afterwards, divided by the stride.

    Args:
        padding: zeros on every side.
        stride: of the kept pixels.
    """

    kernel: Tensor

    def __init__(self, *, padding: int, stride: int = 1) -> None:
        super().__init__()
        self.padding, self.stride = padding, stride
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
        self.register_buffer("kernel", torch.outer(taps, taps), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the smoothed map."""
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).repeat(channels, 1, 1, 1)
        return F.conv2d(x, kernel, None, self.stride, self.padding, groups=channels)


def enlarge(x: Tensor) -> Tensor:
    """Return a map of twice the size: zeros between the pixels, filter [1, 3, 3, 1] / 4.

    That filter is linear interpolation. At the rim the last pixel is repeated instead of zeros.
    """
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class EqualizedLinear(nn.Module):
    """N x in_features to N x out_features, in float32.

    Args:
        in_features: of the input.
        out_features: of the output.
        rate: multiplies the learning rate; the first output does not depend on it.
        initial_bias: of all outputs.
        rectify: leaky rectifier with gain sqrt 2 behind.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rate: float = 1.0,
        initial_bias: float = 0.0,
        rectify: bool = False,
    ) -> None:
        super().__init__()
        self.rectify = rectify
        self.bias_scale = rate * (GAIN if rectify else 1.0)
        self.scale = self.bias_scale / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), initial_bias / rate))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        with float32(x):
            y = F.linear(x.float(), self.weight * self.scale, self.bias * self.bias_scale)
        return _leaky(y) if self.rectify else y


class EqualizedConv2d(nn.Module):
    """A convolution of an N x C x H x W map that keeps its size or halves it.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: 1 or 3.
        down: smooth, then keep every second pixel; H and W are even.
        rectify: bias and leaky rectifier with gain sqrt 2 behind; else neither.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        down: bool = False,
        rectify: bool = True,
    ) -> None:
        super().__init__()
        gain = GAIN if rectify else 1.0
        self.scale = gain / math.sqrt(in_channels * kernel**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if rectify else None
        self.stride, self.padding = 1, kernel // 2
        self.smooth: nn.Module = nn.Identity()
        if down and kernel == 1:  # the order does not matter, and smoothing may skip pixels
            self.smooth = Smooth(padding=1, stride=2)
        elif down:
            self.smooth, self.stride, self.padding = Smooth(padding=2), 2, 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved map."""
        bias = None if self.bias is None else self.bias * GAIN
        weight = self.weight * self.scale
        y = F.conv2d(self.smooth(x), weight, bias, self.stride, self.padding)
        return y if bias is None else _leaky(y)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights a style scales for each image (2020, section 2.2, Eqs. 1 to 3).

    w'_oik = s_i w_oik, then w''_oik = w'_oik / sqrt(sum_ik w'_oik^2 + 1e-8). Both factors stand
    before the sums over i and k, so they are given to the input and to the output instead, and all
    images share one convolution. ``weights`` gives w'' itself.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: 1 or 3.
        style_size: of the latent that an affine map makes the style of.
        demodulate: whether w'' or w' is used.
        up: double the size, then smooth.
        gain: of a rectifier behind.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        style_size: int,
        demodulate: bool = True,
        up: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.demodulate, self.up = demodulate, up
        self.padding = kernel // 2
        # Of the pixels of a doubled map three in four are zeros.
        self.gain = gain * (4.0 if up else 1.0)
        self.scale = 1.0 if demodulate else 1.0 / math.sqrt(in_channels * kernel**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.affine = EqualizedLinear(style_size, in_channels, initial_bias=1.0)
        self.smooth = Smooth(padding=1)

    def forward(self, x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        """Return the convolved map plus ``bias``, one value for each output channel."""
        style = self.affine(w)
        modulated = x * style[:, :, None, None].to(x.dtype)
        if self.up:
            y = F.conv_transpose2d(modulated, self.weight.transpose(0, 1), stride=2)
            y = self.smooth(y)
        else:
            y = F.conv2d(modulated, self.weight, padding=self.padding)
        factor = self.gain * self.factors(style)[:, :, None, None].to(y.dtype)
        return torch.addcmul(bias[None, :, None, None].to(y.dtype), y, factor)

    def factors(self, style: Tensor) -> Tensor:
        """Return N x out_channels: what the outputs are multiplied by."""
        if not self.demodulate:
            return torch.full((len(style), len(self.weight)), self.scale, device=style.device)
        with float32(style):
            energy: Tensor = style.square() @ self.weight.square().sum(dim=(2, 3)).t()
        return (energy + EPSILON).rsqrt()

    def weights(self, w: Tensor) -> Tensor:
        """Return N x out_channels x in_channels x kernel x kernel: w'', or w' scaled."""
        style: Tensor = self.affine(w)
        modulated = style[:, None, :, None, None] * self.weight
        return modulated * self.factors(style)[:, :, None, None, None]


class StyledConv2d(nn.Module):
    """Modulated convolution 3 x 3, noise of learned strength, bias, leaky rectifier, gain sqrt 2.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        style_size: of w.
        up: double the size.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, style_size: int, up: bool = False
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(
            in_channels, out_channels, 3, style_size=style_size, up=up, gain=GAIN
        )
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Return the map; ``noise`` is N x 1 x H x W of the output's size."""
        y = self.conv(x, w, self.bias * GAIN)
        return _leaky(y + (noise * (self.noise_strength * GAIN)).to(y.dtype))


class MinibatchDeviation(nn.Module):
    """Appends one map: how much the images of a group differ (Karras et al. 2018, section 3).

    The standard deviation of every value over the group, averaged over channels and pixels. A
    group is ``group`` images that follow each other, or as many as divide both it and the batch.

    Args:
        group: images that are compared.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Return N x (C + 1) x H x W."""
        count, _, height, width = x.shape
        group = math.gcd(count, self.group)
        groups = x.float().reshape(count // group, group, -1)
        deviation = (groups.var(dim=1, correction=0) + EPSILON).sqrt().mean(dim=1)
        maps = deviation.repeat_interleave(group).view(count, 1, 1, 1)
        return torch.cat([x, maps.to(x.dtype).expand(count, 1, height, width)], dim=1)
