"""``flawsmith data split``: folds written, frozen, and wrong calls explained."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.folds import split_folds


@pytest.fixture
def folder(tmp_path, schema):
    """Six good parts and four with a scratch, two views each."""
    with DatasetWriter(tmp_path / "set", schema()) as writer:
        for part in range(10):
            for view in range(2):
                defects = np.zeros((4, 4), np.uint8)
                defects[1, 1] = part < 4
                image = np.full((4, 4), 10 * part + view, np.uint8)
                label_map = LabelMap(defects, np.zeros_like(defects))
                writer.add(f"{part}_{view}", image, label_map, part=f"p{part}", view=str(view))
    return tmp_path / "set"


def run(*arguments):
    command = [Path(sys.executable).with_name("flawsmith"), "data", "split", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_writes_and_freezes_folds(folder, schema):
    done = run(folder, "--folds", "2", "--seed", "4")
    assert done.returncode == 0, done.stderr
    written = DefectDataset.open(folder).records
    untouched = [r.model_copy(update={"fold": None}) for r in written]
    assert written == split_folds(DefectDataset(folder, schema(), untouched), 2, 4)
    assert "2 / 4" in done.stdout
    assert "3 / 6" in done.stdout
    assert "scratch: 4 parts; cross-validation tests each once" in done.stdout

    before = (folder / "metadata.jsonl").read_bytes()
    refused = run(folder, "--test", "0.25")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert "has 2 folds already" in refused.stderr
    assert "--again" in refused.stderr
    assert (folder / "metadata.jsonl").read_bytes() == before

    again = run(folder, "--test", "0.25", "--again")
    assert again.returncode == 0, again.stderr
    assert "0 (test)" in again.stdout
    assert {r.fold for r in DefectDataset.open(folder)} == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", "2", "--test", "0.2"], "exclude each other"),
        (["--csv", "absent.csv"], "cannot read absent.csv"),
        (["--folds", "40"], "40 folds were asked for, but the data set has 10 parts"),
    ],
)
def test_the_command_explains_a_wrong_call_in_one_line(folder, arguments, message):
    before = (folder / "metadata.jsonl").read_bytes()
    refused = run(folder, *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert message in refused.stderr
    assert (folder / "metadata.jsonl").read_bytes() == before
