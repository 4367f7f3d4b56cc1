"""The generator of CycleGAN (Zhu et al. 2017, arXiv 1703.10593): residual blocks at a quarter."""

import torch
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.nn.init import normal_


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]


class _Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), padded by reflection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *_norm_relu(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        change: Tensor = self.body(x)
        return x + change


class CycleGanGenerator(nn.Module):
    """An image N x C x H x W, and a condition, to an image of the same shape in (-1, 1).

    H and W are any multiples of 4. With 64 channels and nine blocks 11,378,179 parameters for
    colour, 11,365,633 for grey; with six blocks, the authors' choice for 128 pixels, 7,837,699.

    Args:
        image_channels: 1 grey, 3 colour.
        condition_channels: of a class map and noise beside the image; the paper has none.
        base_channels: width at full size; 4 times that in the blocks.
        num_blocks: residual blocks.
    """

    def __init__(
        self,
        *,
        image_channels: int = 3,
        condition_channels: int = 0,
        base_channels: int = 64,
        num_blocks: int = 9,
    ) -> None:
        super().__init__()
        f, inputs = base_channels, image_channels + condition_channels
        # A plane of one value is the same number everywhere behind a convolution that is padded by
        # reflection, and an instance norm would take it away: with a condition there is none here.
        after_stem = [nn.ReLU(inplace=True)] if condition_channels else _norm_relu(f)
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(inputs, f, 7),
            *after_stem,
            nn.Conv2d(f, 2 * f, 3, 2, padding=1),
            *_norm_relu(2 * f),
            nn.Conv2d(2 * f, 4 * f, 3, 2, padding=1),
            *_norm_relu(4 * f),
            *(_Block(4 * f) for _ in range(num_blocks)),
            nn.ConvTranspose2d(4 * f, 2 * f, 3, 2, padding=1, output_padding=1),
            *_norm_relu(2 * f),
            nn.ConvTranspose2d(2 * f, f, 3, 2, padding=1, output_padding=1),
            *_norm_relu(f),
            nn.ReflectionPad2d(3),
            nn.Conv2d(f, image_channels, 7),
            nn.Tanh(),
        )
        normal_(self)

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the translated image.

        Raises:
            FlawsmithError: if H or W is not a multiple of 4.
        """
        height, width = image.shape[-2:]
        if height % 4 or width % 4:
            raise FlawsmithError(
                f"an image of {height} x {width} pixels was given to CycleGAN, which needs "
                "multiples of 4: choose such a training.tile_size"
            )
        inputs = image if condition is None else torch.cat([image, condition], dim=1)
        translated: Tensor = self.layers(inputs)
        return translated
