"""SD-saliency-900: steel strip with the class in the file name (MCITF, Song et al. 2020)."""

import posixpath
import re
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import paint_defect_mask
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import plain, split_images_and_masks, stem

CLASSES = {"In": "inclusion", "Pa": "patch", "Sc": "scratch"}
NAME = re.compile(r"(In|Pa|Sc)_\d+")


@FORMATS.register("sd_saliency_900")
class SdSaliency900(Format):
    """``In_1.bmp`` is an inclusion; its mask ``In_1.png`` lies in "Ground truth"."""

    summary: ClassVar[str] = "SD-saliency-900: In_*, Pa_*, Sc_* with masks in 'Ground truth'"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise the names of files and of the folder of masks, if most images are called so.

        The same images in another layout, exported say, have other masks under these names.
        """
        images, masks = split_images_and_masks(folder)
        named = sum(bool(NAME.fullmatch(stem(name))) for name in images)
        if not any(map(_is_mask, masks)) or not named or named < 0.9 * len(images):
            return None
        return Match(Certainty.CONTENT, f"{named} images are called In_*, Pa_* or Sc_*")

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and masks by file name."""
        images, masks = split_images_and_masks(folder)
        known = {stem(mask): mask for mask in masks}
        source = Source(list(CLASSES.values()))
        for image in images:
            match = NAME.fullmatch(stem(image))
            if match is None:
                source.unlabelled(image, "its name starts with none of In_, Pa_, Sc_")
                continue
            name = CLASSES[match[1]]
            mask = known.pop(stem(image), None)
            if mask is None:
                source.unlabelled(image, "it has no mask in 'Ground truth'", classes=[name])
            else:
                source.images.append(
                    SourceImage(image, partial(paint_defect_mask, name, folder.path(mask)))
                )
        for mask in known.values():
            source.find("orphaned mask", mask, "there is no image of this name")
        return source


def _is_mask(name: str) -> bool:
    in_its_folder = plain(posixpath.basename(posixpath.dirname(name))) == "groundtruth"
    return in_its_folder and NAME.fullmatch(stem(name)) is not None
