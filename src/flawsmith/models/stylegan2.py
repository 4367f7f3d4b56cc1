"""Networks of StyleGAN2 with a class: mapping, synthesis, discriminator.

Written from the papers (Karras et al. 2019, 2020a: arXiv 1912.04958, 2020b: arXiv 2006.06676).
Channels halve with each doubling of the size, as ``base_channels`` / size, up to ``max_channels``.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.models.stylegan2_layers import (
    EqualizedConv2d,
    EqualizedLinear,
    MinibatchDeviation,
    ModulatedConv2d,
    StyledConv2d,
    enlarge,
    float32,
    normalize,
)
from flawsmith.nn.fixed_size import require_size

SMALLEST = range(4, 8)
"""Height and width that the smallest maps may have."""

MAPPING_RATE = 0.01
"""Share of the learning rate that the layers of a mapping network take."""


def sizes_to(image_size: int) -> list[int]:
    """Return the sizes of the maps, each twice the one before: 4, 8, ... for powers of two.

    Raises:
        FlawsmithError: if the image is not 4, 5, 6 or 7 pixels doubled a few times.
    """
    sizes = [image_size]
    while sizes[0] % 2 == 0 and sizes[0] > SMALLEST[-1]:
        sizes.insert(0, sizes[0] // 2)
    if sizes[0] not in SMALLEST:
        fits = sorted(base * 2**k for base in SMALLEST for k in range(2, 9))
        near = sorted(sorted(fits, key=lambda size: abs(size - image_size))[:2])
        raise FlawsmithError(
            f"StyleGAN2 cannot make images of {image_size} px: the size must be 4, 5, 6 or 7 "
            f"doubled a few times, such as {near[0]} or {near[1]}; set training.tile_size"
        )
    return sizes


def _widths(sizes: Sequence[int], base_channels: int, max_channels: int) -> list[int]:
    return [max(1, min(base_channels // size, max_channels)) for size in sizes]


class Mapping(nn.Module):
    """Latents and a class to N x style_size codes w, in float32.

    Args:
        latent_size: of z; 0: the class alone is mapped, as the discriminator does.
        num_classes: 0: no class.
        style_size: of w and of the embedded class.
        layers: fully connected ones.
    """

    def __init__(self, *, latent_size: int, num_classes: int, style_size: int, layers: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        embedded = style_size if num_classes else 0
        self.embedding = EqualizedLinear(num_classes, style_size) if num_classes else None
        widths = [latent_size + embedded, *[style_size] * layers]
        self.layers = nn.Sequential(
            *(EqualizedLinear(a, b, rate=MAPPING_RATE, rectify=True) for a, b in pairwise(widths))
        )

    def forward(self, latents: Tensor | None, classes: Tensor | None) -> Tensor:
        """Return w.

        Args:
            latents: N x latent_size, or None.
            classes: N int64, or None without classes.
        """
        parts = [] if latents is None else [normalize(latents)]
        if self.embedding is not None and classes is not None:
            one_hot = classes[:, None] == torch.arange(self.num_classes, device=classes.device)
            parts.append(normalize(self.embedding(one_hot.float())))
        w: Tensor = self.layers(torch.cat(parts, dim=1))
        return w


class _SynthesisBlock(nn.Module):
    """The layers of one size: one or two styled convolutions and the picture that they add to."""

    def __init__(
        self, in_channels: int, out_channels: int, *, image_channels: int, style_size: int
    ) -> None:
        super().__init__()
        up = [] if not in_channels else [
            StyledConv2d(in_channels, out_channels, style_size=style_size, up=True)
        ]  # fmt: skip
        self.convs = nn.ModuleList(
            [*up, StyledConv2d(out_channels, out_channels, style_size=style_size)]
        )
        self.to_image = ModulatedConv2d(
            out_channels, image_channels, 1, style_size=style_size, demodulate=False
        )
        self.image_bias = nn.Parameter(torch.zeros(image_channels))

    def forward(
        self, x: Tensor, image: Tensor | None, ws: Sequence[Tensor], noise: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return map and picture; ``ws`` are for the convolutions, and one for the picture."""
        for conv, w, values in zip(self.convs, ws, noise, strict=False):
            x = conv(x, w, values)
        added = self.to_image(x, ws[-1], self.image_bias).float()
        return x, added if image is None else enlarge(image) + added


