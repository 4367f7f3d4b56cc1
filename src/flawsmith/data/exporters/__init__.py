"""Exporting data sets: every exporter registers itself under its name in `EXPORTERS`."""

from flawsmith.data.exporters import coco, index_png, labelme, mvtec, yolo
from flawsmith.data.exporters.base import EXPORTERS, Exporter
from flawsmith.data.exporters.exporting import ExportReport, export_dataset

__all__ = [
    "EXPORTERS",
    "ExportReport",
    "Exporter",
    "coco",
    "export_dataset",
    "index_png",
    "labelme",
    "mvtec",
    "yolo",
]
