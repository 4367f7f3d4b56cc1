"""Networks of DCGAN in the form of TensorFlow's tutorial (Radford et al. 2016, arXiv 1511.06434).

Keras's padding, slopes, norm constants and initial weights (`nn.keras`). The tutorial's two
doublings from a base of R / 4 serve any size R; more doublings from a smaller base are ours.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.nn.dropout import seeded_dropout
from flawsmith.nn.fixed_size import require_size, size_of_base
from flawsmith.nn.keras import LEAKY_SLOPE, NORM_MOMENTUM, batch_norm, feature_norm, glorot_uniform_
from flawsmith.nn.padding import Conv2dSame, ConvTranspose2dSame

KERNEL = 5
WIDEST = 8
"""No layer is wider than so many times the base channels."""


class DcganGenerator(nn.Module):
    """Noise N x latent_size to images N x out_channels x R x R in [-1, 1].

    2,305,472 parameters for grey 28 px, 7,713,856 for colour 64 px.

    Args:
        out_channels: of the image and of masks beside it.
        image_size: R, a multiple of 2^stages.
        latent_size: of the noise.
        base_channels: width before the last layer; it doubles towards the base.
        stages: doublings; the base is R / 2^stages.
        norm_momentum: share of a batch in the running statistics.
    """

    def __init__(
        self,
        *,
        out_channels: int = 1,
        image_size: int = 28,
        latent_size: int = 100,
        base_channels: int = 64,
        stages: int = 2,
        norm_momentum: float = NORM_MOMENTUM,
    ) -> None:
        super().__init__()
        size = size_of_base(image_size, stages)
        widths = [base_channels * min(2**k, WIDEST) for k in reversed(range(stages + 1))]
        self.base_shape = (widths[0], size, size)
        features = widths[0] * size * size
        self.dense = nn.Linear(latent_size, features, bias=False)
        self.dense_norm = feature_norm(features, momentum=norm_momentum)
        layers: list[nn.Module] = []
        for number, (wide, narrow) in enumerate(pairwise(widths)):
            layers += [
                ConvTranspose2dSame(wide, narrow, KERNEL, 2 if number else 1, bias=False),
                batch_norm(narrow, momentum=norm_momentum),
                nn.LeakyReLU(LEAKY_SLOPE),
            ]
        layers += [ConvTranspose2dSame(widths[-1], out_channels, KERNEL, 2, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        glorot_uniform_(self)

    def forward(self, noise: Tensor) -> Tensor:
        """Return the images."""
        base = F.leaky_relu(self.dense_norm(self.dense(noise)), LEAKY_SLOPE)
        images: Tensor = self.layers(base.view(-1, *self.base_shape))
        return images


class DcganDiscriminator(nn.Module):
    """Images N x in_channels x R x R to logits N, high for real.

    212,865 parameters for grey 28 px, 242,561 for colour 64 px.

    Args:
        in_channels: of the image and of masks beside it.
        image_size: R, a multiple of 2^stages.
        base_channels: width of the first layer; it doubles from layer to layer.
        stages: layers of stride 2.
        dropout: share of the values dropped behind each layer, where `forward` is given seeds.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        image_size: int = 28,
        base_channels: int = 64,
        stages: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.image_size, self.dropout = image_size, dropout
        size = size_of_base(image_size, stages)
        widths = [base_channels * min(2**k, WIDEST) for k in range(stages)]
        self.layers = nn.ModuleList(
            Conv2dSame(below, above, KERNEL, 2) for below, above in pairwise([in_channels, *widths])
        )
        self.dense = nn.Linear(widths[-1] * size * size, 1)
        glorot_uniform_(self)

    def forward(self, image: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Return the logits.

        Args:
            image: N x C x R x R.
            seeds: N, of the dropout; None: nothing is dropped.

        Raises:
            FlawsmithError: if the image has another size.
        """
        require_size(image, self.image_size)
        x = image
        for number, layer in enumerate(self.layers):
            x = F.leaky_relu(layer(x), LEAKY_SLOPE)
            if seeds is not None and self.dropout:
                x = seeded_dropout(x, seeds + number, self.dropout)
        logits: Tensor = self.dense(x.flatten(1)).squeeze(1)
        return logits
