"""Label maps that went out and came back are equal pixel by pixel, as far as the format holds."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.exporters import export_dataset
from flawsmith.data.formats import run_lengths
from flawsmith.errors import FlawsmithError

EXACT = ("coco", "labelme")


def known(image: dict) -> np.ndarray:
    """Return where an image has a class, whatever it is."""
    return ~sum(image.get(name, np.False_) for name in ("none", "ignore")).astype(bool)


def filled_polygons(path, shape) -> dict[int, np.ndarray]:
    """Draw a YOLO label file: the pixels of each class, independently of how it was written."""
    drawn: dict[int, np.ndarray] = {}
    for line in path.read_text().splitlines():
        number, *values = line.split()
        corners = np.array(values, float).reshape(-1, 2)
        assert len(corners) >= 3
        assert ((corners > 0) & (corners < 1)).all()
        picture = Image.new("1", shape[::-1])
        pixels = np.floor(corners * shape[::-1]).astype(int)
        ImageDraw.Draw(picture).polygon([tuple(p) for p in pixels.tolist()], fill=1, outline=1)
        drawn[int(number)] = drawn.get(int(number), False) | np.asarray(picture)
    return drawn


@pytest.mark.parametrize("name", EXACT)
def test_simulated_set_comes_back(pouch_folder, tmp_path, there_and_back, labels_by_name,
                                  same_labels, name):  # fmt: skip
    data = DefectDataset.open(pouch_folder)
    back = there_and_back(data, tmp_path, name)
    for record in data.usable():
        assert same_labels(labels_by_name(data, record), labels_by_name(*back[record.sha256]))


@pytest.mark.parametrize("name", EXACT)
def test_odd_labels_come_back(odd, tmp_path, there_and_back, labels_by_name, same_labels, name):
    back = there_and_back(odd, tmp_path, name)
    for record in odd.records[:4]:
        assert same_labels(labels_by_name(odd, record), labels_by_name(*back[record.sha256]))


def test_mvtec_keeps_pixels_and_single_classes(pouch_folder, tmp_path, there_and_back,
                                               labels_by_name, same_labels):  # fmt: skip
    data = DefectDataset.open(pouch_folder)
    back = there_and_back(data, tmp_path, "mvtec")
    kinds = {r.labels[0] for r in data.usable() if r.labels}
    assert len(kinds) > 1
    for record in data.usable():
        before, after = labels_by_name(data, record), labels_by_name(*back[record.sha256])
        assert np.array_equal(known(before), known(after))
        if len(record.labels) < 2 and "ignore" not in before:
            assert same_labels(before, after)


def test_mvtec_folders_of_awkward_names(odd, tmp_path):
    report = export_dataset(odd, tmp_path / "out", "mvtec")
    files = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert files == {
        "test/combined/i0.png", "ground_truth/combined/i0_mask.png",
        "test/3 mm pore/i1.png", "ground_truth/3 mm pore/i1_mask.png",
        "train/good/i2.png",
    }  # fmt: skip
    assert report.left_out == {"excluded": 1, "not labelled pixel by pixel": 1}
    said = " ".join(report.losses)
    assert "OK -> defect_OK, a/b crack -> a_b crack" in said
    assert "Several classes: 1 images" in said
    assert "Ignored regions: in 1 images" in said
    with pytest.raises(FlawsmithError, match=r"no image of .* has a defect"):
        export_dataset(odd.with_records(odd.records[2:3]), tmp_path / "good", "mvtec")


def test_mvtec_tests_good_images_of_tested_parts(odd, tmp_path):
    other = odd.records[2].model_copy(update={"part": odd.records[0].part})
    export_dataset(odd.with_records([*odd.records[:2], other]), tmp_path / "out", "mvtec")
    assert (tmp_path / "out/test/good/i2.png").is_file()


def test_coco_ignores_by_crowds_and_keeps_weak_boxes(odd, tmp_path, there_and_back):
    box = np.zeros((20, 30), np.uint8)
    box[3:9, 4:20] = 255
    boxed = run_lengths.instance("3 mm pore", run_lengths.encode(box > 0), weak=True)
    weak = {"labels": ["3 mm pore"], "weak_labels": ["3 mm pore"], "instances": [boxed]}
    with DatasetWriter(odd.root, odd.schema) as writer:
        noise = np.random.default_rng(9).integers(0, 4096, (20, 30), np.uint16)
        record = writer.add("i9", noise, LabelMap(box, box * 0), part="p9", **weak)
    data = DefectDataset.open(odd.root)
    back, returned = there_and_back(data, tmp_path, "coco")[record.sha256]
    assert returned.weak_labels == ["3 mm pore"]
    assert np.array_equal(back.label_map(returned).defects, box)
    content = json.loads((tmp_path / "coco/annotations.json").read_text())
    names = {row["id"]: row["name"] for row in content["categories"]}
    crowds = [names[row["category_id"]] for row in content["annotations"] if row["iscrowd"]]
    assert crowds == ["ignore"] * 3
    assert {row["image_id"] for row in content["annotations"]} == {1, 2, 4, 5}
    said = " ".join(export_dataset(data, tmp_path / "again", "coco").losses)
    assert "Image-level labels: 1 images" in said


def test_labelme_flags_weak_labels(odd, tmp_path):
    export_dataset(odd, tmp_path / "out", "labelme")
    files = [json.loads((tmp_path / f"out/i{i}.json").read_text()) for i in range(4)]
    assert [file["flags"] for file in files] == [{}, {}, {}, {"3 mm pore": True}]
    assert files[2]["shapes"] == []
    assert {tuple(map(tuple, shape["points"])) for shape in files[1]["shapes"]} == {
        ((0, 0), (0, 0)), ((29, 19), (29, 19)), ((10, 10), (11, 10)),
    }  # fmt: skip


def test_yolo_polygons_cover_what_has_no_hole(odd, tmp_path):
    report = export_dataset(odd, tmp_path / "out", "yolo")
    drawn = filled_polygons(tmp_path / "out/labels/train/i1.txt", (20, 30))
    assert set(drawn) == {1}
    assert np.array_equal(drawn[1], odd.label_map(odd.records[1]).defects == 2)
    ring = filled_polygons(tmp_path / "out/labels/train/i0.txt", (20, 30))
    assert set(ring) == {0, 2}
    assert ring[0][2:12, 3:15].all()
    assert ring[0].sum() == 120
    assert (tmp_path / "out/labels/train/i2.txt").read_text() == ""
    table = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert table["names"] == {0: "OK", 1: "3 mm pore", 2: "a/b crack"}
    assert table["train"] == table["val"] == "images/train"
    said = " ".join(report.losses)
    for text in ("Holes: in 1 images", "Ignored regions: in 1 images", "Validation:"):
        assert text in said
    assert report.left_out == {"excluded": 1, "not labelled pixel by pixel": 1}


def test_yolo_polygons_of_the_simulated_set(pouch_folder, tmp_path):
    data = DefectDataset.open(pouch_folder)
    export_dataset(data, tmp_path / "out", "yolo")
    wrong = labelled = 0
    for record in data.usable():
        split = "val" if record.fold == 0 else "train"
        name = record.file_name.removeprefix("images/").removesuffix(".png")
        defects = data.label_map(record).defects
        drawn = filled_polygons(tmp_path / f"out/labels/{split}/{name}.txt", defects.shape)
        for defect in data.schema.defects:
            where = defects == defect.id
            got = drawn.get(defect.id - 1, np.zeros_like(where))
            assert got[where].all()
            wrong += int((got != where).sum())
            labelled += int(where.sum())
    assert labelled
    assert wrong <= 0.01 * labelled
