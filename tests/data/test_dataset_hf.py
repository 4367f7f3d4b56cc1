"""A defect data set opens in Hugging Face `datasets` as it is, offline."""

import json

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.dataset import METADATA_FILE, DatasetWriter, LabelMap, lead_with_types
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import Schema, make_backgrounds, make_defects

SIZE = (20, 30)


@pytest.fixture
def load(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()

    def load(folder):
        cache = tmp_path / "cache"
        return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(cache))

    return load


def put(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)


def test_imported_set_has_image_mask_and_labels(tmp_path, load):
    """File names with train and test in them are what `datasets` would take for splits."""
    mask = np.zeros(SIZE, np.uint8)
    mask[3:9, 4:8] = 255
    source = tmp_path / "source"
    for i in range(3):
        put(source / f"train/good/train_{i}.png", picture(i))
    put(source / "test/good/test_0.png", picture(10))
    put(source / "test/cut/test_0.png", picture(11))
    put(source / "ground_truth/cut/test_0_mask.png", mask)
    import_folder(source, tmp_path / "out")
    splits = load(tmp_path / "out")
    assert list(splits) == ["train"]
    rows = {row["original"]: row for row in splits["train"]}
    assert len(rows) == 5
    cut = rows["test/cut/test_0.png"]
    np.testing.assert_array_equal(np.asarray(cut["image"]), picture(11))
    assert cut["mask"].mode == "P"
    np.testing.assert_array_equal(np.asarray(cut["mask"]), mask // 255)
    assert cut["labels"] == ["cut"]
    good = rows["train/good/train_1.png"]
    np.testing.assert_array_equal(np.asarray(good["image"]), picture(1))
    assert good["mask"] is None
    assert good["labels"] == []
    assert good["part"] == "1"
    assert good["source"] == "real"


def test_instances_and_backgrounds_keep_their_types(tmp_path, load):
    schema = Schema(
        name="x", backgrounds=make_backgrounds(["body", "outside"]), defects=make_defects(["pore"])
    )
    label_map = LabelMap(np.eye(*SIZE, dtype=np.uint8), np.tri(*SIZE, dtype=np.uint8))
    instance = {"label": "pore", "bbox": [0.0, 1.0, 2.0, 3.0], "rle": {"counts": "ab"}}
    empty = LabelMap(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8))
    with DatasetWriter(tmp_path / "out", schema) as writer:
        writer.add("a", picture(0), empty, part="a")
        writer.add("b", picture(1), label_map, part="b", instances=[instance], fold=1)
    rows = load(tmp_path / "out")["train"]
    assert rows[0]["background"] is None
    assert rows[0]["instances"] == []
    np.testing.assert_array_equal(np.asarray(rows[1]["background"]), label_map.backgrounds)
    np.testing.assert_array_equal(np.asarray(rows[1]["mask"]), label_map.defects)
    assert rows[1]["instances"] == [instance]
    assert rows[1]["fold"] == 1


def test_first_mask_far_down_is_found_because_it_leads(tmp_path, load):
    """`datasets` looks at 10 MB of lines for types; longer than that, masks must come first."""
    schema = Schema(
        name="x", backgrounds=make_backgrounds(["body"]), defects=make_defects(["pore"])
    )
    empty = np.zeros(SIZE, np.uint8)
    with DatasetWriter(tmp_path / "out", schema) as writer:
        good = writer.add(
            "good", picture(0), LabelMap(empty, empty), part="good", original="x" * 2000
        )
        eye = LabelMap(np.eye(*SIZE, dtype=np.uint8), empty)
        bad = writer.add("bad", picture(1), eye, part="bad", excluded="why")
    count = (11 << 20) // len(good.model_dump_json())
    records = lead_with_types([good] * count + [bad])
    assert records[1] == bad
    lines = (json.dumps(record.model_dump()) + "\n" for record in records)
    (tmp_path / "out" / METADATA_FILE).write_text("".join(lines))
    rows = load(tmp_path / "out")["train"]
    assert len(rows) == count + 1
    np.testing.assert_array_equal(np.asarray(rows[1]["mask"]), eye.defects)
    assert rows[1]["excluded"] == "why"
    assert rows[count]["mask"] is None
