"""Synthetic images in the report: beside the most similar real ones, with their layers."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, LabelMap
from flawsmith.data.images import encode_png, write_image, write_index_mask
from flawsmith.experiment.report.synthetic import nearest, turned


def make_synthetic(plant) -> Path:
    """A synthetic set whose first image is a mirrored copy of a real training image."""
    record = next(r for r in plant.data if r.fold == 1 and "pit" in r.labels)
    image = plant.data.image(record)[:, ::-1]
    mask = plant.data.label_map(record).defects[:, ::-1]
    folder = plant.root / "synthetic"
    with DatasetWriter(folder, plant.schema) as writer:
        writer.add(
            "copy", np.ascontiguousarray(image), LabelMap(mask.copy(), mask * 0), part="s0",
            source="synthetic", parents=[record.file_name], mask_source="conditioning",
        )  # fmt: skip
    return folder


def test_nearest_real_crop_exposes_a_copy(plant, tmp_path: Path, build) -> None:
    runs = [plant.run("real", "real", 6, 1), plant.run("gan", "dbs_gan", 2, 0)]
    page, numbers, _ = build(tmp_path, *runs, synthetic=make_synthetic(plant))
    match = numbers["synthetic"]["matches"][0]
    assert match["defect"] == "pit"
    assert match["nearest"] == match["parents"][0]
    assert match["correlation"] > 0.98
    assert "mirrored" in match["turned"]
    assert match["searched"] == 3
    assert len(numbers["synthetic"]["sheets"][0]["real_files"]) == 3
    assert match["nearest"] in page.text
    assert numbers["synthetic"]["mask_source"] == "conditioning"
    assert "1 image, painted into masks that were given." in page.text


def test_nearest_compares_all_turns() -> None:
    rng = np.random.default_rng(1)
    crops = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(4)]
    for turn in range(8):
        shown = turned(crops[2], turn)
        index, found, correlation = nearest(shown, crops)
        assert (index, found) == (2, turn)
        assert correlation == pytest.approx(1.0, abs=1e-4)
    flat = np.full((40, 40, 3), 7, np.uint8)
    assert nearest(flat, crops)[2] == 0.0


def test_gallery_shows_the_layers(plant, tmp_path: Path, build) -> None:
    run = plant.run("real", "real", 6, 1)
    synthesizer = tmp_path / "synthesizer"
    for n, layers in ((1, ("x_d", "x_b", "synthetic")), (2, ("synthetic",)), (3, ())):
        folder = synthesizer / "samples" / "gallery" / str(n)
        folder.mkdir(parents=True)
        mask = np.zeros((32, 32), np.uint8)
        mask[10:20, 12:18] = 2
        write_index_mask(folder / "label.png", mask, plant.schema.palette())
        if n == 2:  # a picture in the colours of the classes will do as well
            colours = np.array(plant.schema.palette(), np.uint8).reshape(256, 3)
            write_image(folder / "label.png", colours[mask])
        for layer in layers:
            write_image(folder / f"{layer}.png", mask * 60)
    (synthesizer / "samples" / "000100.png").write_bytes(encode_png(np.eye(20, dtype=np.uint8)))
    (synthesizer / "samples" / "000200.png").write_bytes(b"torn")
    page, numbers, html = build(tmp_path, run, synthesizer=synthesizer)
    assert [m["name"] for m in numbers["synthetic"]["matches"]] == ["1", "2"]
    assert all(m["nearest"].startswith("images/r2_") for m in numbers["synthetic"]["matches"])
    alternatives = [a.get("alt") for tag, a in page.tags if tag == "img"]
    assert alternatives.count("X_d") == 1
    assert alternatives.count("nearest real") == 2
    assert "sample sheet 000100" in html
    assert "sample sheet 000200" not in html
    assert "X_d and X_b are what" in html
    shutil.rmtree(synthesizer / "samples" / "gallery" / "1")
    _, numbers, html = build(tmp_path, run, synthesizer=synthesizer)
    assert [m["name"] for m in numbers["synthetic"]["matches"]] == ["2"]
    assert "X_d and X_b" not in html  # of a system without these layers nothing is said of them
