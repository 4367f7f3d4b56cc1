"""A data set seen through a disturbance: nothing is written, every image is made when asked for."""

import hashlib

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import ImageArray
from flawsmith.experiment.robustness.disturbances import Disturbance


class DisturbedDataset(DefectDataset):
    """The same images and label maps, disturbed; records have the sizes of disturbed images.

    What is random in an image follows from its name, the disturbance and its strength alone.
    """

    def __init__(self, dataset: DefectDataset, disturbance: Disturbance, strength: float) -> None:
        records = []
        for record in dataset.records:
            height, width = disturbance.size(record.height, record.width, strength)
            records.append(record.model_copy(update={"height": height, "width": width}))
        super().__init__(dataset.root, dataset.schema, records)
        self._dataset = dataset
        self._given = {record.file_name: record for record in dataset.records}
        self._disturbance = disturbance
        self._strength = strength

    def image(self, record: ImageRecord) -> ImageArray:
        """Return the disturbed pixels."""
        given = self._dataset.image(self._given[record.file_name])
        text = f"{record.file_name}/{self._disturbance.name}/{self._strength:g}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        rng = np.random.default_rng(seed)
        return self._disturbance.image(given, self._strength, self.schema, rng)

    def label_map(self, record: ImageRecord) -> LabelMap:
        """Return the label map of the disturbed image."""
        given = self._dataset.label_map(self._given[record.file_name])
        return self._disturbance.label_map(given, self._strength)
