"""A page to look through a data set: thumbnails, filters, every image with its facts."""

from flawsmith.data.gallery.build import GALLERY_FOLDER, build_gallery
from flawsmith.data.gallery.findings import CHECK_FILE, read_findings

__all__ = ["CHECK_FILE", "GALLERY_FOLDER", "build_gallery", "read_findings"]
