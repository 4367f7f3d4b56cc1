"""A system that learns nothing, from the command to its synthetic set."""

import sys
from pathlib import Path

import numpy as np
import pytest

from flawsmith import cli
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.mask_bank.sizes import SizeRange
from flawsmith.experiment.drawing import Banks
from flawsmith.experiment.synthesis import synthesis_records, synthesize
from flawsmith.systems import SYSTEMS
from flawsmith.systems.load import load_synthesizer
from flawsmith.systems.untrained import UntrainedSystem

NAMES = [name for name, system in SYSTEMS if issubclass(system, UntrainedSystem)]


def call(*words: object) -> int:
    argv, sys.argv = sys.argv, ["flawsmith", *map(str, words)]
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = argv
    return 0


@pytest.mark.parametrize("name", NAMES)
def test_run_is_complete_at_once_and_synthesizes(
    name: str, pouch_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "set"
    command = ["train", name, "--data", pouch_folder, "--fold", 0, "--preset", "tiny"]
    assert call(*command, "--out", run) == 0
    assert f"{name} learns nothing: there was nothing to train" in capsys.readouterr().out
    assert (run / "samples" / "0000000000.png").is_file()
    assert load_synthesizer(run).fold == 0
    assert call("train", "--resume", run) == 0
    drawing = ["--mask", tmp_path / "drawn.png", "--out", tmp_path / "painted"]
    assert call("synthesize", run, *drawing) == 2
    refusals = {"copy_paste": "sets real defects", "perlin_noise": "paints into a real surface"}
    assert f"{name} {refusals[name]}" in capsys.readouterr().err
    options = ["--data", pouch_folder, "--balance", "--per-class", 14, "--out", out]
    assert call("synthesize", run, *options) == 0
    made, real = DefectDataset.open(out), DefectDataset.open(pouch_folder)
    used = {record.file_name: record for record in synthesis_records(run, real)}
    assert len(made) > 10
    for record in made:
        assert record.system == name
        assert record.labels
        assert set(record.parents) <= set(used), "training images alone"
    assert call("synthesize", run, *options, "--size-px", "1..900") == 2
    refusals = {
        "copy_paste": "begun with other settings: sizes was None",
        "perlin_noise": "cannot make defects of a given size: leave out --size-px or --size-mm",
    }
    assert refusals[name] in " ".join(capsys.readouterr().err.split())


def test_whole_masks_have_the_size_that_was_asked_for(pouch_folder: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "set"
    command = ["train", "perlin_noise", "--data", pouch_folder, "--fold", 0, "--preset", "tiny"]
    assert call(*command, "--set", "defect.shape=mask", "--out", run) == 0
    sizes = SizeRange(7.0, 8.0)
    dataset = DefectDataset.open(pouch_folder)
    synthesize(run, dataset, out, plan={"spore": 6}, sizes=sizes, new_shapes=0.0)
    made = DefectDataset.open(out)
    for record in made:
        area = np.count_nonzero(made.label_map(record).defects)
        # Drawn masks vary in area by 0.85 to 1.2 after scaling.
        assert 6.4 < np.sqrt(4 / np.pi * area) < 8.8


def test_pixels_off_the_defect_are_those_of_a_parent(pouch_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["train", "copy_paste", "--data", pouch_folder, "--fold", 0, "--preset", "tiny"]
    assert call(*command, "--out", run) == 0
    options = ["--data", pouch_folder, "--balance", "--per-class", 13, "--out", tmp_path / "set"]
    assert call("synthesize", run, *options) == 0
    made, real = DefectDataset.open(tmp_path / "set"), DefectDataset.open(pouch_folder)
    banks = Banks.from_dataset(
        real, synthesis_records(run, real), frozenset({"background_images", "exemplars"})
    )
    for record in made:
        assert record.seed is not None
        label = made.label_map(record).defects
        drawn = banks.draw(record.seed, made.schema.defect(record.labels[0]).id, 32)
        assert drawn.background is not None
        np.testing.assert_array_equal(drawn.label_map.defects, label)
        shift = made.image(record).astype(float) - np.rint(drawn.background.image[..., 0] * 255)
        near = np.zeros(label.shape, np.bool_)
        ys, xs = np.nonzero(label)
        for y, x in zip(ys, xs, strict=True):
            near[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = True
        assert (shift[~near] == 0).all()
