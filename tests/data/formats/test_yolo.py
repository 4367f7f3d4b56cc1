"""YOLO label files: polygons, boxes, class lists and damaged rows."""

import numpy as np
import pytest

from flawsmith.data.formats.yolo import yaml_names

SQUARE = "0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5"  # x 4 to 8, y 3 to 6 of 16 x 12 pixels


def _label(source, name: str, text: str) -> None:
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("a.png", "a.txt"),
        ("a.png", "labels/a.txt"),
    ],
)
def test_polygons_fill_the_pixels_between_their_corners(
    source, image, label, put, picture, box, imported
):
    put(source / image, picture(0))
    _label(source, label, f"1 {SQUARE}\n\n")
    _label(source, "data.yaml", "path: ../x\nnames:\n  0: dent\n  1: crack\nnc: 2\n")
    done = imported(source)
    assert done.report.format == "yolo"
    assert done.data.schema.defect_names == ["crack"]
    np.testing.assert_array_equal(done.defects(image), box(3, 7, 4, 9, value=1))


def test_boxes_are_weak_labels_and_missing_files_unlabelled(
    source, put, picture, box, blank, imported
):
    for i, name in enumerate("abcd"):
        put(source / f"images/{name}.png", picture(i))
    _label(source, "labels/a.txt", "0 0.375 0.375 0.25 0.25\n")
    _label(source, "labels/b.txt", "")
    _label(source, "labels/d.txt", f"0 0.5 0.5 1 1 0.9\n1 {SQUARE}")
    _label(source, "labels/gone.txt", "0 0.5 0.5 1 1")
    _label(source, "classes.txt", "dent\ncrack\n")
    done = imported(source)
    assert done.report.format == "yolo"
    weak = done.records["images/a.png"]
    assert (weak.labels, weak.weak_labels) == (["dent"], ["dent"])
    np.testing.assert_array_equal(
        done.defects("images/a.png"), np.where(box(3, 6, 4, 8), 255, blank())
    )
    good = done.records["images/b.png"]
    assert (good.labels, good.excluded) == ([], None)
    assert "no label file" in done.records["images/c.png"].excluded
    both = done.defects("images/d.png")
    np.testing.assert_array_equal(both == 2, box(3, 7, 4, 9) > 0)
    assert set(np.unique(both)) == {2, 255}
    assert done.files("prediction") == ["images/d.png"]
    assert done.files("orphaned labels") == ["labels/gone.txt"]


@pytest.mark.parametrize(
    "row",
    ["0 0.1 0.2", "0 1 2 nan 4", "0 40 30 80 30 80 60", "0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "0 x"],
)
def test_a_damaged_row_labels_its_image(source, row, put, picture, imported):
    put(source / "images/a.png", picture(0))
    put(source / "images/b.png", picture(1))
    _label(source, "labels/a.txt", row)
    _label(source, "labels/b.txt", f"0 {SQUARE}")
    done = imported(source)
    assert done.records["images/a.png"].weak_labels == ["class_0"]
    assert (done.defects("images/a.png") == 255).all()
    assert done.files("unreadable labels") == ["images/a.png"]
    assert "unknown class" in done.kinds()


@pytest.mark.parametrize(
    "row", ["crack 0.5 0.5 1 1", "-1 0.5 0.5 1 1", "inf 0 0 1 1", "0.5 0 0 1 1"]
)
def test_a_row_without_class_excludes_its_image(source, row, put, picture, imported):
    put(source / "images/a.png", picture(0))
    put(source / "images/b.png", picture(1))
    _label(source, "labels/a.txt", row)
    _label(source, "labels/b.txt", f"0 {SQUARE}")
    done = imported(source)
    assert "labels/a.txt, line 1" in done.records["images/a.png"].excluded
    assert done.records["images/b.png"].excluded is None


def test_two_lists_of_classes_and_two_label_files_are_reported(source, put, picture, imported):
    put(source / "images/a.png", picture(0))
    _label(source, "labels/a.txt", f"0 {SQUARE}")
    _label(source, "a.txt", f"1 {SQUARE}")
    _label(source, "data.yaml", "names: [dent]")
    _label(source, "classes.txt", "scratch")
    done = imported(source)
    assert done.data.schema.defect_names == ["dent"]
    assert done.files("labelled twice") == ["a.txt"]
    assert done.files("class names differ") == ["classes.txt"]


def test_key_points_are_left_out(source, put, picture, box, blank, imported):
    put(source / "images/a.png", picture(0))
    _label(source, "labels/a.txt", "0 0.375 0.375 0.25 0.25 0.3 0.3 0.4 0.4")
    _label(source, "data.yaml", "kpt_shape: [2, 2]\nnames: [dent]")
    done = imported(source)
    expected = np.where(box(3, 6, 4, 8), 255, blank())
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)


@pytest.mark.parametrize(
    "text",
    [
        "names: ['a b', \"c\", d's]\nnc: 3",
        "nc: 3\nnames:\n- a b\n- 'c' # second\n- d's\ntrain: x",
        'names:\n  # all of them\n  0: a b\n  1: "c"\n\n  2: d\'s\nother:\n  3: no',
        "names: {0: a b, 1: 'c', 2: 'd''s'}",
        "names: [\n  'a b',\n  'c',  # two\n  'd''s',\n]\nval: y",
        "train: x\r\nnames:\r\n  0: a b\r\n  1: c\r\n  2: d's\r\n",
    ],
)
def test_names_are_read_from_every_style_of_yaml(text):
    assert yaml_names(text) == {0: "a b", 1: "c", 2: "d's"}


def test_yaml_without_names_has_none():
    assert yaml_names("nc: 3\ntrain: names: x\n") == {}
    assert yaml_names("names:\n") == {}
