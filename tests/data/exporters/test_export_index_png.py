"""Index masks: everything but the names of weak labels comes back."""

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters import export_dataset
from flawsmith.data.images import read_index_mask
from flawsmith.errors import FlawsmithError


def test_simulated_set_comes_back(pouch_folder, tmp_path, there_and_back, labels_by_name,
                                  same_labels):  # fmt: skip
    data = DefectDataset.open(pouch_folder)
    back = there_and_back(data, tmp_path, "index_png")
    for record in data.usable():
        assert same_labels(labels_by_name(data, record), labels_by_name(*back[record.sha256]))


def test_odd_labels_come_back(odd, tmp_path, there_and_back, labels_by_name, same_labels):
    back = there_and_back(odd, tmp_path, "index_png")
    for record in odd.records[:4]:
        assert same_labels(labels_by_name(odd, record), labels_by_name(*back[record.sha256]))


def test_classes_and_good_masks(odd, tmp_path):
    export_dataset(odd, tmp_path / "out", "index_png")
    lines = (tmp_path / "out/classes.txt").read_text().splitlines()
    assert lines == ["0: background", "1: OK", "2: 3 mm pore", "3: a/b crack"]
    assert not read_index_mask(tmp_path / "out/masks/i2.png").any()
    assert np.all(read_index_mask(tmp_path / "out/masks/i3.png") == 255)


def test_ignored_regions_alone_are_refused(odd, tmp_path):
    with pytest.raises(FlawsmithError, match="no pixel with a class"):
        export_dataset(odd.with_records(odd.records[2:4]), tmp_path / "out", "index_png")
    assert not (tmp_path / "out").exists()
