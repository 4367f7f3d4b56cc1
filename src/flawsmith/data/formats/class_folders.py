"""Images sorted into folders by class, without masks."""

from collections import Counter
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import SourceFolder, is_good_name
from flawsmith.data.formats.pairing import IMAGE_FOLDERS, plain, split_images_and_masks

SPLIT_FOLDERS = frozenset("train training test testing val valid validation dev eval".split())


@FORMATS.register("class_folders")
class ClassFolders(Format):
    """The innermost folder is the class; good, ok, normal, free and the like mean no defect.

    Labels are for the whole image: it shows the defect somewhere, no mask says where.
    """

    summary: ClassVar[str] = "a folder of images per class, no masks (labels for whole images)"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise at least two folders of images, none of which holds masks."""
        images, masks = split_images_and_masks(folder)
        classes = Counter(class_folder(name) for name in images)
        if masks or folder.jsons or len(classes) < 2 or "" in classes:
            return None
        names = ", ".join(sorted(classes)[:6])
        return Match(Certainty.FOLDERS, f"images lie in {len(classes)} folders: {names}")

    def read(self, folder: SourceFolder) -> Source:
        """Label each image with its folder."""
        names = sorted({class_folder(name) for name in folder.images} - {""})
        source = Source([name for name in names if not is_good_name(name)])
        for image in folder.images:
            name = class_folder(image)
            if not name:
                source.unlabelled(image, "it lies in no class folder")
            elif is_good_name(name):
                source.images.append(SourceImage(image))
            else:
                source.images.append(SourceImage(image, partial(_label, name)))
        return source


def class_folder(file: str) -> str:
    """Return the innermost folder that is neither a split nor called images; "" if none is."""
    for part in reversed(file.split("/")[:-1]):
        if plain(part) not in SPLIT_FOLDERS | IMAGE_FOLDERS:
            return part
    return ""


def _label(name: str, canvas: Canvas) -> None:
    canvas.label(name)
