"""Networks of the pavement-crack GAN: a reconstruction, since the paper's own are not public.

Xu and Liu (Measurement 196:111219, 2022) tell in the abstract that a GAN of few pavement images
keeps high frequencies; no architecture is known to us. Enlarging by copying pixels and then
convolving keeps them without the checks of transposed convolutions.
"""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from flawsmith.nn.fixed_size import require_size, size_of_base
from flawsmith.nn.init import he_normal_

DiscriminatorNorm = Literal["none", "layer"]


class CrackGanGenerator(nn.Module):
    """Noise N x latent_size to images N x out_channels x R x R in [-1, 1].

    4,986,659 parameters for colour 128 px; 8,403,747 without the limit of the width.

    Args:
        out_channels: of the image and of masks beside it.
        image_size: R, a multiple of 2^stages.
        latent_size: of the noise.
        base_channels: width of the last stage; it doubles towards the base.
        max_channels: no layer is wider.
        stages: doublings; the base is R / 2^stages.
    """

    def __init__(
        self,
        *,
        out_channels: int = 3,
        image_size: int = 128,
        latent_size: int = 128,
        base_channels: int = 32,
        max_channels: int = 512,
        stages: int = 5,
    ) -> None:
        super().__init__()
        size = size_of_base(image_size, stages)
        widths = [min(base_channels << k, max_channels) for k in reversed(range(stages + 1))]
        self.dense = nn.Linear(latent_size, widths[0] * size * size)
        self.base_shape = (widths[0], size, size)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(wide, narrow, 3, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
        head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
        self.layers = nn.Sequential(*layers, head, nn.Tanh())
        he_normal_(self, linear=(head,))

    def forward(self, noise: Tensor) -> Tensor:
        """Return the images."""
        images: Tensor = self.layers(self.dense(noise).view(-1, *self.base_shape))
        return images


class CrackGanDiscriminator(nn.Module):
    """Images N x in_channels x R x R to unbounded scores N, high for real.

    6,959,552 parameters for colour 128 px. No norm mixes the images of a batch: the gradient
    penalty judges each by itself.

    Args:
        in_channels: of the image and of masks beside it.
        image_size: R, a multiple of 2^stages.
        base_channels: width of the first layer; it doubles from layer to layer.
        max_channels: no layer is wider.
        stages: layers of stride 2.
        norm: none, or layer norm of each image behind all layers but the first.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        image_size: int = 128,
        base_channels: int = 64,
        max_channels: int = 512,
        stages: int = 5,
        norm: DiscriminatorNorm = "none",
    ) -> None:
        super().__init__()
        self.image_size = image_size
        size = size_of_base(image_size, stages)
        widths = [min(base_channels << k, max_channels) for k in range(stages)]
        layers: list[nn.Module] = []
        for below, above in pairwise([in_channels, *widths]):
            layers.append(nn.Conv2d(below, above, 4, 2, padding=1))
            if norm == "layer" and layers[1:]:
                layers.append(nn.GroupNorm(1, above))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers)
        # A bias would move all scores alike, and the losses see their differences alone.
        self.dense = nn.Linear(widths[-1] * size * size, 1, bias=False)
        he_normal_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores.

        Raises:
            FlawsmithError: if the image has another size.
        """
        require_size(image, self.image_size)
        scores: Tensor = self.dense(self.layers(image).flatten(1)).squeeze(1)
        return scores
