"""Counts and pixels of public data sets in their original formats."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import import_folder


@pytest.mark.real_data
def test_magnetic_tile_counts(real_data, tmp_path):
    report = import_folder(real_data / "magnetic-tile", tmp_path / "out")
    assert (report.images, report.parts, report.excluded, report.good) == (1344, 216, 28, 924)
    assert report.classes == {"blowhole": 115, "break": 85, "crack": 57, "fray": 32, "uneven": 103}
    assert [finding.kind for finding in report.findings] == ["empty mask"] * 4
    assert all("MT_Uneven" in finding.file for finding in report.findings)
    data = DefectDataset.open(tmp_path / "out")
    for record in data.records[::60]:
        mask = np.asarray(
            Image.open((real_data / "magnetic-tile" / record.original).with_suffix(".png"))
        )
        defects = data.label_map(record).defects
        np.testing.assert_array_equal(defects > 0, mask > 127)
        assert set(np.unique(defects)) <= {0, *(data.schema.defect(n).id for n in record.labels)}
    assert {record.fold for record in data} == {0, 1, 2, 3, 4}


@pytest.mark.real_data
def test_sd_saliency_counts(real_data, tmp_path):
    report = import_folder(real_data / "sd-saliency-900", tmp_path / "out")
    assert report.classes == {"inclusion": 300, "patch": 300, "scratch": 300}
    assert (report.images, report.good, report.excluded) == (900, 0, 0)


@pytest.mark.real_data
def test_coco_sample(real_data, tmp_path):
    pattern = r"/(\d+)_cropped"
    out = tmp_path / "out"
    report = import_folder(real_data / "formats/coco", out, part_pattern=pattern)
    assert (report.images, report.classes, report.findings) == (174, {"defect": 172}, [])
    assert report.parts < 174
    data = DefectDataset.open(out)
    assert sum(len(record.instances) for record in data) == 3067 + 3959


@pytest.mark.real_data
def test_mvtec_sample_reports_orphans(real_data, tmp_path):
    report = import_folder(real_data / "formats/mvtec", tmp_path / "out")
    kinds = [finding.kind for finding in report.findings]
    assert (report.images, report.good, report.excluded) == (16, 8, 3)
    assert (kinds.count("orphaned mask"), kinds.count("no labels")) == (13, 3)


@pytest.mark.real_data
def test_labelme_sample(real_data, tmp_path):
    out = tmp_path / "out"
    report = import_folder(real_data / "formats/labelme/Data/Recoat", out)
    assert report.classes == {"powder_uncover": 1, "powder_uneven": 1, "scratch": 1}
    assert report.findings == []
    data = DefectDataset.open(out)
    record = next(r for r in data if r.labels == ["scratch"])
    content = json.loads((real_data / "formats/labelme/Data/Recoat/10002.json").read_text())
    expected = np.zeros((1024, 1024), bool)
    for item in content["shapes"]:
        corners = np.array(item["points"])
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        y, x = np.mgrid[:1024, :1024]
        expected |= (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    found = data.label_map(record).defects > 0
    near = cv2.dilate(expected.astype(np.uint8), np.ones((3, 3))) > 0
    surely = cv2.erode(expected.astype(np.uint8), np.ones((3, 3))) > 0
    assert near[found].all()  # corners fall between pixels: one pixel either way
    assert found[surely].all()
