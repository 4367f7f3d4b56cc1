"""DBS-GAN on real surfaces that is shown a real defect: its texture is real, its seat is painted.

The exemplar, a real defect of the class under the map that varied its mask, is pasted into the
surface with its tone matched; the painter then changes what does not fit. In training a tile's own
defect is pasted back with another contrast, and must become the real tile again; on another
surface the discriminator alone judges. What the painter says is smooth: it changes tone and grain,
and every line and grain that is seen is a real one (D81).
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.losses.reconstruction import defect_mask
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest
from flawsmith.systems.surface_painting import SurfacePainting
from flawsmith.systems.surface_style import style_between

CONTRAST = 0.3
"""Largest relative change of its contrast in training."""


@SYSTEMS.register("dbs_gan_exemplar")
class ExemplarDbsGan(SurfacePainting):
    """Pastes a real defect into a real surface and paints over what does not fit."""

    needs = frozenset({"background_images", "exemplars"})

    def canvas_channels(self, schema: Schema) -> int:
        """The bare surface is seen beside the pasted one."""
        return schema.channels

    def shown(self, batch: Batch) -> Tensor:
        """Return the tiles' own defects, each with another contrast: all known."""
        images = []
        for image, seed in zip(batch.images, batch.seeds.tolist(), strict=True):
            generator = torch.Generator().manual_seed(seed)
            change = 1 + CONTRAST * (2 * float(torch.rand((), generator=generator)) - 1)
            mean = image.mean()
            images.append((image - mean) * change + mean)
        exemplars = torch.stack(images)
        return torch.cat([exemplars, torch.ones_like(exemplars[:, :1])], dim=1)

    def requested(self, request: SampleRequest) -> Tensor:
        """Return the exemplars and, as the last channel, where they have pixels."""
        exemplars, known = request.exemplars, request.exemplar_known
        if exemplars is None or known is None:
            raise FlawsmithError("dbs_gan_exemplar is shown real defects; the request has none")
        return torch.cat([exemplars, known.unsqueeze(1).to(exemplars.dtype)], dim=1)

    def sampled_style(self, request: SampleRequest, shown: Tensor | None, seeds: Tensor) -> Tensor:
        """Return the exemplar's own style, against the rim that its own surface had.

        N x 2; N x 2 x H x W where an image shows several exemplars.
        """
        if shown is None:
            raise ValueError("sampled_style needs what `requested` returned")
        exemplar, mask = shown[:, :-1], defect_mask(request.defects)
        inside = mask.float().unsqueeze(1)
        near = (self._weight(request.defects) > 0) & (inside == 0)

        def style(known: Tensor) -> Tensor:
            return style_between(exemplar, inside * known, exemplar, near * known)

        return of_each_exemplar(style, number_exemplars(shown[:, -1:], mask))

    def on_canvas(
        self, surface: Tensor, shown: Tensor | None, inside: Tensor, weight: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the surface with the exemplar in it, and the bare surface."""
        if shown is None:
            raise ValueError("on_canvas needs what `shown` or `requested` returned")
        return paste(surface, shown[:, :-1], shown[:, -1:], inside, weight), [surface]


def paste(
    surface: Tensor, exemplar: Tensor, known: Tensor, inside: Tensor, weight: Tensor
) -> Tensor:
    """Return the surface with the exemplars where the weight says, lifted to their rims' tone.

    Each is lifted by itself: they come from different surfaces.

    Args:
        surface: N x C x H x W.
        exemplar: the same.
        known: N x 1 x H x W, 1 where the exemplar has pixels: its own image may have ended there.
        inside: N x H x W bool, the mask.
        weight: N x 1 x H x W, 1 in the mask and falling to 0 around it.
    """
    numbers = number_exemplars(known, inside)

    def lift(own: Tensor) -> Tensor:
        rim = ((weight > 0) & ~inside.unsqueeze(1)) * own
        pixels = rim.sum(dim=(2, 3)).clamp_min(1)
        return ((surface - exemplar) * rim).sum(dim=(2, 3)) / pixels

    lifted = of_each_exemplar(lift, numbers)
    lifted = lifted if lifted.dim() == 4 else lifted[..., None, None]
    known = (numbers > 0).to(surface.dtype)
    # A soft end of what is known: its own average, but nowhere beyond it.
    certain = known * F.avg_pool2d(F.pad(known, [2] * 4, mode="replicate"), 5, 1)
    return surface + weight * certain * (exemplar + lifted - surface)


def number_exemplars(known: Tensor, inside: Tensor) -> Tensor:
    """Return N x 1 x H x W int64: which exemplar of its image a pixel shows, from 1; 0: none.

    An exemplar is a connected region of what is known that holds a defect. Beside several, regions
    without a defect show nothing; with one, all that is known is of it.

    Args:
        known: N x 1 x H x W, 1 where the exemplars have pixels.
        inside: N x H x W bool, the masks.
    """
    numbers = (known > 0).long()
    seen = numbers.squeeze(1).to("cpu", torch.uint8).numpy()
    for row, (own, mask) in enumerate(zip(seen, inside.cpu().numpy(), strict=True)):
        count, regions = cv2.connectedComponents(own, connectivity=8)
        holding = np.setdiff1d(regions[mask], [0])
        if len(holding) > 1:
            order = np.zeros(count, np.int64)
            order[holding] = np.arange(1, len(holding) + 1)
            numbers[row, 0] = torch.from_numpy(order[regions])
    return numbers


def of_each_exemplar(figures: Callable[[Tensor], Tensor], numbers: Tensor) -> Tensor:
    """Return N x K, or N x K x H x W by place if an image shows several exemplars.

    Args:
        figures: returns N x K for an exemplar of each image, given where it is: N x 1 x H x W
            float32.
        numbers: see `number_exemplars`; where no exemplar is, the figures are the first one's.
    """
    first = figures((numbers == 1).float())
    most = int(numbers.max())
    if most < 2:
        return first
    values = first[..., None, None].expand(-1, -1, *numbers.shape[2:])
    for number in range(2, most + 1):
        here = numbers == number
        values = torch.where(here, figures(here.float())[..., None, None], values)
    return values
