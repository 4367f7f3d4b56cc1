"""Figures of the check against closed forms."""

import math

import pytest

from flawsmith.data.check_report import INFORMATION
from flawsmith.data.checks import check
from flawsmith.data.schema import PixelSize


def test_a_sound_set_has_no_findings(tmp_path, sound):
    seen = []
    report = check(sound(tmp_path), lambda: seen.append(1))
    assert report.findings == []
    assert len(seen) == 3
    assert (report.images, report.parts, report.excluded_images) == (3, 3, 0)
    assert (report.good_images, report.good_parts) == (1, 1)
    assert (report.defective_images, report.defective_parts) == (2, 2)
    assert report.sizes == {"60 x 40": 3}
    assert report.pixel_types == {"8-bit grey": 3}


def test_figures_agree_with_closed_forms(tmp_path, mask, build):
    diagonal = mask((1, 0, 0, 1, 1), (1, 1, 1, 1, 1), (1, 2, 2, 1, 1))  # one region, touching
    images = [
        ("a", "p1", diagonal, {"view": "left"}),
        ("b", "p1", mask((1, 10, 10, 2, 5), (1, 20, 10, 4, 25), (1, 30, 0, 2, 19)), {}),
        ("c", "p2", mask((1, 0, 0, 30, 20), (2, 35, 30, 1, 1)), {"view": "right"}),
        ("d", "p3", mask(), {}),
    ]
    report = check(build(tmp_path, images, pixel_size_mm=PixelSize(x=0.5, y=0.2)))
    scratch, dent = report.classes
    assert (scratch.images, scratch.parts, scratch.regions) == (3, 2, 5)
    areas = sorted([3, 2 * 5, 4 * 25, 2 * 19, 30 * 20])
    assert scratch.area_px.model_dump() == {"minimum": 3, "median": 38, "maximum": 600}
    assert scratch.area_mm2.maximum == pytest.approx(600 * 0.5 * 0.2)
    assert scratch.diameter_px.median == pytest.approx(2 * math.sqrt(areas[2] / math.pi))
    assert scratch.diameter_mm.minimum == pytest.approx(2 * math.sqrt(0.3 / math.pi))
    # Boxes of 25 x 4 and 20 x 30 pixels are not under 20 px; 19 x 2 is.
    assert scratch.small_share == pytest.approx(3 / 5)
    assert scratch.small_image_share == pytest.approx(1 / 3)
    assert scratch.smallest.model_dump() == {
        "file": "images/a.png", "area_px": 3, "x": 1.0, "y": 1.0
    }  # fmt: skip
    assert (dent.images, dent.parts, dent.regions, dent.small_share) == (1, 1, 1, 1.0)
    assert dent.smallest.model_dump() == {
        "file": "images/c.png", "area_px": 1, "x": 30.0, "y": 35.0
    }  # fmt: skip
    assert report.imbalance_images == 3
    assert report.imbalance_parts == 2
    assert report.views == 2
    assert report.views_per_part.model_dump() == {"minimum": 1, "median": 1, "maximum": 2}


def test_without_a_pixel_size_there_are_no_millimetres(tmp_path, sound):
    scratch = check(sound(tmp_path)).classes[0]
    assert scratch.area_mm2 is None
    assert scratch.diameter_mm is None
    assert scratch.area_px.median == 12


def test_ignored_pixels_are_no_region(tmp_path, mask, build):
    images = [("a", "p1", mask((255, 0, 0, 9, 9), (1, 20, 20, 2, 2)), {})]
    report = check(build(tmp_path, images))
    assert report.classes[0].area_px.maximum == 4
    assert [f.kind for f in report.findings if f.kind not in INFORMATION] == []


def test_labels_without_any_mask_are_legal(tmp_path, mask, build):
    images = [
        ("a", "p1", mask(), {"labels": ["scratch"]}),
        ("b", "p2", mask(), {"labels": ["dent"]}),
        ("c", "p3", mask(), {}),
    ]
    report = check(build(tmp_path, images))
    assert report.image_level
    assert report.findings == []
    assert [(c.images, c.parts, c.regions, c.area_px) for c in report.classes] == [
        (1, 1, None, None), (1, 1, None, None)
    ]  # fmt: skip


def test_a_set_of_good_images_alone_is_legal(tmp_path, mask, build):
    report = check(build(tmp_path, [("a", "p1", mask(), {})], defects=[]))
    assert not report.image_level
    assert report.imbalance_images is None
    assert report.findings == []


def test_excluded_images_are_listed_and_not_counted(tmp_path, mask, build):
    images = [
        ("a", "p1", mask((1, 2, 2, 3, 4)), {}),
        ("b", "p1", mask(), {"excluded": "labelled good by mistake"}),
        ("c", "p2", mask((2, 0, 0, 3, 3)), {"excluded": "blurred"}),
        ("d", "p3", mask((2, 0, 0, 4, 4)), {"labels": ["dent"]}),
    ]
    report = check(build(tmp_path, images))
    assert (report.images, report.excluded_images, report.parts) == (4, 2, 2)
    assert report.classes[1].area_px.minimum == 16
    found = [(f.kind, f.file, f.message) for f in report.findings]
    assert found == [
        ("excluded", "images/b.png", "labelled good by mistake"),
        ("excluded", "images/c.png", "blurred"),
    ]


def test_synthetic_images_add_regions_and_no_parts(tmp_path, mask, build):
    made = {"source": "synthetic", "system": "dbs_gan", "seed": 1}
    images = [
        ("a", "p1", mask((1, 2, 2, 3, 4)), {}),
        ("b", "p1", mask((1, 2, 2, 3, 4), (2, 20, 20, 9, 9)), made),
        ("c", "p1", mask(), {**made, "seed": 2}),
    ]
    report = check(build(tmp_path, images))
    assert (report.images, report.synthetic_images, report.parts) == (3, 2, 1)
    assert [(c.images, c.parts, c.regions) for c in report.classes] == [(2, 1, 2), (1, 0, 1)]
    assert report.findings == []
