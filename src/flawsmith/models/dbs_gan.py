"""Networks of the defect-background separated GAN (Ku and Pahk): two branches and a combiner.

The paper's two label branches draw X_d (defects alone) and X_b (background alone); the combiner
fuses them into one image. Tables 1 and 2 of the paper, read as docs/decisions.md A1 to A10 say.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.nn.init import he_normal_
from flawsmith.nn.padding import Conv2dSame, ConvTranspose2dSame

LabelEncoding = Literal["index", "one_hot"]
Norm = Literal["none", "instance"]


def _conv_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]


def _check_size(height: int, width: int, multiple: int) -> None:
    if height % multiple or width % multiple or not height or not width:
        padded = [max(-(-n // multiple), 1) * multiple for n in (height, width)]
        raise FlawsmithError(
            f"a map of {height} x {width} pixels was given; height and width must be multiples "
            f"of {multiple}: pad it to {padded[0]} x {padded[1]}"
        )


class DbsGanBranch(nn.Module):
    """Encoded labels N x in_channels x H x W to an unbounded image N x out_channels x H x W.

    17 convolutions, ReLU after all but the last. H and W are any multiples of 4. 7,523,969
    parameters at one channel in and out and 64 base channels.

    Args:
        in_channels: of the encoded labels.
        noise_channels: of noise beside them.
        out_channels: 1 grey, 3 colour.
        base_channels: width of the first layer.
        skip_connections: feed the maps before each pooling into the up path at the same size,
            and the labels themselves into the head (docs/decisions.md, D1). The paper has none.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        noise_channels: int = 0,
        out_channels: int = 1,
        base_channels: int = 64,
        skip_connections: bool = False,
    ) -> None:
        super().__init__()
        self.skip_connections = skip_connections
        f, joined = base_channels, int(skip_connections)
        self.down_full = nn.Sequential(
            *_conv_relu(in_channels + noise_channels, f), *_conv_relu(f, f)
        )
        self.down_half = nn.Sequential(
            nn.MaxPool2d(2),  # A1, A4, A5: groups 1 and 3 pool, 2 x 2, by the maximum
            *_conv_relu(f, 2 * f),
            *_conv_relu(2 * f, 2 * f),
            *_conv_relu(2 * f, 4 * f),
            *_conv_relu(4 * f, 4 * f),
        )
        self.quarter = nn.Sequential(
            nn.MaxPool2d(2),
            *_conv_relu(4 * f, 8 * f),
            *_conv_relu(8 * f, 8 * f),
            *_conv_relu(8 * f, 4 * f),
            *_conv_relu(4 * f, 4 * f),
            ConvTranspose2dSame(4 * f, 4 * f, 3, 2),  # A2, A6: up groups 2 and 4 double the size
            nn.ReLU(inplace=True),
        )
        self.up_half = nn.Sequential(
            *_conv_relu(4 * f * (1 + joined), 2 * f),
            *_conv_relu(2 * f, f),
            *_conv_relu(f, f),
            ConvTranspose2dSame(f, f, 3, 2),
            nn.ReLU(inplace=True),
        )
        self.up_full = nn.Sequential(*_conv_relu(f * (1 + joined), f))
        self.head = nn.Conv2d(f + in_channels * joined, out_channels, 1)
        he_normal_(self, linear=(self.head,))

    def forward(self, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the branch's image.

        Raises:
            FlawsmithError: if H or W is not a multiple of 4.
        """
        _check_size(labels.shape[-2], labels.shape[-1], 4)
        full = self.down_full(labels if noise is None else torch.cat([labels, noise], dim=1))
        half = self.down_half(full)
        up = self._joined(self.quarter(half), half)
        up = self._joined(self.up_half(up), full)
        image: Tensor = self.head(self._joined(self.up_full(up), labels))
        return image

    def _joined(self, up: Tensor, down: Tensor) -> Tensor:
        return torch.cat([up, down], dim=1) if self.skip_connections else up


def _stem(in_channels: int, base_channels: int, norm: Norm) -> nn.ModuleList:
    widths = [in_channels] + [base_channels * 2**level for level in range(4)]
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(below, above, 4, 2, padding=1), *_norm_relu(above, norm))
        for below, above in pairwise(widths)
    )


def _norm_relu(channels: int, norm: Norm) -> list[nn.Module]:
    normed: list[nn.Module] = [] if norm == "none" else [nn.InstanceNorm2d(channels, affine=True)]
    return [*normed, nn.ReLU(inplace=True)]


class DbsGanCombiner(nn.Module):
    """X_d and X_b, each N x image_channels x H x W, to an unbounded image of the same size.

    13 convolutions, ReLU after all but the last. H and W are any multiples of 16. 16,652,097
    parameters at one channel and 64 base channels.

    Args:
        image_channels: 1 grey, 3 colour.
        base_channels: width of the first stem layer; it doubles with each of the four levels.
        skip_connections: feed the stems' maps, and X_d and X_b themselves, into the up path
            (docs/decisions.md, D1). The paper has none.
        norm: after every convolution but the last (A18). The paper has none.
    """

    def __init__(
        self,
        *,
        image_channels: int = 1,
        base_channels: int = 64,
        skip_connections: bool = False,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        self.skip_connections = skip_connections
        self.defect_stem = _stem(image_channels, base_channels, norm)
        self.background_stem = _stem(image_channels, base_channels, norm)
        up: list[nn.Module] = []
        width = 16 * base_channels  # A9: the two stems side by side
        for level in (3, 2, 1, 0):
            narrower = base_channels * 2**level
            up.append(
                nn.Sequential(
                    nn.ConvTranspose2d(width, narrower, 4, 2, padding=1),  # A7
                    *_norm_relu(narrower, norm),
                )
            )
            skipped = 2 * (image_channels if level == 0 else narrower // 2)
            width = narrower + (skipped if skip_connections else 0)
        self.up = nn.ModuleList(up)
        self.head = Conv2dSame(width, image_channels, 4)  # A8: one zero before, two after
        he_normal_(self, linear=(self.head,))
        if skip_connections:  # begins as X_d on X_b, pasted; what it learns is to join them
            nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, x_defect: Tensor, x_background: Tensor) -> Tensor:
        """Return the combined image.

        Raises:
            FlawsmithError: if H or W is not a multiple of 16.
        """
        _check_size(x_defect.shape[-2], x_defect.shape[-1], 16)
        defect_maps, background_maps = [x_defect], [x_background]
        for defect_layer, background_layer in zip(
            self.defect_stem, self.background_stem, strict=True
        ):
            defect_maps.append(defect_layer(defect_maps[-1]))
            background_maps.append(background_layer(background_maps[-1]))
        image = torch.cat([defect_maps.pop(), background_maps.pop()], dim=1)
        for layer in self.up:
            image = layer(image)
            skipped = [defect_maps.pop(), background_maps.pop()]
            if self.skip_connections:
                image = torch.cat([image, *skipped], dim=1)
        combined: Tensor = self.head(image)
        return combined


class DbsGanGenerator(nn.Module):
    """Label maps N x H x W to (x_hat, x_d, x_b), each N x image_channels x H x W, unbounded.

    x_hat is the synthetic image, x_d its defects alone, x_b its background alone; trained on
    images in [-1, 1]. H and W are any multiples of 16. With the defaults (labels by index, grey,
    64 channels): 31,700,035 parameters in 47 convolutions, whatever the number of classes.

    Args:
        num_defects: K; labels are 0 = none, 1 to K, 255 = ignore (drawn as none).
        num_backgrounds: B; labels are 0 to B - 1.
        image_channels: 1 grey, 3 colour.
        branch_channels: width of the branches' first layer.
        combiner_channels: width of the combiner's first layer.
        label_encoding: ``index`` is the paper's grey level (A15); ``one_hot`` imposes no order.
        noise_channels: noise maps beside the background label (A14); the paper has none.
        defect_noise_channels: noise maps beside the defect label (docs/decisions.md, D2).
        skip_connections: of both branches and of the combiner, which then adds what joins X_d on
            the defect and X_b elsewhere.
        norm: of the combiner.
    """

    def __init__(
        self,
        *,
        num_defects: int,
        num_backgrounds: int,
        image_channels: int = 1,
        branch_channels: int = 64,
        combiner_channels: int = 64,
        label_encoding: LabelEncoding = "index",
        noise_channels: int = 0,
        defect_noise_channels: int = 0,
        skip_connections: bool = False,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        if num_defects < 1 or num_backgrounds < 1:
            raise FlawsmithError(
                f"DBS-GAN was given {num_defects} defects and {num_backgrounds} backgrounds; "
                "it needs at least one of each: add them to the schema"
            )
        self.num_defects = num_defects
        self.num_backgrounds = num_backgrounds
        self.label_encoding = label_encoding
        self.noise_channels = noise_channels
        self.defect_noise_channels = defect_noise_channels
        one_hot = label_encoding == "one_hot"
        self.defect_branch = DbsGanBranch(
            in_channels=num_defects if one_hot else 1,
            noise_channels=defect_noise_channels,
            out_channels=image_channels,
            base_channels=branch_channels,
            skip_connections=skip_connections,
        )
        self.background_branch = DbsGanBranch(
            in_channels=num_backgrounds if one_hot else 1,
            noise_channels=noise_channels,
            out_channels=image_channels,
            base_channels=branch_channels,
            skip_connections=skip_connections,
        )
        self.skip_connections = skip_connections
        self.combiner = DbsGanCombiner(
            image_channels=image_channels,
            base_channels=combiner_channels,
            skip_connections=skip_connections,
            norm=norm,
        )

    @property
    def total_noise_channels(self) -> int:
        """Channels that ``forward`` expects of its noise: the background's, then the defects'."""
        return self.noise_channels + self.defect_noise_channels

    def forward(
        self, defects: Tensor, backgrounds: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the synthetic image, its defects alone, its background alone.

        Args:
            defects: N x H x W int64.
            backgrounds: N x H x W int64; needed under a defect too.
            noise: N x total_noise_channels x H x W; None where that is 0.

        Raises:
            FlawsmithError: for a size that is no multiple of 16, a label out of range, or noise
                that does not fit.
        """
        _check_size(defects.shape[-2], defects.shape[-1], 16)
        label_d, label_b = self.encode_labels(defects, backgrounds)
        expected = (len(defects), self.total_noise_channels, *defects.shape[-2:])
        given = (len(defects), 0, *defects.shape[-2:]) if noise is None else tuple(noise.shape)
        if given != expected:
            raise FlawsmithError(
                f"noise of shape {given} was given, {expected} expected: draw "
                f"{self.total_noise_channels} channels of noise at the size of the label map"
            )
        noise_b = noise_d = None
        if noise is not None:
            noise_b, noise_d = noise[:, : self.noise_channels], noise[:, self.noise_channels :]
        x_d = self.defect_branch(label_d, noise_d)
        x_b = self.background_branch(label_b, noise_b)
        x_hat = self.combiner(x_d, x_b)
        if self.skip_connections:
            x_hat = x_hat + torch.where(_is_defect(defects), x_d, x_b)
        return x_hat, x_d, x_b

    def encode_labels(self, defects: Tensor, backgrounds: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_d and L_b as float maps in [0, 1], N x 1 x H x W or one-hot.

        By index, defect k is k / K with 0 for none, and background b is (b + 1) / B: a single
        background then is a map of ones, not of nothing (docs/decisions.md, A15).

        Raises:
            FlawsmithError: for a label out of range.
        """
        dtype = self.combiner.head.weight.dtype
        defects = defects.masked_fill(defects == IGNORE, 0).unsqueeze(1)
        backgrounds = backgrounds.unsqueeze(1)
        _check_labels(defects, self.num_defects, "defect")
        _check_labels(backgrounds, self.num_backgrounds - 1, "background")
        if self.label_encoding == "index":
            return (
                defects.to(dtype) / self.num_defects,
                (backgrounds + 1).to(dtype) / self.num_backgrounds,
            )
        return (
            (defects == _values(1, self.num_defects, defects)).to(dtype),
            (backgrounds == _values(0, self.num_backgrounds - 1, backgrounds)).to(dtype),
        )


def _is_defect(defects: Tensor) -> Tensor:
    return ((defects > 0) & (defects != IGNORE)).unsqueeze(1)


def _values(first: int, last: int, like: Tensor) -> Tensor:
    return torch.arange(first, last + 1, device=like.device).view(1, -1, 1, 1)


def _check_labels(labels: Tensor, highest: int, kind: str) -> None:
    if labels.is_meta:  # shapes only: there is nothing to look at
        return
    low, high = (int(v) for v in torch.aminmax(labels))
    if low < 0 or high > highest:
        raise FlawsmithError(
            f"a {kind} map holds values from {low} to {high}; this network knows 0 to {highest}: "
            "check that the label map belongs to the schema it was trained with"
        )
