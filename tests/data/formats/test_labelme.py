"""Labelme: pixels of every shape, embedded images, paths that must not be followed."""

import base64

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH = 12, 16


def shape(label, kind, *points, **more):
    return {"label": label, "shape_type": kind, "points": [list(p) for p in points], **more}


def test_labelme_shapes_cover_the_pixels_of_their_geometry(
    source, put, picture, write_json, labelme, imported
):
    put(source / "a.png", picture(0, shape=(60, 80)))
    shapes = [
        shape("Spot", "rectangle", (50, 10), (40, 5)),
        shape("spot", "circle", (20, 40), (20, 46)),
        shape("crack", "polygon", (5, 5), (25, 5), (25, 15), (5, 15)),
        shape("crack", "linestrip", (40, 30), (70, 30)),
        shape("ignore", "rectangle", (70, 50), (79, 59)),
    ]
    content = labelme("a.png", shapes, imageHeight=60, imageWidth=80, lineColor=[0, 0, 0])
    write_json(source / "a.json", content)
    done = imported(source)
    assert done.report.format == "labelme"
    assert done.data.schema.defect_names == ["Spot", "crack"]
    assert done.data.schema.defect("spot").id == 1
    y, x = np.mgrid[:60, :80]
    got = done.defects("a.png")
    expected = np.zeros((60, 80), np.uint8)
    expected[5:11, 40:51] = 1
    expected[5:16, 5:26] = 2
    expected[50:60, 70:80] = 255
    circle = np.hypot(y - 40, x - 20)
    line = (x >= 40) & (x <= 70) & (np.abs(y - 30) <= 6)
    untouched = (circle > 7.5) & ~line
    np.testing.assert_array_equal(got[untouched], expected[untouched])
    assert (got[circle < 5] == 1).all()
    assert (got[line & (np.abs(y - 30) <= 4)] == 2).all()
    height = int((got[:, 55] == 2).sum())
    assert 10 <= height <= 11  # Labelme's line width


def test_labelme_mask_shape_is_pasted_at_its_corner(
    source, put, picture, blank, write_json, labelme, imported
):
    small = np.array([[255, 0, 255], [0, 255, 0]], np.uint8)
    data = base64.b64encode(cv2.imencode(".png", small)[1].tobytes()).decode()
    put(source / "a.png", picture(0))
    write_json(source / "a.json", labelme("a.png", [shape("x", "mask", (4, 7), (6, 8), mask=data)]))
    done = imported(source)
    expected = blank()
    expected[7:9, 4:7] = small > 0
    np.testing.assert_array_equal(done.defects("a.png"), expected)


def test_labelme_embedded_image_is_imported_byte_for_byte(
    source, tmp_path, put, picture, write_json, labelme, imported
):
    data = put(tmp_path / "outside.jpg", picture(0)).read_bytes()
    content = labelme("gone.jpg", [shape("x", "rectangle", (1, 1), (3, 3))])
    content["imageData"] = base64.b64encode(data).decode()
    write_json(source / "a.json", content)
    done = imported(source)
    record = done.records["a.json"]
    assert record.file_name == "images/a.jpg"
    assert (done.out / record.file_name).read_bytes() == data
    assert sorted(path.name for path in done.out.iterdir()) == [
        "backgrounds", "dataset.toml", "images", "import.json", "masks", "metadata.jsonl",
    ]  # fmt: skip


def test_labelme_shapes_without_area_label_the_image_and_ignore_it(
    source, put, picture, write_json, labelme, imported
):
    put(source / "a.png", picture(0))
    put(source / "b.png", picture(1))
    put(source / "c.png", picture(2))
    write_json(source / "a.json", labelme("a.png", [shape("x", "point", (4, 4))]))
    write_json(source / "b.json", labelme("b.png", []))
    done = imported(source)
    assert done.kinds() == ["no labels", "shape without area"]
    assert done.records["a.png"].labels == ["x"]
    assert (done.defects("a.png") == 255).all()
    assert done.records["b.png"].is_good
    assert done.records["b.png"].excluded is None
    assert done.records["c.png"].excluded == "it has no label file"


@pytest.mark.parametrize("path", ["../outside.png", "{absolute}", "..\\outside.png", "C:\\a.png"])
def test_labelme_path_out_of_the_folder_is_not_followed(
    source, tmp_path, path, put, picture, write_json, labelme, imported
):
    outside = put(tmp_path / "outside.png", picture(0))
    put(source / "fine.png", picture(1))
    write_json(source / "fine.json", labelme("fine.png", []))
    content = labelme(path.format(absolute=outside), [shape("x", "rectangle", (1, 1), (3, 3))])
    write_json(source / "evil.json", content)
    done = imported(source)
    assert list(done.records) == ["fine.png"]
    assert done.files("path outside the folder") == ["evil.json"]
    assert done.files("missing image") == ["evil.json"]


def test_labelme_path_to_a_sibling_folder_is_followed(
    source, put, picture, write_json, labelme, imported
):
    put(source / "images/a.png", picture(0))
    content = labelme("..\\images\\a.png", [shape("x", "rectangle", (1, 1), (3, 3))])
    write_json(source / "labels/a.json", content)
    assert imported(source).records["images/a.png"].labels == ["x"]


def test_labelme_for_another_size_is_excluded(source, put, picture, write_json, labelme, imported):
    put(source / "a.png", picture(0))
    shapes = [shape("x", "rectangle", (1, 1), (3, 3))]
    write_json(source / "a.json", labelme("a.png", shapes, imageHeight=WIDTH, imageWidth=HEIGHT))
    done = imported(source)
    assert "12 x 16" in done.records["a.png"].excluded
