"""Networks of StarGAN (Choi et al. 2018, arXiv 1711.09020): one generator for all domains."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.nn.fixed_size import require_size


def _norm(channels: int) -> nn.InstanceNorm2d:
    # The reference code tracks running statistics and then samples with those of the batch; here
    # an image has its own statistics in training and after it.
    return nn.InstanceNorm2d(channels, affine=True)


class _Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        change: Tensor = self.body(x)
        return x + change


class StarGanGenerator(nn.Module):
    """An image N x C x H x W and label planes to an image of the same shape in (-1, 1).

    H and W are any multiples of 4. With 64 channels, six blocks, colour and five labels 8,430,528
    parameters; a label more costs 3,136. The zeros around the image are part of the method: an
    instance norm takes a constant plane away, but for what the border makes of it.

    Args:
        image_channels: 1 grey, 3 colour.
        condition_channels: of label planes and noise beside the image.
        base_channels: width at full size; 4 times that in the blocks.
        num_blocks: residual blocks.
    """

    def __init__(
        self,
        *,
        image_channels: int = 3,
        condition_channels: int,
        base_channels: int = 64,
        num_blocks: int = 6,
    ) -> None:
        super().__init__()
        f = base_channels

        def layer(convolution: nn.Module, channels: int) -> list[nn.Module]:
            return [convolution, _norm(channels), nn.ReLU(inplace=True)]

        def up(channels: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(channels, channels // 2, 4, 2, padding=1, bias=False)

        inputs = image_channels + condition_channels
        self.layers = nn.Sequential(
            *layer(nn.Conv2d(inputs, f, 7, padding=3, bias=False), f),
            *layer(nn.Conv2d(f, 2 * f, 4, 2, padding=1, bias=False), 2 * f),
            *layer(nn.Conv2d(2 * f, 4 * f, 4, 2, padding=1, bias=False), 4 * f),
            *(_Block(4 * f) for _ in range(num_blocks)),
            *layer(up(4 * f), 2 * f),
            *layer(up(2 * f), f),
            nn.Conv2d(f, image_channels, 7, padding=3, bias=False),
            nn.Tanh(),
        )

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """Return the translated image.

        Raises:
            FlawsmithError: if H or W is not a multiple of 4.
        """
        height, width = image.shape[-2:]
        if height % 4 or width % 4:
            raise FlawsmithError(
                f"an image of {height} x {width} pixels was given to StarGAN, which needs "
                "multiples of 4: choose such a training.tile_size"
            )
        translated: Tensor = self.layers(torch.cat([image, condition], dim=1))
        return translated


class StarGanDiscriminator(nn.Module):
    """An image to patch scores N x 1 x h x w (high for real) and logits N x num_domains.

    Square images of ``image_size`` alone: the classifier's kernel is the whole map that is left of
    the image. h = w = image_size / 2^num_layers. With 64 channels, six layers, colour, 128 pixels
    and five domains 44,762,048 parameters.

    Args:
        image_channels: 1 grey, 3 colour.
        num_domains: logits.
        image_size: height and width, a multiple of 2^num_layers.
        base_channels: width of the first layer; it doubles with each of the others.
        num_layers: halvings.
    """

    def __init__(
        self,
        *,
        image_channels: int = 3,
        num_domains: int,
        image_size: int,
        base_channels: int = 64,
        num_layers: int = 6,
    ) -> None:
        super().__init__()
        if image_size % (1 << num_layers):
            raise FlawsmithError(
                f"images of {image_size} px cannot be halved {num_layers} times: choose a "
                f"training.tile_size that is a multiple of {1 << num_layers}, or fewer "
                "network.discriminator_layers"
            )
        self.image_size = image_size
        widths = [image_channels, *(base_channels << level for level in range(num_layers))]
        layers: list[nn.Module] = []
        for below, above in pairwise(widths):
            layers += [nn.Conv2d(below, above, 4, 2, padding=1), nn.LeakyReLU(0.01, inplace=True)]
        self.layers = nn.Sequential(*layers)
        rest = image_size >> num_layers
        self.source = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.domain = nn.Conv2d(widths[-1], num_domains, rest, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return patch scores and domain logits.

        Raises:
            FlawsmithError: for an image of another size.
        """
        require_size(image, self.image_size)
        features = self.layers(image)
        return self.source(features), self.domain(features).flatten(1)
