"""MVTec AD: ``train/good``, ``test/<type>``, ``ground_truth/<type>/*_mask.png``.

Bergmann et al., "MVTec AD: A comprehensive real-world dataset for unsupervised anomaly detection",
CVPR 2019.
"""

import posixpath
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import paint_defect_mask
from flawsmith.data.formats.folder import SourceFolder, is_good_name
from flawsmith.data.formats.pairing import bare_stem, stem

MASKS = "ground_truth"


@FORMATS.register("mvtec")
class Mvtec(Format):
    """The type of a defect is a folder; test images without their mask are excluded.

    With several products below one folder, defects are named ``<product>_<type>``.
    """

    summary: ClassVar[str] = "MVTec AD: train/good, test/<type>, ground_truth/<type>/*_mask.png"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise a folder with test/ and ground_truth/."""
        products = _products(folder)
        if not products:
            return None
        where = products[0] or "the folder"
        return Match(Certainty.CONTENT, f"{where} has test/ and {MASKS}/")

    def read(self, folder: SourceFolder) -> Source:
        """Pair test images and masks by folder and number."""
        products = _products(folder)
        source = Source([])
        classes = set()
        for product in products:
            files = [name for name in folder.images if _below(name, product)]
            masks = {_key(name, product): name for name in files if _top(name, product) == MASKS}
            for image in files:
                top, kind = _top(image, product), posixpath.basename(posixpath.dirname(image))
                if top == MASKS:
                    continue
                if top not in ("train", "test"):
                    source.unlabelled(image, f"it lies neither in train, test nor {MASKS}")
                    continue
                if is_good_name(kind):
                    source.images.append(SourceImage(image))
                    continue
                name = f"{posixpath.basename(product)}_{kind}" if len(products) > 1 else kind
                classes.add(name)
                mask = masks.pop(_key(image, product), None) if top == "test" else None
                if mask is None:
                    reason = f"it shows '{kind}', but has no mask"
                    source.unlabelled(image, reason, classes=[name])
                else:
                    paint = partial(paint_defect_mask, name, folder.path(mask))
                    source.images.append(SourceImage(image, paint))
            for mask in masks.values():
                source.find("orphaned mask", mask, "there is no test image for it; not imported")
        for image in folder.images:
            if not any(_below(image, product) for product in products):
                source.unlabelled(image, "it belongs to no product folder")
        source.classes = sorted(classes)
        return source


def _products(folder: SourceFolder) -> list[str]:
    """Return the folders that have both test/ and ground_truth/; "" is the imported one."""
    tops: dict[str, set[str]] = {}
    for name in folder.images:
        parts = name.split("/")
        for depth, part in enumerate(parts[:-2]):
            if part in ("test", MASKS):
                tops.setdefault("/".join(parts[:depth]), set()).add(part)
    return sorted(product for product, found in tops.items() if len(found) == 2)


def _below(name: str, product: str) -> bool:
    return not product or name.startswith(f"{product}/")


def _top(name: str, product: str) -> str:
    return name[len(product) :].lstrip("/").split("/")[0]


def _key(name: str, product: str) -> tuple[str, str]:
    inside = name[len(product) :].lstrip("/")
    kind = posixpath.dirname(inside).split("/", 1)[-1]
    return kind, bare_stem(name) if _top(name, product) == MASKS else stem(name)
