"""VisA: ``<object>/Data/Images/{Normal,Anomaly}`` and ``<object>/Data/Masks/Anomaly``.

Zou et al., "SPot-the-Difference self-supervised pre-training for anomaly detection and
segmentation", ECCV 2022.
"""

import re
from typing import ClassVar

from flawsmith.data.formats.any_value import add_masked
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem

IMAGE = re.compile(r"(.*/|)Data/Images/(Normal|Anomaly)/[^/]+")
MASK = re.compile(r"(.*/|)Data/Masks/Anomaly/[^/]+")
DEFECT = "anomaly"


@FORMATS.register("visa")
class Visa(Format):
    """Every value over 0 is the defect; with several objects it is named ``<object>_anomaly``."""

    summary: ClassVar[str] = "VisA: <object>/Data/Images/{Normal,Anomaly}, Data/Masks/Anomaly"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise the folders of images."""
        for name in folder.images:
            if IMAGE.fullmatch(name):
                return Match(Certainty.DATA_SET, f"{name} lies as in VisA")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and masks by object and file name."""
        found = [(name, IMAGE.fullmatch(name)) for name in folder.images]
        masks = {
            (match[1], stem(name)): name
            for name in folder.images
            if (match := MASK.fullmatch(name))
        }
        objects = {match[1] for _, match in found if match}
        source = Source([])
        classes = set()
        taken = set(masks.values())
        for image, match in found:
            if match is None:
                if image not in taken:
                    source.unlabelled(image, "it lies in no folder such as Data/Images/Normal")
                continue
            home, kind = match[1], match[2]
            if kind == "Normal":
                source.images.append(SourceImage(image))
                continue
            prefix = f"{home.rstrip('/').rsplit('/', 1)[-1]}_" if len(objects) > 1 and home else ""
            name = prefix + DEFECT
            classes.add(name)
            mask = masks.pop((home, stem(image)), None)
            add_masked(folder, source, image, name, mask, "an anomaly")
        for mask in masks.values():
            source.find("orphaned mask", mask, "there is no anomalous image for it; not imported")
        source.classes = sorted(classes)
        return source
