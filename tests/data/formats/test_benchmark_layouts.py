"""Folder layouts of published benchmarks, made anew in miniature."""

import numpy as np
import pytest

HOLE = {"xmin": 3, "ymin": 2, "xmax": 6, "ymax": 4}  # VOC: columns 2 to 5, rows 1 to 3


def _voc(items, size=(16, 12)) -> str:
    objects = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{key}>{value}</{key}>" for key, value in box.items())
        + "</bndbox></object>"
        for name, box in items
    )
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{shape}{objects}</annotation>"


@pytest.fixture
def neu(source, put, picture):
    """Return a function that adds an image and, unless it is None, its XML file."""

    def add(stem, xml):
        put(source / f"IMAGES/{stem}.jpg", picture(len(list(source.rglob("*.jpg")))))
        (source / "ANNOTATIONS").mkdir(exist_ok=True)
        if xml is not None:
            (source / f"ANNOTATIONS/{stem}.xml").write_text(xml)
        return f"IMAGES/{stem}.jpg"

    return add


def test_neu_boxes_are_weak_labels_from_one_and_inclusive(source, neu, box, imported):
    crazing = neu("crazing_1", _voc([("crazing", HOLE)]))
    scale = neu("rolled-in_scale_2", _voc([("rolled_in-scale", HOLE)]))
    done = imported(source)
    assert done.report.format == "neu"
    assert done.data.schema.defect_names == ["crazing", "rolled-in_scale"]
    for image, name in [(crazing, "crazing"), (scale, "rolled-in_scale")]:
        record = done.records[image]
        np.testing.assert_array_equal(done.defects(image), box(1, 4, 2, 6))
        assert (record.labels, record.weak_labels) == ([name], [name])
        assert record.excluded is None


def test_neu_boxes_can_be_filled(source, neu, box, imported):
    image = neu("pitted_surface_1", _voc([("pitted_surface", HOLE)]))
    done = imported(source, boxes="fill")
    np.testing.assert_array_equal(done.defects(image), box(1, 4, 2, 6, value=1))


def test_neu_damaged_labels_are_reported_and_the_name_gives_the_class(source, neu, imported):
    neu("crazing_1", _voc([("crazing", HOLE)]))
    bare = neu("inclusion_1", None)
    broken = neu("patches_1", "<annotation><object>")
    shapeless = neu("scratches_1", _voc([("scratches", {**HOLE, "xmax": "wide"})]))
    outside = neu("scratches_2", _voc([("scratches", {**HOLE, "xmin": "nan"})]))
    small = neu("patches_2", _voc([("patches", HOLE)], size=(200, 200)))
    other = neu("inclusion_2", _voc([("scratches", HOLE)]))
    (source / "ANNOTATIONS/patches_9.xml").write_text(_voc([]))
    done = imported(source)
    assert done.files("no boxes") == [bare, broken]
    assert done.files("unreadable labels") == ["ANNOTATIONS/patches_1.xml", shapeless]
    assert done.files("shape without area") == [outside]
    assert done.files("mis-sized labels") == [small]
    assert done.files("class differs") == [other]
    assert done.files("orphaned labels") == ["ANNOTATIONS/patches_9.xml"]
    labels = {image: done.records[image].labels for image in (bare, broken, shapeless, other)}
    assert labels == {
        bare: ["inclusion"],
        broken: ["patches"],
        shapeless: ["scratches"],
        other: ["scratches"],
    }
    assert "200 x 200" in done.records[small].excluded
    assert done.records[bare].excluded is None


def test_dagm_takes_the_class_from_the_folder(source, put, picture, box, imported):
    put(source / "Class1/Train/0576.PNG", picture(0))
    put(source / "Class1/Train/0577.PNG", picture(1))
    put(source / "Class1/Train/Label/0576_label.PNG", box(2, 5, 3, 7))
    put(source / "Class10/Test/0001.PNG", picture(2))
    put(source / "Class10/Test/Label/0001_label.PNG", box(0, 2, 0, 2))
    done = imported(source)
    assert done.report.format == "dagm"
    assert done.data.schema.defect_names == ["Class1", "Class10"]
    np.testing.assert_array_equal(done.defects("Class1/Train/0576.PNG"), box(2, 5, 3, 7, value=1))
    np.testing.assert_array_equal(done.defects("Class10/Test/0001.PNG"), box(0, 2, 0, 2, value=2))
    assert done.records["Class1/Train/0577.PNG"].excluded is None
    assert done.report.good == 1


def test_dagm_missing_labels_are_not_good(source, put, picture, box, imported):
    put(source / "Class1/Train/0001.PNG", picture(0))
    put(source / "Class1/Train/Label/0001_label.PNG", box(2, 5, 3, 7))
    put(source / "Class1/Train/Label/0009_label.PNG", box(2, 5, 3, 7))
    put(source / "Class1/Train/0002.PNG", picture(1))
    put(source / "Class1/Test/0001.PNG", picture(2))
    put(source / "other.PNG", picture(3))
    (source / "Class1/Train/Label/Labels.txt").write_text(
        "1\n1\t1\t0001.PNG\t1\t0001_label.PNG\n2\t1\t0002.PNG\t1\t0002_label.PNG\n"
    )
    done = imported(source)
    assert done.files("orphaned mask") == ["Class1/Train/Label/0009_label.PNG"]
    assert done.records["Class1/Train/0002.PNG"].labels == ["Class1"]
    assert "missing" in done.records["Class1/Train/0002.PNG"].excluded
    assert "no Label folder" in done.records["Class1/Test/0001.PNG"].excluded
    assert "Class1/Train" in done.records["other.PNG"].excluded
    assert done.report.good == 0


@pytest.fixture
def cells(source, put, picture):
    """Six cells without a table."""
    for i in range(6):
        put(source / f"images/cell000{i}.png", picture(i))
    return source


def test_elpv_probabilities_become_image_labels(cells, imported):
    (cells / "labels.csv").write_text(
        "images/cell0000.png  0.0  mono\n"
        "images/cell0001.png  1.0  poly\n"
        "images/cell0002.png  0.3333333333333333  mono\n"
        "images/cell0003.png,0.6666666666666666,poly\n"
    )
    done = imported(cells)
    assert done.report.format == "elpv"
    good, bad, third, two, unlisted = (
        done.records[f"images/cell000{i}.png"] for i in (0, 1, 2, 3, 4)
    )
    assert (good.labels, good.excluded) == ([], None)
    assert (bad.labels, bad.weak_labels, bad.excluded) == (["defective"], ["defective"], None)
    assert "0.33" in third.excluded
    assert "0.67" in two.excluded
    assert "no readable line" in unlisted.excluded
    assert done.report.good == 1


def test_elpv_damaged_lines_are_reported(cells, imported):
    (cells / "labels.csv").write_text(
        "path probability type\n"
        "images/cell0000.png  0.0  mono\n"
        "images/cell0000.png  1.0  mono\n"
        "images/cell0001.png  nan  mono\n"
        "images/cell0002.png  2.0  mono\n"
        "images/gone.png  1.0  mono\n"
        "../outside.png  1.0  mono\n"
        "images/cell0003.png\n"
        "\n"
    )
    done = imported(cells)
    assert done.files("unreadable labels") == ["labels.csv"] * 4
    assert done.files("missing image") == ["labels.csv"]
    assert done.files("path outside the folder") == ["labels.csv"]
    assert done.files("contradiction") == ["images/cell0000.png"]
    assert all(record.excluded for record in done.data)
