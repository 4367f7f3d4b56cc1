"""MVTec AD: ``train/good``, ``test/<type>``, ``ground_truth/<type>/*_mask.png``.

Bergmann et al., "MVTec AD: A comprehensive real-world dataset for unsupervised anomaly detection",
CVPR 2019. MVTec LOCO (Bergmann et al., IJCV 2022) has a folder of masks an image instead,
``ground_truth/<type>/000/*.png``, one for each place, and any value above 0 in them.
"""

import posixpath
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.any_value import paint_any_value
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, paint_defect_mask
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
            masks: dict[tuple[str, str], list[str]] = {}
            for name in files:
                if _top(name, product) == MASKS:
                    masks.setdefault(_mask_key(name, product), []).append(name)
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
                key = (_type(image, product), stem(image))
                own = masks.pop(key, []) if top == "test" else []
                if not own:
                    reason = f"it shows '{kind}', but has no mask"
                    source.unlabelled(image, reason, classes=[name])
                else:
                    source.images.append(SourceImage(image, _painter(folder, name, own)))
            for mask in (mask for own in masks.values() for mask in own):
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


def _type(name: str, product: str) -> str:
    return posixpath.dirname(name[len(product) :].lstrip("/")).split("/", 1)[-1]


def _mask_key(name: str, product: str) -> tuple[str, str]:
    """Return type and stem of the image that a mask belongs to."""
    kind = _type(name, product)
    if "/" in kind:  # LOCO: the folder is called as the image
        parent, _, number = kind.rpartition("/")
        return parent, number
    return kind, bare_stem(name)


def _painter(folder: SourceFolder, name: str, masks: list[str]) -> Callable[[Canvas], None]:
    paths = [folder.path(mask) for mask in masks]
    if len(paths) == 1 and bare_stem(masks[0]) != stem(masks[0]):  # MVTec AD: 000_mask.png
        return partial(paint_defect_mask, name, paths[0])
    return partial(paint_any_value, name, paths)
