"""Networks of BAGAN-GP (Huang and Jafari 2021): encoder, label embedding with decoder, critic.

All convolutions are 4 x 4 with stride 2, which PyTorch's padding of 1 makes Keras's `same`. Four
stages as published; more of them for larger images are ours.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.nn.fixed_size import require_size, size_of_base
from flawsmith.nn.init import normal_ as normal_convolutions_
from flawsmith.nn.keras import NORM_MOMENTUM, batch_norm, glorot_uniform_

SLOPE = 0.2
EMBEDDING_RANGE = 0.05
"""Keras's; PyTorch's N(0, 1) would make the code of a class 35 times larger."""

WIDTHS = (1, 2, 2, 4)
"""Of the stages from the image on, in base channels; stages beyond the fourth are as wide as it."""


class BaganEncoder(nn.Module):
    """Images N x in_channels x R x R to codes N x latent_size, not Gaussian (leaky ReLU).

    1,445,568 parameters for colour 64 px.

    Args:
        in_channels: of the image and of masks beside it.
        image_size: R, a multiple of 2^stages.
        latent_size: of the code.
        base_channels: width of the first layer.
        stages: halvings.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        image_size: int = 64,
        latent_size: int = 128,
        base_channels: int = 64,
        stages: int = 4,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.layers = _down(in_channels, base_channels, stages)
        features = _features(image_size, base_channels, stages)
        self.dense = nn.Linear(features, latent_size)
        _initialize_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return the codes.

        Raises:
            FlawsmithError: if the image has another size.
        """
        require_size(image, self.image_size)
        return F.leaky_relu(self.dense(self.layers(image).flatten(1)), SLOPE)


class BaganDecoder(nn.Module):
    """Codes N x latent_size to images N x out_channels x R x R in [-1, 1].

    1,449,923 parameters for colour 64 px. Arguments as for `BaganEncoder`, and

    Args:
        norm_momentum: share of a batch in the running statistics.
    """

    def __init__(
        self,
        *,
        out_channels: int = 3,
        image_size: int = 64,
        latent_size: int = 128,
        base_channels: int = 64,
        stages: int = 4,
        norm_momentum: float = NORM_MOMENTUM,
    ) -> None:
        super().__init__()
        widths = _widths(base_channels, stages)[::-1]
        size = size_of_base(image_size, stages)
        self.base_shape = (widths[0], size, size)
        self.dense = nn.Linear(latent_size, widths[0] * size * size)
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, 2, padding=1),
                batch_norm(narrow, momentum=norm_momentum),
                nn.LeakyReLU(SLOPE),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], out_channels, 4, 2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _initialize_(self)

    def forward(self, code: Tensor) -> Tensor:
        """Return the images."""
        base = F.leaky_relu(self.dense(code), SLOPE)
        images: Tensor = self.layers(base.view(-1, *self.base_shape))
        return images


class BaganGenerator(nn.Module):
    """Codes N x latent_size and classes N to images: the decoder of the code times its class.

    The product with a learned vector of the class is all that the class does. 1,450,435
    parameters for four classes in colour, 1,448,129 for two in grey, 64 px.

    Args:
        num_classes: K.
        decoder: turns the product into images.
        latent_size: of the code.
    """

    def __init__(self, *, num_classes: int, decoder: BaganDecoder, latent_size: int = 128) -> None:
        super().__init__()
        self.embedding = _embedding(num_classes, latent_size)
        self.decoder = decoder

    def forward(self, code: Tensor, classes: Tensor) -> Tensor:
        """Return the images of N codes, noise or an encoder's, for N classes of 0 to K - 1."""
        images: Tensor = self.decoder(code * self.embedding(classes))
        return images


class BaganDiscriminator(nn.Module):
    """Images N x in_channels x R x R and classes N to logits N, high for a real image of its class.

    5,120,577 + 512 K parameters for colour 64 px. No norm: a gradient penalty judges each image by
    itself. The class is a mask of the flattened features; both dense layers behind it are linear.

    Args:
        num_classes: K.
        in_channels: of the image and of masks beside it.
        image_size: R, a multiple of 2^stages.
        label_size: of the class's embedding and of the last hidden layer.
        base_channels: width of the first layer.
        stages: halvings.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 64,
        label_size: int = 512,
        base_channels: int = 64,
        stages: int = 4,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.layers = _down(in_channels, base_channels, stages)
        features = _features(image_size, base_channels, stages)
        self.embedding = _embedding(num_classes, label_size)
        self.label_dense = nn.Linear(label_size, features)
        self.dense = nn.Linear(features, label_size)
        self.head = nn.Linear(label_size, 1)
        _initialize_(self)

    def forward(self, image: Tensor, classes: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            FlawsmithError: if the image has another size.
        """
        require_size(image, self.image_size)
        features = self.layers(image).flatten(1)
        of_class = F.leaky_relu(self.label_dense(self.embedding(classes)), SLOPE)
        logits: Tensor = self.head(self.dense(features * of_class)).squeeze(1)
        return logits


def _widths(base_channels: int, stages: int) -> list[int]:
    return [base_channels * WIDTHS[min(k, len(WIDTHS) - 1)] for k in range(stages)]


def _features(image_size: int, base_channels: int, stages: int) -> int:
    return _widths(base_channels, stages)[-1] * size_of_base(image_size, stages) ** 2


def _down(in_channels: int, base_channels: int, stages: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for below, above in pairwise([in_channels, *_widths(base_channels, stages)]):
        layers += [nn.Conv2d(below, above, 4, 2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def _embedding(count: int, length: int) -> nn.Embedding:
    embedding = nn.Embedding(count, length)
    nn.init.uniform_(embedding.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE)
    return embedding


def _initialize_(network: nn.Module) -> None:
    """Draw dense weights as Glorot, those of convolutions from N(0, 0.02^2)."""
    glorot_uniform_(network)
    normal_convolutions_(network)
