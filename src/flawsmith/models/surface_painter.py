"""Networks of DBS-GAN on real backgrounds: a painter, and a discriminator that names every pixel.

The painter changes a real surface inside a soft neighbourhood of the label and nowhere else. It
says three things of a pixel: what to add, how much of the surface's own grain to keep, and (its
only way to large textured defects that look real) that grain amplified or smoothed away.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

GRAIN_PIXELS = 9
"""Structure finer than this is the grain of a surface."""


def soft_neighbourhood(inside: Tensor, *, reach: int, fall: int) -> Tensor:
    """Return N x 1 x H x W weights: 1 in the mask and ``reach`` px around, 0 beyond ``fall`` more.

    Args:
        inside: N x H x W bool.
        reach: by which the mask grows at full weight: labels are seldom exact.
        fall: pixels over which the weight falls to 0.
    """
    weight = inside.float().unsqueeze(1)
    if reach:
        weight = F.max_pool2d(weight, 2 * reach + 1, 1, reach)
    # Repeated averages of a grown mask: each reaches one pixel further and none beyond the sum.
    for _ in range(fall):
        weight = torch.maximum(weight, F.avg_pool2d(F.pad(weight, [1] * 4, mode="replicate"), 3, 1))
    return weight


def grain(image: Tensor) -> Tensor:
    """Return what of an N x C x H x W image is finer than `GRAIN_PIXELS`."""
    return image - local_mean(image, GRAIN_PIXELS)


def local_mean(image: Tensor, pixels: int) -> Tensor:
    """Return the mean of N x C x H x W over windows of ``pixels`` x ``pixels`` (odd)."""
    edge = [pixels // 2] * 4
    return F.avg_pool2d(F.pad(image, edge, mode="replicate"), pixels, 1) if pixels > 1 else image


class _Block(nn.Module):
    """x + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.InstanceNorm2d(channels, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        change: Tensor = self.body(x)
        return x + change


class SurfacePainter(nn.Module):
    """Real surface, label and noise to the surface with the defect.

    A U-Net of four scales; label, style and noise enter at every scale of the up path, so that
    texture of every size can come of noise of that size.

    Args:
        image_channels: 1 grey, 3 colour.
        num_defects: channels of the one-hot label.
        extra_channels: of noise and style maps.
        base_channels: width at half resolution.
        blocks: residual blocks at each of the two lowest scales.
        smooth_pixels: what the painter says is averaged over so many pixels (odd): it may then
            change tone and grain, and paints no detail of its own; 1: as it says.
    """

    size_multiple = 8

    def __init__(
        self,
        *,
        image_channels: int = 1,
        num_defects: int,
        extra_channels: int = 0,
        base_channels: int = 32,
        blocks: int = 1,
        smooth_pixels: int = 1,
    ) -> None:
        super().__init__()
        self.smooth_pixels = smooth_pixels
        f = base_channels
        condition = num_defects + extra_channels + 1
        thin = max(f // 3, 8)
        self.stem = nn.Conv2d(image_channels + condition, thin, 3, padding=1)
        widths = (thin, f, 2 * f, 4 * f)
        self.down = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(below, above, 4, 2, padding=1))
            for below, above in pairwise(widths)
        )
        self.deep = nn.Sequential(*(_Block(4 * f) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(above + below + condition, below, 3, padding=1), nn.LeakyReLU(0.2)
            )
            for below, above in pairwise(widths)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(blocks)))
            if width > thin
            else nn.Identity()
            for width in widths[:-1]
        )
        self.head = nn.Conv2d(thin, image_channels + 1, 3, padding=1)
        nn.init.normal_(self.head.weight, 0.0, 0.01)  # begins as the surface, nearly
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, surface: Tensor, one_hot: Tensor, weight: Tensor, extra: Tensor) -> Tensor:
        """Return the painted image, N x C x H x W; where ``weight`` is 0 it is the surface.

        Args:
            surface: N x C x H x W in [-1, 1], without defect.
            one_hot: N x K x H x W.
            weight: N x 1 x H x W, see `soft_neighbourhood`.
            extra: N x E x H x W noise and style maps; E may be 0.
        """
        condition = torch.cat([one_hot, weight, extra], dim=1)
        maps = [self.stem(torch.cat([surface, condition], dim=1))]
        for down in self.down:
            maps.append(down(maps[-1]))
        x = self.deep(maps.pop())
        for up, refine in zip(reversed(self.up), reversed(self.refine), strict=True):
            skip = maps.pop()
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            height, width = x.shape[-2:]
            near = F.adaptive_avg_pool2d(condition, (height, width))
            x = refine(up(torch.cat([x, skip, near], dim=1)))
        said = local_mean(self.head(F.leaky_relu(x, 0.2)).float(), self.smooth_pixels)
        added, amplified = said[:, :-1], said[:, -1:]
        surface = surface.float()
        kept = amplified.clamp(-4.0, 2.0).exp() - 1.0
        painted: Tensor = surface + weight.float() * (added + kept * grain(surface))
        return painted


class PixelClassDiscriminator(nn.Module):
    """Names every pixel: surface, one of the defects, or painted (Schoenfeld et al. 2021, OASIS).

    Args:
        image_channels: 1 grey, 3 colour.
        num_classes: of the output: surface, the defects, painted.
        base_channels: width at half resolution.
    """

    size_multiple = 16

    def __init__(
        self, *, image_channels: int = 1, num_classes: int, base_channels: int = 32
    ) -> None:
        super().__init__()
        f = base_channels
        thin = max(f // 3, 8)
        self.stem = spectral_norm(nn.Conv2d(image_channels, thin, 3, padding=1))
        widths = (thin, f, 2 * f, 3 * f, 4 * f)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(below, above, 4, 2, padding=1))
            )
            for below, above in pairwise(widths)
        )
        self.deep = nn.Sequential(
            nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(4 * f, 4 * f, 3, padding=1))
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(above + below, below, 3, padding=1))
            )
            for below, above in pairwise(widths)
        )
        self.head = nn.Conv2d(thin, num_classes, 3, padding=1)

    @torch.no_grad()
    def update_norms(self) -> None:
        """Make one power iteration of every spectral norm, and freeze them for the step.

        Left to themselves they would iterate at every pass, as often as there are micro-batches.
        """
        self.train()
        for module in self.modules():
            if is_parametrized(module):
                module.weight  # noqa: B018 - reading it iterates
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return N x num_classes x H x W logits."""
        return self.with_features(image)[0]

    def with_features(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits and the maps of the down path, for feature matching."""
        maps: list[Tensor] = [self.stem(image)]
        for down in self.down:
            maps.append(down(maps[-1]))
        features = list(maps)
        x = self.deep(maps.pop())
        for up in reversed(self.up):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, maps.pop()], dim=1))
        logits: Tensor = self.head(F.leaky_relu(x, 0.2))
        return logits, features
