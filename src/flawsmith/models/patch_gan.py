"""PatchGAN: a discriminator of overlapping patches (Isola et al. 2017, Zhu et al. 2017)."""

from typing import Literal

from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.nn.init import normal_


class PatchGan(nn.Module):
    """An image N x in_channels x H x W to unbounded patch scores N x 1 x about H/8 - 2 x W/8 - 2.

    The default sees 70 x 70 pixels a score: 256 x 256 gives 30 x 30. 2,762,689 parameters for
    grey, 2,764,737 for colour. A condition is further channels of the input.

    Args:
        in_channels: of the image and of what it is conditioned on.
        base_channels: width of the first layer; it doubles up to 8 times that.
        num_layers: layers of stride 2; the receptive field is 16, 34, 70 or 142 for 1 to 4.
        norm: instance norm without weights (CycleGAN), or none, for losses with a gradient
            penalty and for speed.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        base_channels: int = 64,
        num_layers: int = 3,
        norm: Literal["instance", "none"] = "instance",
    ) -> None:
        super().__init__()
        self.smallest = 3 * 2**num_layers
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, base_channels, 4, 2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width = base_channels
        for level in range(1, num_layers + 1):
            wider = base_channels * min(2**level, 8)
            layers.append(nn.Conv2d(width, wider, 4, 2 if level < num_layers else 1, padding=1))
            if norm == "instance":
                layers.append(nn.InstanceNorm2d(wider))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        normal_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return the patch scores, high for real.

        Raises:
            FlawsmithError: if the image is too small for one score.
        """
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest:
            raise FlawsmithError(
                f"an image of {height} x {width} pixels was given to a PatchGAN that needs at "
                f"least {self.smallest} x {self.smallest}: use larger crops or fewer layers"
            )
        scores: Tensor = self.layers(image)
        return scores
