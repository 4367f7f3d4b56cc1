"""DBS-GAN on real surfaces that is shown a real defect: its texture is real, its seat is painted.

The exemplar, a real defect of the class under the map that varied its mask, is pasted into the
surface with its tone matched; the painter then changes what does not fit. In training a tile's own
defect is pasted back with another contrast, and must become the real tile again; on another
surface the discriminator alone judges. What the painter says is smooth: it changes tone and grain,
and every line and grain that is seen is a real one (D81).
"""

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
        """Return N x 2: the exemplar's own style, against the rim that its own surface had."""
        if shown is None:
            raise ValueError("sampled_style needs what `requested` returned")
        exemplar, known = shown[:, :-1], shown[:, -1:]
        inside = defect_mask(request.defects).float().unsqueeze(1)
        rim = ((self._weight(request.defects) > 0) & (inside == 0)) * known
        return style_between(exemplar, inside * known, exemplar, rim)

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
    """Return the surface with the exemplar where the weight says, lifted to the rim's tone.

    Args:
        surface: N x C x H x W.
        exemplar: the same.
        known: N x 1 x H x W, 1 where the exemplar has pixels: its own image may have ended there.
        inside: N x H x W bool, the mask.
        weight: N x 1 x H x W, 1 in the mask and falling to 0 around it.
    """
    rim = ((weight > 0) & ~inside.unsqueeze(1)) * known
    pixels = rim.sum(dim=(2, 3), keepdim=True)
    lift = ((surface - exemplar) * rim).sum(dim=(2, 3), keepdim=True) / pixels.clamp_min(1)
    # A soft end of what is known: its own average, but nowhere beyond it.
    certain = known * F.avg_pool2d(F.pad(known, [2] * 4, mode="replicate"), 5, 1)
    return surface + weight * certain * (exemplar + lift - surface)
