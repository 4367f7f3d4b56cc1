"""Synthetic images without masks in the report: whole ones, beside whole real ones."""

from pathlib import Path

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import to_unit
from flawsmith.data.whole_images import fit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.facts import Match, Panel
from flawsmith.experiment.report.pictures import Pixels
from flawsmith.experiment.report.synthetic import Crop, SyntheticPages


class WholeImagePages(SyntheticPages):
    """Builds the synthetic section: images are made square, as the networks get them."""

    def _crop_side(self, synthetic: DefectDataset | None, records: list[ImageRecord]) -> int:
        """Return the side of the synthetic images, which the real ones are brought to."""
        return max((min(record.height, record.width) for record in records), default=96)

    def _crops(
        self, dataset: DefectDataset, records: list[ImageRecord], name: str, side: int
    ) -> list[tuple[Crop, ImageRecord]]:
        crops = []
        for record in records:
            try:
                image = fit(to_unit(dataset.image(record), dataset.schema), side)
            except FlawsmithError:
                continue  # removed since: the others are still worth showing
            pixels: Pixels = np.rint(image * 255.0).astype(np.uint8)
            shown = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
            nowhere = np.zeros(shown.shape[:2], np.uint8)
            crops.append((Crop(record.file_name, shown, nowhere), record))
        return crops

    def _first_panels(self, crop: Crop) -> list[Panel]:
        return []

    def _gallery(self, synthesizer: Path | None, side: int) -> list[Match]:
        return []
