"""Hugging Face: shards and folders as `datasets` itself writes them, read back."""

import json

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.schema import SCHEMA_FILE

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

SHARD = "data/train-00000-of-00001.parquet"
HIDDEN_BOX = [2.0, 3.0, 4.0, 5.0]


def rows(picture, box, masks=None):
    """Six images: two good, three with a defect each, one that nobody labelled."""
    masks = masks or [None, box(0, 1, 0, 1, 0), box(3, 7, 4, 9), None, box(1, 2, 3, 4), None]
    return {
        "image": [Image.fromarray(picture(i)) for i in range(6)],
        "label": [0, 0, 1, 2, 1, None],
        "mask": [None if mask is None else Image.fromarray(mask) for mask in masks],
    }


FEATURES = {
    "image": datasets.Image(),
    "label": datasets.ClassLabel(names=["good", "crack", "dent"]),
    "mask": datasets.Image(),
}


def make(content, features=FEATURES):
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


def write(source, kind, data):
    """Write a data set and return the folder or file that holds its rows."""
    if kind == "parquet":
        (source / "data").mkdir()
        data.to_parquet(source / SHARD)
        return SHARD
    if kind == "disk":
        data.save_to_disk(source)
        return "data-00000-of-00001.arrow"
    datasets.DatasetDict({"train": data}).save_to_disk(source)
    return "train/data-00000-of-00001.arrow"


@pytest.mark.parametrize("kind", ["parquet", "disk", "dictionary"])
def test_class_labels_and_binary_masks(source, picture, box, imported, kind):
    table = write(source, kind, make(rows(picture, box)))
    done = imported(source)
    assert done.report.format == "hugging_face"
    assert done.data.schema.defect_names == ["crack", "dent"]
    found = [done.records[f"{table}/{i:06d}.png"] for i in range(6)]
    assert [r.labels for r in found] == [[], [], ["crack"], ["dent"], ["crack"], []]
    assert [r.weak_labels for r in found] == [[], [], [], ["dent"], [], []]
    assert [bool(r.excluded) for r in found] == [False] * 5 + [True]
    for i, record in enumerate(found):
        np.testing.assert_array_equal(done.data.image(record), picture(i))
    np.testing.assert_array_equal(done.defects(found[2].original), box(3, 7, 4, 9, 1))
    assert (done.defects(found[3].original) == 255).all()
    assert done.report.good == 2


def test_mask_numbers_are_named_by_the_class_label(source, picture, box, imported):
    masks = [None, None, box(3, 7, 4, 9, 1), box(0, 2, 0, 2, 2), box(1, 2, 3, 4, 255), None]
    write(source, "parquet", make(rows(picture, box, masks)))
    done = imported(source)
    np.testing.assert_array_equal(done.defects(f"{SHARD}/000003.png"), box(0, 2, 0, 2, 2))
    assert done.records[f"{SHARD}/000004.png"].weak_labels == ["crack"]
    assert "unknown class names" not in done.kinds()


@pytest.mark.parametrize("listed", [None, "background\ncrack\ndent\n"])
def test_mask_numbers_without_names_are_asked_for(source, picture, box, imported, listed):
    content = {
        "image": [Image.fromarray(picture(i)) for i in range(2)],
        "segmentation": [Image.fromarray(box(3, 7, 4, 9, 1)), Image.fromarray(box(0, 2, 0, 2, 2))],
    }
    write(
        source,
        "parquet",
        make(content, {"image": datasets.Image(), "segmentation": datasets.Image()}),
    )
    if listed:
        (source / "classes.txt").write_text(listed)
    done = imported(source)
    names = ["crack", "dent"] if listed else ["class_1", "class_2"]
    assert done.data.schema.defect_names == names
    np.testing.assert_array_equal(done.defects(f"{SHARD}/000001.png"), box(0, 2, 0, 2, 2))
    asked = [f.message for f in done.report.findings if f.kind == "unknown class names"]
    assert len(asked) == (0 if listed else 1)
    assert listed or "classes.txt" in asked[0]


def test_nested_numbers_are_masks(source, picture, box, imported):
    content = {
        "image": [Image.fromarray(picture(i)) for i in range(2)],
        "mask": [box(3, 7, 4, 9, 1), box(0, 0, 0, 0)],
    }
    features = {"image": datasets.Image(), "mask": datasets.Array2D((12, 16), "uint8")}
    write(source, "parquet", make(content, features))
    done = imported(source)
    assert done.data.schema.defect_names == ["defect"]
    np.testing.assert_array_equal(done.defects(f"{SHARD}/000000.png"), box(3, 7, 4, 9, 1))
    assert done.records[f"{SHARD}/000001.png"].labels == []


