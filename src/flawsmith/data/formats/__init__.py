"""Importing labelled images: every format registers itself under its name in `FORMATS`."""

from flawsmith.data.formats import (
    class_folders,
    class_masks,
    coco,
    cvat,
    dagm,
    elpv,
    index_png,
    labelme,
    magnetic_tile,
    mvtec,
    neu,
    pascal_voc,
    sd_saliency_900,
    yolo,
)
from flawsmith.data.formats.base import FORMATS, Finding, Format, Match, Source, SourceImage
from flawsmith.data.formats.importing import REPORT_FILE, ImportReport, import_folder

__all__ = [
    "FORMATS",
    "REPORT_FILE",
    "Finding",
    "Format",
    "ImportReport",
    "Match",
    "Source",
    "SourceImage",
    "class_folders",
    "class_masks",
    "coco",
    "cvat",
    "dagm",
    "elpv",
    "import_folder",
    "index_png",
    "labelme",
    "magnetic_tile",
    "mvtec",
    "neu",
    "pascal_voc",
    "sd_saliency_900",
    "yolo",
]
