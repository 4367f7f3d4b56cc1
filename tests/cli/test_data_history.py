"""``flawsmith data merge``, ``filter``, ``relabel``, ``history``, ``undo`` as a user sees them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flawsmith.cli import build_app, data_split
from flawsmith.data.dataset import METADATA_FILE, DefectDataset
from flawsmith.data.history import read_history
from flawsmith.errors import FlawsmithError

COMMAND = Path(sys.executable).parent / "flawsmith"


@pytest.fixture
def data(pouch_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pouch_folder, tmp_path / "data")


def run(*arguments: object) -> str:
    """Return what a command prints, with line breaks as spaces."""
    done = CliRunner().invoke(build_app(), ["data", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_relabel_history_undo_and_redo(data):
    start = (data / METADATA_FILE).read_bytes()
    first, second, *_, last = DefectDataset.open(data).schema.defect_names
    options = ("--merge", f"{first},{second}=joined", "--rename", f"{last}=other")
    said = run("relabel", data, *options, "--dry-run")
    assert "Nothing was changed (--dry-run)." in said
    assert (data / METADATA_FILE).read_bytes() == start
    assert f"To take it back: flawsmith data undo {data}" in run("relabel", data, *options)
    names = DefectDataset.open(data).schema.defect_names
    assert names[0] == "joined"
    assert names[-1] == "other"
    assert "can be undone" in run("history", data)
    assert "Took back 1: data relabel --rename" in run("undo", data)
    assert (data / METADATA_FILE).read_bytes() == start
    assert "taken back by 2" in run("history", data)
    assert "Took back 2: data undo" in run("undo", data, "--redo")
    assert DefectDataset.open(data).schema.defect_names == names


def test_filter_in_place_to_a_new_set_and_dry(data, tmp_path):
    name = DefectDataset.open(data).schema.defect_names[0]
    said = run("filter", data, "--class", name, "--dry-run")
    assert "goes: images/" in said
    assert "more Nothing was changed" in said
    assert len(DefectDataset.open(data)) == 45
    assert "Written to" in run("filter", data, "--good", "--out", tmp_path / "good")
    assert len(DefectDataset.open(tmp_path / "good")) == 9
    assert "36 of 45 images kept" in run("filter", data, "--good", "--invert")
    assert len(DefectDataset.open(data)) == 36


def test_merge_prints_the_classes_and_what_is_next(data, tmp_path):
    run("filter", data, "--good", "--out", tmp_path / "good")
    run("filter", data, "--defective", "--out", tmp_path / "bad")
    said = run("merge", tmp_path / "good", tmp_path / "bad", "--out", tmp_path / "new")
    assert "45 images of 45 parts written to" in said
    assert f"Next: flawsmith data check {tmp_path / 'new'}" in said
    new, old = DefectDataset.open(tmp_path / "new"), DefectDataset.open(data)
    assert {r.sha256 for r in new} == {r.sha256 for r in old}
    assert {(r.sha256, r.fold) for r in new} == {(r.sha256, r.fold) for r in old}


def test_a_split_can_be_undone(data):
    start = (data / METADATA_FILE).read_bytes()
    run("split", data, "--folds", "2", "--seed", "3", "--again")
    assert {r.fold for r in DefectDataset.open(data)} == {0, 1}
    (operation,) = read_history(data)
    assert (operation.verb, operation.arguments) == (
        "split", ["--folds", "2", "--seed", "3", "--again"],
    )  # fmt: skip
    run("undo", data)
    assert (data / METADATA_FILE).read_bytes() == start


def test_prune_says_how_much_it_freed(data):
    assert "Nothing was done to this data set" in run("history", data)
    run("filter", data, "--good")
    said = run("history", data, "--prune")
    assert "MB removed" in said
    assert "pruned" in said
    with pytest.raises(FlawsmithError, match="pruned"):
        run("undo", data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("relabel", "--rename", "x"), "--rename 'x': expected OLD=NEW"),
        (("relabel", "--merge", "=x"), "--merge '=x': expected A,B=C"),
        (("relabel", "--drop", "x", "--as", "bad"), "--as 'bad': expected ignore or good"),
        (("relabel", "--rename", "x=y", "--rename", "x=z"), "--rename names a class twice"),
        (("relabel", "--drop", "nothing"), "'nothing' is no defect of"),
        (("filter", "--source", "unreal"), "--source 'unreal': expected real or synthetic"),
        (("filter", "--good", "--excluded"), "--good and --excluded exclude each other"),
        (("undo",), "has nothing to undo"),
    ],
)
def test_wrong_options_are_told_and_change_nothing(data, options, message):
    start = (data / METADATA_FILE).read_bytes()
    verb, *rest = options
    with pytest.raises(FlawsmithError, match=message):
        run(verb, data, *rest)
    assert (data / METADATA_FILE).read_bytes() == start


def test_installed_command_ends_with_one_error_line_and_status_2(tmp_path):
    done = subprocess.run(
        [COMMAND, "data", "undo", str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path} is no defect data set")
    assert not (tmp_path / ".history").exists()


def test_folds_are_not_written_over_a_change_that_came_meanwhile(data, monkeypatch):
    draw = data_split.split_folds

    def slow_draw(dataset, *arguments):
        run("filter", data, "--defective")
        return draw(dataset, *arguments)

    monkeypatch.setattr(data_split, "split_folds", slow_draw)
    with pytest.raises(FlawsmithError, match="was changed meanwhile; split it again"):
        run("split", data, "--again")
    assert len(DefectDataset.open(data)) == 36
