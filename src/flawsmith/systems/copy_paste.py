"""Copy-paste: a real defect, varied like its mask, on a real background. Nothing is trained.

The picture of the defect takes the tone of its new surroundings from a ring around it and is
blended inside a narrow band outside the mask; beyond that band the background is untouched, bit
for bit. Cut-and-paste as augmentation: Dwibedi et al. 2017; gradient-domain blending: Perez et
al. 2003.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from flawsmith.config import StrictModel
from flawsmith.data.defect_removal import membrane
from flawsmith.data.images import BoolArray
from flawsmith.data.schema import Schema
from flawsmith.losses.reconstruction import defect_mask
from flawsmith.systems.base import SYSTEMS, SampleRequest, Samples
from flawsmith.systems.poisson import solve_laplace
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.config import RunConfig

Floats = NDArray[np.float32]

FEWEST_RING_PIXELS = 12
"""With fewer pixels around the defect its tone cannot be told, and it is pasted as it is."""


class CopyPasteBlend(StrictModel):
    """How a defect is set into its background.

    Attributes:
        mode: feathered: one offset, then a soft edge; membrane: the offset varies smoothly along
            the rim; poisson: the gradients of the defect, with the background as boundary.
        edge: pixels outside the mask over which the defect fades out.
        ring_gap: pixels outside the mask that may still belong to the defect.
        ring: width in pixels of the ring beyond the gap that tells the tone.
        largest_gain: limit of the factor that brings the contrast of the defect's old
            surroundings to that of the new ones; 1: the contrast stays.
        largest_offset: limit of the change of tone, of the full scale 2 of images in [-1, 1]: a
            ring that shows something else than the surface, such as a frame, does no harm then.
        contrast: largest random relative change of the defect's contrast.
        texture: share of the defect's fine texture that is taken from the background instead.
        texture_scale: structure of so many pixels and less is fine.
    """

    mode: Literal["feathered", "membrane", "poisson"] = "membrane"
    edge: float = Field(default=3.0, ge=0)
    ring_gap: float = Field(default=2.0, ge=0)
    ring: float = Field(default=6.0, ge=1)
    largest_gain: float = Field(default=1.25, ge=1)
    largest_offset: float = Field(default=0.5, ge=0, le=2)
    contrast: float = Field(default=0.1, ge=0, lt=1)
    texture: float = Field(default=0.0, ge=0, le=1)
    texture_scale: float = Field(default=3.0, gt=0)


class CopyPasteConfig(RunConfig):
    """Configuration of a copy-paste run; of ``training`` only the tile size means anything."""

    blend: CopyPasteBlend = CopyPasteBlend()


@dataclass(frozen=True)
class _Patch:
    """One defect in its place: a box of the tile.

    Attributes:
        background: h x w x C.
        defect: h x w x C, the exemplar; 0 where it is not known.
        mask: h x w.
        known: h x w, where the exemplar has pixels.
        distance: h x w, in pixels, from the mask; 0 on it.
    """

    background: Floats
    defect: Floats
    mask: BoolArray
    known: BoolArray
    distance: Floats


@SYSTEMS.register("copy_paste")
class CopyPaste(UntrainedSystem):
    """Real defects, varied and blended onto real backgrounds; nothing is trained."""

    config_class = CopyPasteConfig
    size_multiple = 1
    needs = frozenset({"background_images", "exemplars"})

    def __init__(self, config: CopyPasteConfig, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.schema = schema

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a label map, with background and pasted defect as layers."""
        backgrounds, exemplars, known = (
            request.background_images,
            request.exemplars,
            request.exemplar_known,
        )
        if backgrounds is None or exemplars is None or known is None:
            raise ValueError("copy_paste needs background_images, exemplars and exemplar_known")
        on_defect = defect_mask(request.defects)
        images = [
            paste(
                background.permute(1, 2, 0).float().cpu().numpy(),
                exemplar.permute(1, 2, 0).float().cpu().numpy(),
                mask.cpu().numpy(),
                seen.cpu().numpy(),
                self.config.blend,
                np.random.default_rng(int(seed)),
            )
            for background, exemplar, mask, seen, seed in zip(
                backgrounds, exemplars, on_defect, known, seeds, strict=True
            )
        ]
        stacked = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
        return Samples(
            images=torch.from_numpy(stacked).to(backgrounds.device),
            defects=request.defects,
            backgrounds=request.backgrounds,
            mask_source="conditioning",
            seeds=seeds,
            layers={"background": backgrounds, "defect": exemplars},
        )


