"""TensorFlow's ``padding='same'`` for convolutions; DBS-GAN's stated sizes are true only with it.

Sources: specs of the Keras layers; see docs/decisions.md, A6 to A8.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis so that a convolution gives ceil(size / stride)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv2dSame(nn.Conv2d):
    """A convolution of an H x W map to ceil(H / stride) x ceil(W / stride).

    An odd total of padding puts the extra zero below and to the right.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        bias: bool = True,
        groups: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolved map."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = same_padding(input.shape[-2], kernel, stride)
        left, right = same_padding(input.shape[-1], kernel, stride)
        if (top, left) == (bottom, right):  # the convolution pads by itself, without a copy
            padding = (top, left)
            return F.conv2d(input, self.weight, self.bias, self.stride, padding, 1, self.groups)
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


class ConvTranspose2dSame(nn.ConvTranspose2d):
    """A transposed convolution of an H x W map to (stride * H) x (stride * W).

    It is the adjoint of ``Conv2dSame`` with the same weight. The common idiom
    ``padding=1, output_padding=1`` has the same size but is shifted by one pixel.

    Raises:
        ValueError: if the kernel is smaller than the stride: some outputs would see no input.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> None:
        if kernel < stride:
            raise ValueError(f"a kernel of {kernel} leaves gaps at a stride of {stride}")
        super().__init__(
            in_channels, out_channels, kernel, stride, padding=(kernel - stride) // 2, bias=bias
        )

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the enlarged map; ``output_size`` is fixed by the class and ignored."""
        height, width = input.shape[-2:]
        grown = super().forward(input)
        return grown[..., : height * self.stride[0], : width * self.stride[1]]
