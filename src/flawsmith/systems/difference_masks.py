"""Masks of systems that turn a good surface into one with a defect: where the two differ.

Such a system emits no mask. What it changed is taken for the defect: Otsu's threshold of the
smoothed difference, opened, without specks (mask source ``difference``).
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawsmith.data.images import BoolArray
from flawsmith.data.schema import IGNORE
from flawsmith.systems.base import SampleRequest, Samples
from flawsmith.systems.joint_masks import or_unknown
from flawsmith.systems.style import main_class
from flawsmith.systems.translation import surface_of

BLUR = 5
"""Side in pixels of the Gaussian window: single pixels of changed grain are no defect."""

LEAST_AREA = 20
"""Pixels of a region; smaller ones beside a larger one are specks."""

LEAST_CHANGE = 0.03
"""Of [-1, 1], about four of 255 grey levels: an image that changes less shows no defect."""


def changed_region(change: NDArray[np.float32]) -> BoolArray:
    """Return where an H x W map of absolute differences says that there is something new.

    Opening and least area may leave nothing of a dot: then the largest region stays, whatever its
    size, since a small defect must not become a good image.
    """
    smooth = cv2.GaussianBlur(change, (BLUR, BLUR), 0)
    highest = float(smooth.max())
    if highest < LEAST_CHANGE:
        return np.zeros(change.shape, np.bool_)
    levels = np.rint(smooth * (255.0 / highest)).astype(np.uint8)
    _, above = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    opened = cv2.morphologyEx(above, cv2.MORPH_OPEN, cross)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(
        opened if opened.any() else above, connectivity=8
    )
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept: BoolArray = areas >= min(LEAST_AREA, int(areas.max()))
    kept[0] = False
    region: BoolArray = kept[numbers]
    return region


def difference_masks(surfaces: Tensor, images: Tensor, classes: Tensor) -> Tensor:
    """Return N x H x W label maps: the class where an image differs from its surface, else 0.

    Args:
        surfaces: N x C x H x W in [-1, 1].
        images: the same with the defect.
        classes: N, 0 for none.
    """
    changes = (images.detach().float() - surfaces.float()).abs().mean(dim=1).cpu().numpy()
    regions = torch.from_numpy(np.stack([changed_region(change) for change in changes]))
    return regions.to(images.device) * classes.to(images.device)[:, None, None]


def whole_image_labels(surfaces: Tensor, images: Tensor, classes: Tensor) -> Tensor:
    """Return N x H x W label maps, 255 throughout where an image shows its class somewhere.

    An image that is still its surface is good, whatever was asked for: 0 throughout.
    """
    shown = difference_masks(surfaces, images, classes).flatten(1).any(dim=1)
    return torch.where(shown[:, None, None], IGNORE, torch.zeros_like(images[:, 0]).long())


def sample_difference(
    translate: Callable[[Tensor, Tensor, Tensor], Tensor],
    request: SampleRequest,
    seeds: Tensor,
    *,
    masks: bool = True,
) -> Samples:
    """Return one image for each label map of the request, of which the class alone is used.

    A request for no defect gets its surface back; where nothing changed the label is unknown.

    Args:
        translate: surfaces N x C x H x W, classes N (1 to K) and seeds N to images.
        request: with real surfaces; its label maps give the classes.
        seeds: N.
        masks: take what was changed for the defect; if not, labels are for whole images.

    Raises:
        FlawsmithError: if the request has no real surfaces.
    """
    surface = surface_of(request)
    classes = main_class(request.defects).to(surface.device)
    made = translate(surface, classes.clamp(min=1), seeds).float().clamp(-1.0, 1.0)
    images = torch.where((classes > 0)[:, None, None, None], made, surface)
    change = (images - surface).abs().mean(dim=1, keepdim=True)
    layers = {"surface": surface, "change": change.clamp(max=1.0) * 2 - 1}
    if masks:
        changed = difference_masks(surface, images, classes)
        layers["mask"] = (changed > 0).unsqueeze(1).float() * 2 - 1
        defects = or_unknown(changed, classes)
    else:
        defects = whole_image_labels(surface, images, classes)
    return Samples(
        images=images,
        defects=defects,
        backgrounds=request.backgrounds,
        mask_source="difference" if masks else "none",
        seeds=seeds,
        layers=layers,
    )