class Synthesis(nn.Module):
    """Codes w and noise to an unbounded picture N x image_channels x image_size x image_size.

    Each size adds a picture to the enlarged one of the size before (skip architecture). A picture
    takes the code of the convolution after it.

    Attributes:
        num_codes: codes of an image, two for each size: 14 for 256 px.
        noise_sizes: height and width of the noise of each convolution.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        style_size: int,
        base_channels: int,
        max_channels: int,
    ) -> None:
        super().__init__()
        sizes = sizes_to(image_size)
        widths = _widths(sizes, base_channels, max_channels)
        self.constant = nn.Parameter(torch.randn(1, widths[0], sizes[0], sizes[0]))
        self.blocks = nn.ModuleList(
            _SynthesisBlock(a, b, image_channels=image_channels, style_size=style_size)
            for a, b in pairwise([0, *widths])
        )
        self.num_codes = 2 * len(sizes)
        self.noise_sizes = [size for size in sizes for _ in range(2)][1:]

    def forward(self, ws: Tensor, noise: Tensor) -> Tensor:
        """Return the picture in float32.

        Args:
            ws: N x num_codes x style_size.
            noise: N x (sum of the squares of ``noise_sizes``).
        """
        codes, areas = ws.unbind(dim=1), [size**2 for size in self.noise_sizes]
        maps = [
            values.view(len(ws), 1, size, size)
            for values, size in zip(torch.split(noise, areas, dim=1), self.noise_sizes, strict=True)
        ]
        smallest, *larger = self.blocks
        x, picture = smallest(self.constant.expand(len(ws), -1, -1, -1), None, codes[:2], maps[:1])
        for i, block in enumerate(larger):
            first = 2 * i + 1  # two convolutions a size, one at the smallest
            x, picture = block(x, picture, codes[first : first + 3], maps[first : first + 2])
        image: Tensor = picture
        return image


class StyleGan2Generator(nn.Module):
    """Latents, classes and noise to an unbounded picture, trained on [-1, 1].

    23,191,522 parameters for 256 px RGB without classes, 28,700,647 for 512 px with twice the base
    channels.

    Args:
        image_size: height and width; 4, 5, 6 or 7 doubled a few times.
        image_channels: of the image and of masks beside it.
        num_classes: 0: without.
        latent_size: of z.
        style_size: of w.
        mapping_layers: 2 in the configuration ``auto``, 8 in those of the papers.
        base_channels: C(size) = base_channels / size.
        max_channels: the most that a layer has.

    Attributes:
        mean_w: where truncation leads to; a training procedure moves it.
        noise_values: of an image, over all convolutions.
    """

    mean_w: Tensor

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        num_classes: int = 0,
        latent_size: int = 512,
        style_size: int = 512,
        mapping_layers: int = 2,
        base_channels: int = 16384,
        max_channels: int = 512,
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.mapping = Mapping(
            latent_size=latent_size,
            num_classes=num_classes,
            style_size=style_size,
            layers=mapping_layers,
        )
        self.synthesis = Synthesis(
            image_size=image_size,
            image_channels=image_channels,
            style_size=style_size,
            base_channels=base_channels,
            max_channels=max_channels,
        )
        self.register_buffer("mean_w", torch.zeros(style_size))
        self.noise_values = sum(size**2 for size in self.synthesis.noise_sizes)

    def forward(self, latents: Tensor, classes: Tensor | None, noise: Tensor) -> Tensor:
        """Return pictures of one code each.

        Args:
            latents: N x latent_size, normal.
            classes: N int64, or None without classes.
            noise: N x noise_values, normal.
        """
        w = self.mapping(latents, classes)
        picture: Tensor = self.synthesis(self.repeat(w), noise)
        return picture

    def repeat(self, w: Tensor) -> Tensor:
        """Return N x num_codes x style_size: the same code for every layer."""
        return w[:, None].expand(-1, self.synthesis.num_codes, -1)


class _ResidualBlock(nn.Module):
    """Two convolutions that halve the size, beside one of 1 x 1; their sum over sqrt 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(in_channels, in_channels, 3)
        self.down = EqualizedConv2d(in_channels, out_channels, 3, down=True)
        self.skip = EqualizedConv2d(in_channels, out_channels, 1, down=True, rectify=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of half the size."""
        y: Tensor = self.down(self.conv(x)) + self.skip(x)
        return y * math.sqrt(0.5)


class StyleGan2Discriminator(nn.Module):
    """Pictures N x image_channels x image_size x image_size to N unbounded scores, high for real.

    With classes the score is the product of the picture's features and of the mapped class,
    divided by the root of their length (projection). 24,001,089 parameters for 256 px RGB without
    classes, 28,982,849 for 512 px with twice the base channels.

    Args:
        image_size: height and width.
        image_channels: of the image and of masks beside it.
        num_classes: 0: without.
        class_size: of the mapped class and of the features it is multiplied with.
        class_layers: of the mapping of the class.
        base_channels: C(size) = base_channels / size.
        max_channels: the most that a layer has.
        group: images whose spread the discriminator sees.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int,
        num_classes: int = 0,
        class_size: int = 512,
        class_layers: int = 8,
        base_channels: int = 16384,
        max_channels: int = 512,
        group: int = 4,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        sizes = sizes_to(image_size)[::-1]
        widths = _widths(sizes, base_channels, max_channels)
        top, last = widths[-1], sizes[-1]
        self.from_image = EqualizedConv2d(image_channels, widths[0], 1)
        self.blocks = nn.Sequential(*(_ResidualBlock(a, b) for a, b in pairwise(widths)))
        self.deviation = MinibatchDeviation(group)
        self.conv = EqualizedConv2d(top + 1, top, 3)
        self.dense = EqualizedLinear(top * last**2, top, rectify=True)
        self.score = EqualizedLinear(top, class_size if num_classes else 1)
        self.mapping = None
        if num_classes:
            self.mapping = Mapping(
                latent_size=0,
                num_classes=num_classes,
                style_size=class_size,
                layers=class_layers,
            )

    def forward(self, images: Tensor, classes: Tensor | None = None) -> Tensor:
        """Return the scores in float32.

        Raises:
            FlawsmithError: for pictures of another size.
        """
        require_size(images, self.image_size)
        x = self.blocks(self.from_image(images))
        with float32(x):
            x = self.conv(self.deviation(x.float()))
        features: Tensor = self.score(self.dense(x.flatten(1)))
        if self.mapping is None:
            return features.squeeze(1)
        products: Tensor = features * self.mapping(None, classes)
        return products.sum(dim=1) / math.sqrt(features.shape[1])
