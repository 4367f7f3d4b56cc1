"""The generator of Defect-GAN (Zhang et al. 2021, arXiv 2103.15158): a layer over a real surface.

No code was published and the paper prints no table of layers; these are those of the published
re-implementations, as docs/systems/defect_gan.md says. The discriminator is StarGAN's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.errors import FlawsmithError
from flawsmith.nn.init import normal_

NOISE_CHANNELS = 2
"""One map of noise for each of the two enlargements."""

FIRST_NOISE = 0.1
"""Strength of the noise before training, of activations with a standard deviation near 1."""


class Spade(nn.Module):
    """Normalised maps, scaled and shifted pixel by pixel as a control map says (Park et al. 2019).

    Args:
        channels: of the maps.
        control_channels: of the control map.
        hidden_channels: of the layer between.
    """

    def __init__(self, *, channels: int, control_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.hidden = nn.Conv2d(control_channels, hidden_channels, 3, padding=1)
        self.gamma = nn.Conv2d(hidden_channels, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden_channels, channels, 3, padding=1)

    def forward(self, x: Tensor, control: Tensor) -> Tensor:
        """Return norm(x) (1 + gamma) + beta; the control map may be of any larger size."""
        near = F.interpolate(control, size=x.shape[-2:], mode="nearest")
        hidden = F.relu(self.hidden(near))
        shaped: Tensor = self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)
        return shaped


class _Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), with plain norms or with SPADE."""

    def __init__(self, channels: int, control: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.controlled = control is not None

        def norm() -> nn.Module:
            if control is None:
                return nn.InstanceNorm2d(channels)
            return Spade(channels=channels, control_channels=control[0], hidden_channels=control[1])

        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.first_norm = norm()
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.second_norm = norm()

    def forward(self, x: Tensor, control: Tensor) -> Tensor:
        """Return a map of the same shape."""
        given = (control,) if self.controlled else ()
        y = F.relu(self.first_norm(self.first(x), *given))
        change: Tensor = self.second_norm(self.second(y), *given)
        return x + change


class _Up(nn.Module):
    """Twice the size and half the width: SPADE, conv 3, noise, LeakyReLU."""

    def __init__(self, channels: int, control_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.spade = Spade(
            channels=channels, control_channels=control_channels, hidden_channels=hidden_channels
        )
        self.conv = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.noise_strength = nn.Parameter(torch.full((channels // 2,), FIRST_NOISE))

    def forward(self, x: Tensor, control: Tensor, noise: Tensor) -> Tensor:
        """Return the enlarged maps; ``noise`` is N x 1 and of their size or a multiple of it."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.conv(self.spade(x, control))
        step = noise.shape[-1] // x.shape[-1]  # every step-th number is white noise as well
        strength = self.noise_strength[:, None, None]
        return F.leaky_relu(x + strength * noise[..., ::step, ::step], 0.2)


class DefectGanGenerator(nn.Module):
    """An image and a control map to (image, foreground f, spatial map m).

    image = x (1 - m) + f m, N x C x H x W in [-1, 1] where x is; f in (-1, 1); m is N x 1 x H x W
    in (0, 1). H and W are any multiples of 4. With 64 channels, colour and six control planes
    12,611,588 parameters.

    Args:
        image_channels: 1 grey, 3 colour.
        control_channels: planes of the control map: normal, and each defect.
        base_channels: width at full size; 4 times that in the blocks.
        num_blocks: residual blocks, of which the second half sees the control map.
        control_width: channels between control map and SPADE's scales.
    """

    def __init__(
        self,
        *,
        image_channels: int = 3,
        control_channels: int,
        base_channels: int = 64,
        num_blocks: int = 6,
        control_width: int = 128,
    ) -> None:
        super().__init__()
        f, control = base_channels, (control_channels, control_width)
        plain = num_blocks // 2
        self.down = nn.Sequential(
            nn.Conv2d(image_channels, f, 7, padding=3),
            nn.InstanceNorm2d(f),
            nn.ReLU(inplace=True),
            nn.Conv2d(f, 2 * f, 4, 2, padding=1),
            nn.InstanceNorm2d(2 * f),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * f, 4 * f, 4, 2, padding=1),
            nn.InstanceNorm2d(4 * f),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.ModuleList(
            _Block(4 * f, None if index < plain else control) for index in range(num_blocks)
        )
        self.up = nn.ModuleList(_Up(width, *control) for width in (4 * f, 2 * f))
        self.foreground = nn.Conv2d(f, image_channels, 7, padding=3)
        self.spatial = nn.Conv2d(f, 1, 7, padding=3)
        normal_(self)

    def forward(
        self, image: Tensor, control: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image with its layer, the layer f, and where it lies, m.

        Args:
            image: N x C x H x W.
            control: N x planes x H x W.
            noise: N x 2 x H x W from N(0, 1).

        Raises:
            FlawsmithError: if H or W is not a multiple of 4.
        """
        height, width = image.shape[-2:]
        if height % 4 or width % 4:
            raise FlawsmithError(
                f"an image of {height} x {width} pixels was given to Defect-GAN, which needs "
                "multiples of 4: choose such a training.tile_size"
            )
        x = self.down(image)
        for block in self.blocks:
            x = block(x, control)
        for index, up in enumerate(self.up):
            x = up(x, control, noise[:, index : index + 1])
        foreground = torch.tanh(self.foreground(x)).float()
        spatial = torch.sigmoid(self.spatial(x)).float()
        return compose(image.float(), foreground, spatial), foreground, spatial


def compose(surface: Tensor, foreground: Tensor, spatial: Tensor) -> Tensor:
    """Return x (1 - m) + f m: where m is 0 the surface, bit for bit."""
    return surface * (1 - spatial) + foreground * spatial
