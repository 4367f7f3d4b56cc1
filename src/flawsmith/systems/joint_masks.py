"""Masks that a network makes with its image: one further channel for each defect.

Systems that know no label map are trained on the image and its masks together, and what they
sample is cut apart again (mask source ``joint``). Where labels are for whole images there are no
such channels, and what was asked for is all that is known of a sample (mask source ``none``).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from flawsmith.data.schema import IGNORE, Schema
from flawsmith.systems.base import SampleRequest, Samples
from flawsmith.systems.repeated_updates import NEXT_DRAW
from flawsmith.systems.style import main_class
from flawsmith.training.config import RunConfig

TRIES = 8
"""Latents tried for an image whose mask does not show the class that it was asked for."""


def mask_channels(config: RunConfig, schema: Schema) -> int:
    """Return the channels beside those of the image: one for each defect, if there are masks."""
    return 0 if config.data.labels == "image" else schema.num_defects


def join(images: Tensor, defects: Tensor, num_defects: int) -> Tensor:
    """Return N x (C + K) x H x W: the image, then for each defect 1 where it is and -1 elsewhere.

    Args:
        images: N x C x H x W in [-1, 1].
        defects: N x H x W int64; pixels to ignore count as good.
        num_defects: K; 0: the image alone.
    """
    ids = torch.arange(1, num_defects + 1, device=defects.device)[:, None, None]
    known = torch.where(defects == IGNORE, 0, defects)
    planes = torch.where(known.unsqueeze(1) == ids, 1.0, -1.0)
    return torch.cat([images, planes.to(images.dtype)], dim=1)


def separate(joint: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Return images and label maps: a pixel is the defect of its highest plane above 0."""
    images, planes = joint[:, :channels].float(), joint[:, channels:].float()
    highest, index = planes.max(dim=1)
    return images.clamp(-1.0, 1.0), torch.where(highest > 0, index + 1, 0)


def or_unknown(defects: Tensor, classes: Tensor) -> Tensor:
    """Return the label maps, all to be ignored where a defect was asked for and none is shown.

    Such an image is no good one: it may show what its mask does not.

    Args:
        defects: N x H x W.
        classes: N, what was asked for; 0 for a good image.
    """
    empty = (classes > 0) & ~(defects > 0).flatten(1).any(dim=1)
    return torch.where(empty[:, None, None], IGNORE, defects)


def sample_joint(
    make: Callable[[Tensor, Tensor], Tensor], request: SampleRequest, seeds: Tensor, channels: int
) -> Samples:
    """Return one image for each label map of the request, of which the class alone is asked for.

    An image whose mask does not show its class is made again from another latent, up to `TRIES`
    times; then it stays as it is, with the label that it shows, or as unknown if it shows none.

    Args:
        make: seeds N and classes N (1 to K) to N x (C + K) x H x W; image i follows from seed i.
        request: its label maps give the classes.
        seeds: N.
        channels: C.
    """
    classes = main_class(request.defects).to(request.defects.device)
    images, defects = separate(make(seeds, classes), channels)
    for attempt in range(1, TRIES):
        missing = (defects != classes[:, None, None]).all(dim=2).all(dim=1)
        if not missing.any():
            break
        again = make(seeds[missing] + attempt * NEXT_DRAW, classes[missing])
        images[missing], defects[missing] = separate(again, channels)
    return Samples(
        images=images,
        defects=or_unknown(defects, classes),
        backgrounds=request.backgrounds,
        mask_source="joint",
        seeds=seeds,
    )


def sample_unmasked(
    make: Callable[[Tensor, Tensor], Tensor], request: SampleRequest, seeds: Tensor
) -> Samples:
    """Return one image for each label map of the request, of which the class alone is asked for.

    Where the defect is in it nobody knows.

    Args:
        make: seeds N and classes N (1 to K, 0 for good) to N x C x H x W.
        request: its label maps give the classes.
        seeds: N.
    """
    classes = main_class(request.defects).to(request.defects.device)
    images = make(seeds, classes).float().clamp(-1.0, 1.0)
    asked = (classes > 0)[:, None, None].expand_as(request.defects)
    return Samples(
        images=images,
        defects=torch.where(asked, IGNORE, 0),
        backgrounds=request.backgrounds,
        mask_source="none",
        seeds=seeds,
    )