def paste(
    background: Floats,
    exemplar: Floats,
    mask: BoolArray,
    known: BoolArray,
    blend: CopyPasteBlend,
    rng: np.random.Generator,
) -> Floats:
    """Return the background with the exemplar's defects set into it.

    Args:
        background: H x W x C in [-1, 1].
        exemplar: H x W x C in [-1, 1].
        mask: H x W, the defects.
        known: H x W, where the exemplar has pixels; where it has none nothing is pasted.
        blend: how.
        rng: draws the contrast of each defect.
    """
    image = background.copy()
    for box, patch in _patches(background, exemplar, mask, known):
        contrast = 1.0 + rng.uniform(-blend.contrast, blend.contrast)
        alpha = _opacity(patch, blend)
        changed = alpha > 0
        pasted = np.clip(_match(patch, blend, contrast), -1.0, 1.0)
        view = image[box]
        mixed = view + alpha[..., None] * (pasted - view)
        view[changed] = mixed[changed]
    return image


def _patches(
    background: Floats, exemplar: Floats, mask: BoolArray, known: BoolArray
) -> Iterator[tuple[tuple[slice, slice], _Patch]]:
    """Yield every defect with what is known around it, and its box."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(known.astype(np.uint8), connectivity=8)
    for index, (left, top, width, height, _) in enumerate(stats[1:].tolist(), start=1):
        box = (slice(top, top + height), slice(left, left + width))
        own = regions[box] == index
        inside = mask[box] & own
        if inside.any():
            outside = (~inside).astype(np.uint8)
            distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            yield box, _Patch(background[box], exemplar[box], inside, own, distance)


def _opacity(patch: _Patch, blend: CopyPasteBlend) -> Floats:
    """Return h x w from 1 on the mask to 0 beyond the edge, 0 where nothing is known."""
    if blend.mode == "poisson":  # its own solution meets the background at the edge
        fade = (patch.distance <= blend.edge).astype(np.float32)
    else:
        fade = np.clip(1.0 - patch.distance / (blend.edge + 1.0), 0.0, 1.0)
        fade = fade * fade * (3.0 - 2.0 * fade)
    return np.asarray(fade * patch.known, np.float32)


def _match(patch: _Patch, blend: CopyPasteBlend, contrast: float) -> Floats:
    """Return the defect in the tone of its new surroundings."""
    around = patch.known & (patch.distance > blend.ring_gap)
    ring = around & (patch.distance <= blend.ring_gap + blend.ring)
    if np.count_nonzero(ring) < FEWEST_RING_PIXELS:
        ring = patch.known & ~patch.mask
    if np.count_nonzero(ring) < FEWEST_RING_PIXELS:
        return patch.defect
    here, there = patch.background[ring], patch.defect[ring]
    ratio = float(here.std(axis=0).mean() / max(float(there.std(axis=0).mean()), 1e-6))
    gain = contrast * float(np.clip(ratio, 1.0 / blend.largest_gain, blend.largest_gain))
    centre = there.mean(axis=0)
    defect = (centre + np.float32(gain) * (patch.defect - centre)).astype(np.float32)
    limit = np.float32(blend.largest_offset)
    if blend.mode == "feathered":
        lifted = defect + np.clip(here.mean(axis=0) - centre, -limit, limit)
    else:
        difference = patch.background - defect
        if blend.mode == "membrane":
            lifted = defect + np.clip(membrane(difference, ring), -limit, limit)
        else:
            unknown = patch.known & (patch.distance <= blend.edge)
            lifted = defect + solve_laplace(difference, unknown, patch.known)
    return _with_texture(lifted, patch.background, blend)


def _with_texture(defect: Floats, background: Floats, blend: CopyPasteBlend) -> Floats:
    """Return the defect with a share of its fine texture taken from the background."""
    if blend.texture == 0.0:
        return defect
    fine = [
        image - cv2.GaussianBlur(image, (0, 0), blend.texture_scale).reshape(image.shape)
        for image in (background, defect)
    ]
    return np.asarray(defect + np.float32(blend.texture) * (fine[0] - fine[1]), np.float32)
