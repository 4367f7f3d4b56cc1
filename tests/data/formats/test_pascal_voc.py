"""Pascal VOC: masks by index or colour, boxes, and damaged files."""

import numpy as np
import pytest
from PIL import Image

OBJECT = (
    "<object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"
)


def _object(name: str, *corners) -> str:
    return OBJECT.format(*corners, name=name)


def _annotate(source, name: str, *objects: str, size=(16, 12)) -> None:
    path = source / f"Annotations/{name}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"<annotation><filename>{name}.png</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>1</depth></size>{''.join(objects)}</annotation>"
    )


def _palette(path, indices) -> None:
    path.parent.mkdir(exist_ok=True)
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette([7 * i % 256 for i in range(768)])
    picture.save(path)


def test_masks_count_before_boxes_and_255_is_ignored(source, put, picture, box, imported):
    for i, name in enumerate("abcd"):
        put(source / f"JPEGImages/{name}.png", picture(i))
    _palette(source / "SegmentationClass/a.png", box(1, 4, 2, 6, 2) + box(6, 8, 2, 6, 255))
    _palette(source / "SegmentationClass/b.png", box(0, 0, 0, 0))
    _palette(source / "SegmentationObject/a.png", box(1, 4, 2, 6, 1))
    _palette(source / "SegmentationClass/gone.png", box(1, 4, 2, 6, 2))
    (source / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:128,0,0::\ncrack:0,128,0::\n"
    )
    _annotate(source, "a", _object("dent", 1, 1, 16, 12))
    _annotate(source, "c", _object("dent", 3, 2, 6, 4))
    done = imported(source)
    assert done.report.format == "pascal_voc"
    assert done.data.schema.defect_names == ["crack", "dent"]
    expected = box(1, 4, 2, 6, 1) + box(6, 8, 2, 6, 255)
    np.testing.assert_array_equal(done.defects("JPEGImages/a.png"), expected)
    assert not done.defects("JPEGImages/b.png").any()
    weak = done.records["JPEGImages/c.png"]
    assert weak.weak_labels == ["dent"]
    np.testing.assert_array_equal(done.defects(weak.original), box(1, 4, 2, 6, 255))
    assert "neither a mask" in done.records["JPEGImages/d.png"].excluded
    assert done.files("orphaned mask") == ["SegmentationClass/gone.png"]
    assert len(done.records) == 4


def test_masks_in_the_colours_of_labelmap(source, put, picture, box, imported):
    for i, name in enumerate("ab"):
        put(source / f"JPEGImages/{name}.png", picture(i))
        colours = np.zeros((12, 16, 3), np.uint8)
        colours[1:4, 2:6] = (128, 0, 0) if name == "a" else (9, 9, 200)
        put(source / f"SegmentationClass/{name}.png", colours)
    (source / "labelmap.txt").write_text("background:0,0,0::\ndent:128,0,0::\n")
    done = imported(source)
    np.testing.assert_array_equal(done.defects("JPEGImages/a.png"), box(1, 4, 2, 6, 1))
    assert "(9, 9, 200)" in done.records["JPEGImages/b.png"].excluded


def test_masks_without_names_are_numbered(source, put, picture, box, imported):
    put(source / "JPEGImages/a.png", picture(0))
    _palette(source / "SegmentationClassPNG/a.png", box(1, 4, 2, 6, 3))
    done = imported(source)
    assert done.report.format == "pascal_voc"
    assert done.data.schema.defect_names == ["class_3"]
    assert any("labelmap.txt" in note for note in done.report.notes)


def test_files_side_by_side_and_named_in_the_xml(source, put, picture, box, imported):
    put(source / "a.png", picture(0))
    put(source / "shots/b.png", picture(1))
    _annotate(source, "a")
    _annotate(source, "b", _object("dent", 3, 2, 6, 4))
    (source / "Annotations/a.xml").rename(source / "a.xml")
    done = imported(source)
    assert done.records["a.png"].excluded is None
    assert not done.defects("a.png").any()
    np.testing.assert_array_equal(done.defects("shots/b.png"), box(1, 4, 2, 6, 255))


def test_polygons_of_roboflow_are_painted(source, put, picture, box, imported):
    put(source / "a.png", picture(0))
    corners = [(4, 3), (8, 3), (8, 6), (4, 6)]
    outline = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate(corners, 1))
    shape = f"<object><name>dent</name><polygon>{outline}</polygon></object>"
    _annotate(source, "a", shape)
    np.testing.assert_array_equal(imported(source).defects("a.png"), box(3, 7, 4, 9, 1))


@pytest.mark.parametrize(
    "damaged",
    [
        "<object><name>dent</name></object>",
        _object("dent", 5, 5, 2, 2),
        _object("dent", "x", 5, 9, 9),
        _object("dent", "inf", "nan", 9, 9),
        "<object><name>dent</name><polygon><x1>1</x1></polygon></object>",
    ],
)
def test_a_damaged_object_labels_its_image(source, damaged, put, picture, imported):
    put(source / "a.png", picture(0))
    _annotate(source, "a", damaged)
    done = imported(source)
    assert done.records["a.png"].weak_labels == ["dent"]
    assert (done.defects("a.png") == 255).all()
    assert done.files("unreadable labels") == ["a.png"]


def test_damaged_files_leave_their_image_unlabelled(source, put, picture, imported):
    for i, name in enumerate("abc"):
        put(source / f"JPEGImages/{name}.png", picture(i))
    _annotate(source, "a", _object("dent", 3, 2, 6, 4))
    _annotate(source, "b", _object("dent", 3, 2, 6, 4), size=(99, 12))
    _annotate(source, "gone", _object("dent", 3, 2, 6, 4))
    (source / "Annotations/c.xml").write_text("<annotation><object>")
    (source / "Annotations/other.xml").write_text("<settings/>")
    done = imported(source)
    assert "99 x 12" in done.records["JPEGImages/b.png"].excluded
    assert done.records["JPEGImages/c.png"].excluded
    assert done.files("unreadable labels") == ["Annotations/c.xml"]
    assert done.files("no label file") == ["Annotations/other.xml"]
    assert done.files("missing image") == ["Annotations/gone.xml"]


def test_boxes_count_where_the_mask_is_empty(source, put, picture, box, imported):
    put(source / "JPEGImages/a.png", picture(0))
    _palette(source / "SegmentationClass/a.png", box(0, 0, 0, 0))
    _annotate(source, "a", _object("dent", 3, 2, 6, 4))
    done = imported(source)
    assert done.files("empty mask") == ["JPEGImages/a.png"]
    np.testing.assert_array_equal(done.defects("JPEGImages/a.png"), box(1, 4, 2, 6, 255))
