"""Labels that differ between views of a part, images of one piece in two parts, tiny regions."""

import cv2
import numpy as np
import pytest

from flawsmith.data.checks import check
from flawsmith.data.checks.view_labels import MOST_VIEWS, register
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.parts import VIEWS_FILE, dataset_views

SIDE = 120


def surface(seed, light=1.0):
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip(light * (110 + 30 * smooth / smooth.std()), 0, 255).astype(np.uint8)


def region(defect=1, y=40, x=40, height=30, width=30):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y : y + height, x : x + width] = defect
    return mask


def views(*masks, seeds=None, **fields):
    return [
        (f"v{n}", "p1", mask,
         {"pixels": surface(seeds[n] if seeds else 1, light=1 - 0.2 * (n % 3)), **fields})
        for n, mask in enumerate(masks)
    ]  # fmt: skip


def found(dataset, kind):
    return [f for f in check(dataset).findings if f.kind == kind]


def test_registration_finds_shift_and_rejects_another_surface():
    def texture(seed):
        values = surface(seed).astype(np.float32)
        return (values - values.mean()) / values.std()

    likeness, shift = register(texture(1)[10:110, 20:115], texture(1))
    assert likeness > 0.9
    assert shift == (20, 10)
    assert register(texture(1), texture(2))[0] < 0.2


def test_views_that_agree_are_not_reported(tmp_path, build):
    moved = region(x=42)
    assert found(build(tmp_path, views(region(), region(), moved)), "view_labels_differ") == []


@pytest.mark.parametrize(
    ("odd", "figures"),
    [
        (region(height=10, width=10), "scratch is 100 px here and 900 px in images/v"),
        (region(y=80, x=80), "they share 0 % of their area"),
        (region(defect=2), "is 0 px here and 900 px in images/v"),
    ],
)
def test_views_with_other_areas_places_or_classes_are_reported(tmp_path, build, odd, figures):
    (finding,) = found(build(tmp_path, views(region(), odd, region())), "view_labels_differ")
    assert finding.file == "images/v1.png"
    assert figures in finding.message
    assert finding.others[0] in ("images/v0.png", "images/v2.png")
    assert finding.box is not None
    assert not finding.is_problem


def test_labels_are_compared_where_a_shifted_view_shows_the_same(tmp_path, build):
    whole = np.pad(surface(1), 10, mode="reflect")
    same, other = region(), region(y=30, x=30)
    pixels = {"pixels": whole[:SIDE, :SIDE]}  # 10 px further up and left: all moves by +10
    moved = region(y=50, x=50)
    sound = [("v0", "p1", same, {"pixels": whole[10:-10, 10:-10]}), ("v1", "p1", moved, pixels)]
    assert found(build(tmp_path / "sound", sound), "view_labels_differ") == []
    wrong = [
        ("v0", "p1", same, {"pixels": whole[10:-10, 10:-10]}),
        ("v1", "p1", other, {"pixels": whole[:SIDE, :SIDE]}),
    ]
    (finding,) = found(build(tmp_path / "wrong", wrong), "view_labels_differ")
    assert "px" in finding.message
    assert "moved by x=" in finding.message


def test_other_surfaces_and_unlabelled_views_are_not_compared(tmp_path, build):
    sides = views(region(), region(y=80, x=80), seeds=[1, 2])
    assert found(build(tmp_path / "sides", sides), "view_labels_differ") == []
    excluded = views(region(), region(y=80, x=80))
    excluded[1][3]["excluded"] = "blurred"
    assert found(build(tmp_path / "excluded", excluded), "view_labels_differ") == []
    good = build(tmp_path / "good", views(region(), np.zeros((SIDE, SIDE), np.uint8)))
    assert found(good, "view_labels_differ") == []
    (finding,) = found(good, "views_disagree")
    assert (finding.file, finding.others) == ("images/v1.png", ["images/v0.png"])


def test_many_views_of_a_part_are_bounded(tmp_path, build):
    masks = [region()] * MOST_VIEWS + [region(y=80, x=80)]
    assert found(build(tmp_path, views(*masks)), "view_labels_differ") == []


def test_tiny_regions_are_listed_by_image_with_a_place(tmp_path, build):
    crumbs = region()
    crumbs[5, 6:9] = 1
    crumbs[100, 100] = 1
    images = [("a", "p1", crumbs, {}), ("b", "p2", region(), {}), ("c", "p3", region(), {})]
    (finding,) = found(build(tmp_path, images), "tiny_regions")
    assert finding.file == "images/a.png"
    assert "2 of scratch (1 px at x=100, y=100, 3 px at x=6, y=5)" in finding.message
    assert finding.box == (100, 100, 101, 101)
    assert not finding.is_problem


def test_five_pixels_are_not_tiny_and_small_classes_have_no_crumbs(tmp_path, build):
    images = [("a", "p1", region() + region(y=5, x=5, height=1, width=5), {})]
    images += [(f"b{n}", f"q{n}", region(2, height=2, width=2), {}) for n in range(3)]
    assert found(build(tmp_path, images), "tiny_regions") == []


def pieces(folder, build, sources, **fields):
    """Write two surfaces twice each, in parts of their own."""
    seeds = [1, 1, 2, 2, 3]
    images = [
        (f"v{n}", f"p{n}", region(),
         {"pixels": surface(seed, light=1 - 0.1 * n), "part_source": source, **fields})
        for n, (seed, source) in enumerate(zip(seeds, sources, strict=True))
    ]  # fmt: skip
    return build(folder, images)


def test_images_of_one_piece_need_the_comparison(tmp_path, build):
    data = pieces(tmp_path, build, ["origin"] * 2 + ["file"] * 3)
    before = check(data)
    assert not before.compared
    assert {f.kind for f in before.findings} == {"empty_class"}
    dataset_views(data)
    after = check(data)
    assert after.compared
    (told,) = [f for f in after.findings if f.kind == "views_in_two_parts"]
    assert (told.file, told.others) == ("images/v0.png", ["images/v1.png"])
    assert told.is_problem
    assert "parts p0, p1" in told.message
    (suggested,) = [f for f in after.findings if f.kind == "suggested_part"]
    assert (suggested.file, suggested.others) == ("images/v2.png", ["images/v3.png"])
    assert not suggested.is_problem


def test_excluded_images_and_joined_parts_are_no_finding(tmp_path, build):
    data = pieces(tmp_path, build, ["origin"] * 5)
    dataset_views(data)
    one_part = [r.model_copy(update={"part": "p"}) for r in data]
    away = [r.model_copy(update={"excluded": "old"}) if r.part in ("p0", "p2") else r for r in data]
    for records in (one_part, away):
        changed = data.with_records(records)
        assert check(changed).compared
        assert found(changed, "views_in_two_parts") == []


def test_a_comparison_of_other_images_or_another_version_is_not_used(tmp_path, build):
    data = pieces(tmp_path, build, ["origin"] * 5)
    dataset_views(data)
    assert not check(DefectDataset(data.root, data.schema, data.records[:-1])).compared
    (tmp_path / VIEWS_FILE).write_text('{"later": 1}')
    assert not check(data).compared
