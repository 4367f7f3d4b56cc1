"""Benchmarks whose masks mean every value over 0, and image labels, made anew in miniature."""

import numpy as np
import pytest

CLASSES = ("Background", "Crack", "Spallation", "Efflorescence", "ExposedBars", "CorrosionStain")


@pytest.fixture
def candle(source, put, picture, box):
    """One object in VisA's layout; its mask has the values 1 and 2."""
    put(source / "candle/Data/Images/Normal/000.JPG", picture(0))
    put(source / "candle/Data/Images/Anomaly/000.JPG", picture(1))
    mask = box(2, 5, 3, 7, value=1) + box(8, 10, 3, 7, value=2)
    put(source / "candle/Data/Masks/Anomaly/000.png", mask)
    return source


def test_visa_masks_mean_any_value(candle, box, imported):
    done = imported(candle)
    assert done.report.format == "visa"
    assert done.data.schema.defect_names == ["anomaly"]
    expected = box(2, 5, 3, 7, value=1) + box(8, 10, 3, 7, value=1)
    np.testing.assert_array_equal(done.defects("candle/Data/Images/Anomaly/000.JPG"), expected)
    assert done.report.good == 1


def test_visa_odd_masks_are_reported(candle, put, picture, box, blank, imported):
    for i, name in enumerate(["001", "002", "003"]):
        put(candle / f"pcb1/Data/Images/Anomaly/{name}.JPG", picture(5 + i))
    masks = candle / "pcb1/Data/Masks/Anomaly"
    put(masks / "001.png", blank())
    (masks / "002.png").write_bytes(b"no image")
    put(masks / "009.png", box(1, 2, 1, 2))
    done = imported(candle)
    assert done.data.schema.defect_names == ["candle_anomaly", "pcb1_anomaly"]
    empty, damaged, lacking = (f"pcb1/Data/Images/Anomaly/00{i}.JPG" for i in (1, 2, 3))
    assert done.files("empty mask") == [empty]
    assert done.files("unreadable mask") == [damaged]
    assert done.files("orphaned mask") == ["pcb1/Data/Masks/Anomaly/009.png"]
    for image in (empty, damaged, lacking):
        assert done.records[image].labels == ["pcb1_anomaly"]
    assert "no mask" in done.records[lacking].excluded


def test_btad_pairs_masks_of_any_suffix(source, put, picture, box, imported):
    put(source / "01/train/ok/0000.bmp", picture(0))
    put(source / "01/test/ok/0000.bmp", picture(1))
    put(source / "01/test/ko/0000.bmp", picture(2))
    put(source / "01/test/ko/0001.bmp", picture(3))
    put(source / "01/ground_truth/ko/0000.png", box(2, 5, 3, 7, value=90))
    put(source / "01/ground_truth/ko/0007.png", box(2, 5, 3, 7))
    put(source / "03/test/ko/0000.bmp", picture(4))
    put(source / "03/ground_truth/ko/0000.bmp", box(0, 2, 0, 2))
    done = imported(source)
    assert done.report.format == "btad"
    assert done.data.schema.defect_names == ["01_ko", "03_ko"]
    np.testing.assert_array_equal(done.defects("01/test/ko/0000.bmp"), box(2, 5, 3, 7, value=1))
    np.testing.assert_array_equal(done.defects("03/test/ko/0000.bmp"), box(0, 2, 0, 2, value=2))
    assert done.files("orphaned mask") == ["01/ground_truth/ko/0007.png"]
    assert "no mask" in done.records["01/test/ko/0001.bmp"].excluded
    assert done.report.good == 2


def _entry(name, *present, tag="Defect", **odd) -> str:
    values = {key: int(key in present) for key in CLASSES} | odd
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in values.items())
    return f'<{tag} name="{name}">{inside}</{tag}>'


def _crop(number, crop=1) -> str:
    return f"image_{number:07d}_crop_{crop:07d}.png"


def test_codebrim_has_several_classes_an_image(source, put, picture, imported):
    home = "classification_dataset"
    train = f"{home}/train/defects"
    names = [_crop(1), _crop(1, 2), _crop(2), _crop(3), _crop(4), _crop(5)]
    for i, name in enumerate(names):
        put(source / train / name, picture(i))
    put(source / f"{home}/val/background/{_crop(6)}", picture(7))
    meta = source / f"{home}/metadata"
    meta.mkdir()
    entries = [
        _entry(names[0], "Spallation", "Crack"),
        _entry(names[1], "Crack"),
        _entry(names[2], "Crack", "Background"),
        _entry(names[3]),
        _entry(names[4], Crack="perhaps"),
        _entry(_crop(99), "Crack"),
        "<Defect/>",
    ]
    (meta / "defects.xml").write_text(f"<Annotation>{''.join(entries)}</Annotation>")
    good = _entry(_crop(6), "Background", tag="Background")
    (meta / "background.xml").write_text(f"<Annotation>{good}</Annotation>")
    (meta / "broken.xml").write_text("<Annotation>")
    done = imported(source)
    assert done.report.format == "codebrim"
    assert done.data.schema.defect_names == ["Crack", "Spallation"]
    both = done.records[f"{train}/{names[0]}"]
    assert (both.labels, both.weak_labels) == (["Crack", "Spallation"],) * 2
    assert both.part == done.records[f"{train}/{names[1]}"].part == "image_0000001"
    assert both.excluded is None
    assert (done.defects(f"{home}/val/background/{_crop(6)}") == 0).all()
    assert done.report.good == 1
    assert all(done.records[f"{train}/{name}"].excluded for name in names[2:])
    assert done.files("contradiction") == [f"{train}/{names[2]}"]
    assert done.files("missing image") == [_crop(99)]
    tables = [f"{home}/metadata/{name}" for name in ("broken.xml", "defects.xml", "defects.xml")]
    assert sorted(done.files("unreadable labels")) == [*tables, f"{train}/{names[4]}"]