@pytest.mark.parametrize("kind", ["parquet", "disk"])
def test_objects_are_weak_boxes(source, picture, box, imported, kind):
    category = datasets.ClassLabel(names=["pore", "crack"])
    objects = {
        "bbox": datasets.List(datasets.Value("float32"), length=4),
        "category": category,
    }
    content = {
        "image": [Image.fromarray(picture(i)) for i in range(3)],
        "objects": [[{"bbox": HIDDEN_BOX, "category": 1}], [], None],
    }
    data = make(content, {"image": datasets.Image(), "objects": datasets.List(objects)})
    table = write(source, kind, data)
    done = imported(source)
    first, second, third = (done.records[f"{table}/{i:06d}.png"] for i in range(3))
    assert (first.labels, first.weak_labels) == (["crack"], ["crack"])
    np.testing.assert_array_equal(done.defects(first.original), box(3, 8, 2, 6, 255))
    assert (second.labels, second.excluded) == ([], None)
    assert "says nothing" in third.excluded
    assert any("width and height" in note for note in done.report.notes)


def test_numbers_without_names_are_asked_for_and_the_card_names_them(
    source, picture, imported, tmp_path
):
    pandas = pytest.importorskip("pandas")
    cells = [{"bytes": _png(picture(i), tmp_path), "path": f"p{i}.png"} for i in range(3)]
    (source / "data").mkdir()
    pandas.DataFrame({"image": cells, "label": [0, 1, -1]}).to_parquet(source / SHARD)
    done = imported(source)
    assert done.data.schema.defect_names == ["class_0", "class_1"]
    assert done.files("unknown class names") == [SHARD]
    assert done.records[f"{SHARD}/000002/p2.png"].excluded
    (source / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n"
        "    dtype:\n      class_label:\n        names:\n          '0': normal\n"
        "          '1': crack\n---\n# Cracks\n"
    )
    again = imported(source.rename(tmp_path / "again"))
    assert again.data.schema.defect_names == ["crack"]
    assert again.report.good == 1
    assert again.kinds() == ["no labels"]


def _png(pixels, tmp_path) -> bytes:
    Image.fromarray(pixels).save(tmp_path / "x.png")
    return (tmp_path / "x.png").read_bytes()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_imagefolder_in_splits(source, put, picture, box, imported, kind):
    for i, split in enumerate(("train", "test")):
        put(source / split / "a_good.png", picture(2 * i))
        put(source / split / "a_bad.png", picture(2 * i + 1))
        put(source / split / "masks/a_bad.png", box(3, 7, 4, 9))
        lines = [
            {"file_name": "a_good.png", "mask_file_name": None, "label": "good"},
            {"file_name": "a_bad.png", "mask_file_name": "masks/a_bad.png", "label": "pore"},
        ]
        _write_table(source / split / f"metadata.{kind}", lines)
    put(source / "train/extra.png", picture(9))
    done = imported(source)
    assert done.report.format == "hugging_face"
    for split in ("train", "test"):
        np.testing.assert_array_equal(done.defects(f"{split}/a_bad.png"), box(3, 7, 4, 9, 1))
        assert done.records[f"{split}/a_good.png"].excluded is None
    assert done.data.schema.defect_names == ["pore"]
    assert "no metadata lists it" in done.records["train/extra.png"].excluded
    assert done.report.images == 5


def _write_table(path, lines):
    pandas = pytest.importorskip("pandas")
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    elif path.suffix == ".csv":
        pandas.DataFrame(lines).to_csv(path, index=False)
    else:
        pandas.DataFrame(lines).to_parquet(path)


def test_our_metadata_without_the_schema_is_read_back(source, put, picture, box, imported):
    put(source / "images/a.png", picture(0))
    put(source / "images/b.png", picture(1))
    put(source / "images/c.png", picture(2))
    put(source / "masks/crack/a.png", box(3, 7, 4, 9))
    put(source / "masks/pore/b.png", box(1, 2, 3, 4))
    put(source / "masks/crack/b.png", box(5, 8, 3, 4))
    put(source / "masks/pore/c.png", box(1, 3, 3, 4))
    first = imported(source, part_pattern="/([abc])")
    assert len(first.data) == 3
    (first.out / SCHEMA_FILE).unlink()
    (first.out / "import.json").unlink()
    again = imported(first.out)
    assert again.report.format == "hugging_face"
    assert again.data.schema.defect_names == first.data.schema.defect_names
    for record in first.data:
        twin = again.records[record.file_name]
        assert (twin.labels, twin.part) == (record.labels, record.part)
        assert twin.part_source == record.part_source
        np.testing.assert_array_equal(again.defects(twin.original), first.defects(record.original))
    assert again.report.findings == []
