"""DAGM 2007: ``Class1/Train/0576.PNG`` with ``Class1/Train/Label/0576_label.PNG``.

Wieler and Hahn, "Weakly supervised learning for industrial optical inspection", DAGM 2007.
"""

import posixpath
import re
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import paint_defect_mask
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem
from flawsmith.errors import FlawsmithError

IMAGE = re.compile(r"(?:.*/)?(Class\d+)/(?:Train|Test)/[^/]+", re.IGNORECASE)
LABEL = re.compile(r"((?:.*/)?Class\d+/(?:Train|Test))/Label/([^/]+)_label\.\w+", re.IGNORECASE)


@FORMATS.register("dagm")
class Dagm(Format):
    """The class is the folder; an image without a label file is good.

    Where the Label folder is missing, or Labels.txt names a label file that is missing, images
    are not known to be good and are excluded.
    """

    summary: ClassVar[str] = "DAGM 2007: Class1/Train/*.PNG with Label/*_label.PNG"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise a label file in its folder."""
        for name in folder.images:
            if LABEL.fullmatch(name):
                return Match(Certainty.DATA_SET, f"{name} is a label of DAGM 2007")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and labels by folder and number."""
        source = Source([])
        found = [(name, LABEL.fullmatch(name)) for name in folder.images]
        labels = {(match[1], match[2].casefold()): name for name, match in found if match}
        homes = {home for home, _ in labels}
        listed = _listed(folder, source)
        classes = set()
        for image, label in found:
            if label:
                continue
            match = IMAGE.fullmatch(image)
            if match is None:
                source.unlabelled(image, "it lies in no folder such as Class1/Train")
                continue
            key = (posixpath.dirname(image), stem(image).casefold())
            mask = labels.pop(key, None)
            if mask:
                classes.add(match[1])
                paint = partial(paint_defect_mask, match[1], folder.path(mask))
                source.images.append(SourceImage(image, paint))
            elif key in listed:
                classes.add(match[1])
                reason = "Labels.txt names a label file for it, which is missing"
                source.unlabelled(image, reason, classes=[match[1]])
            elif key[0] not in homes:
                source.unlabelled(image, f"{key[0]} has no Label folder")
            else:
                source.images.append(SourceImage(image))
        for mask in labels.values():
            source.find("orphaned mask", mask, "there is no image for it; not imported")
        source.classes = sorted(classes, key=lambda name: (len(name), name))
        return source


def _listed(folder: SourceFolder, source: Source) -> set[tuple[str, str]]:
    """Return folder and number of the label files that any Labels.txt names."""
    listed = set()
    for file in folder.files:
        name = posixpath.basename(file).casefold()
        if name != "labels.txt":
            continue
        home = posixpath.dirname(file)
        if posixpath.basename(home).casefold() == "label":
            home = posixpath.dirname(home)
        try:
            text = folder.read_text(file)
        except FlawsmithError as error:
            source.find("unreadable labels", file, str(error))
            continue
        numbers = re.findall(r"([^\s/\\,;]{1,99})_label\.\w+", text, re.IGNORECASE)
        listed |= {(home, number.casefold()) for number in numbers}
    return listed
