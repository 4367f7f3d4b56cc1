"""BTAD: ``01/train/ok``, ``01/test/{ok,ko}`` and ``01/ground_truth/ko`` with the same names.

Mishra et al., "VT-ADL: A vision transformer network for image anomaly detection and
localization", ISIE 2021.
"""

import re
from typing import ClassVar

from flawsmith.data.formats.any_value import add_masked
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem

IMAGE = re.compile(r"(.*/|)(?:train|test)/(ok|ko)/[^/]+", re.IGNORECASE)
MASK = re.compile(r"(.*/|)ground_truth/(ok|ko)/[^/]+", re.IGNORECASE)
DEFECT = "ko"


@FORMATS.register("btad")
class Btad(Format):
    """Every value over 0 is the defect; with several products it is named ``<product>_ko``."""

    summary: ClassVar[str] = "BTAD: 01/train/ok, 01/test/{ok,ko}, 01/ground_truth/ko"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise test images and masks in folders called ko."""
        homes = {m[1] for f in folder.images if (m := IMAGE.fullmatch(f)) and m[2].lower() == "ko"}
        for name in folder.images:
            match = MASK.fullmatch(name)
            if match and match[2].lower() == "ko" and match[1] in homes:
                return Match(Certainty.DATA_SET, f"{name} is a mask of BTAD")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Pair test images and masks by product and file name, whatever their suffix."""
        masks = {
            (match[1], stem(name)): name
            for name in folder.images
            if (match := MASK.fullmatch(name)) and match[2].lower() == "ko"
        }
        images = [(f, IMAGE.fullmatch(f)) for f in folder.images if not MASK.fullmatch(f)]
        products = {match[1] for _, match in images if match}
        source = Source([])
        classes = set()
        for image, match in images:
            if match is None:
                source.unlabelled(image, "it lies in no folder such as test/ok or test/ko")
                continue
            if match[2].lower() == "ok":
                source.images.append(SourceImage(image))
                continue
            home = match[1].rstrip("/").rsplit("/", 1)[-1]
            name = f"{home}_{DEFECT}" if len(products) > 1 and home else DEFECT
            classes.add(name)
            mask = masks.pop((match[1], stem(image)), None)
            add_masked(folder, source, image, name, mask, "a defect")
        for mask in masks.values():
            source.find("orphaned mask", mask, "there is no test image for it; not imported")
        source.classes = sorted(classes)
        return source
