"""``flawsmith model robustness`` as a user types it, and its page in a browser."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith import cli
from flawsmith.experiment.train_model import configure_model, train_model
from flawsmith.training.loop import Hooks

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "real <b>"
    config = configure_model(
        "machine_vision", "tiny", pouch_folder, fold=1, synthetic=[], arm=None, overrides=[]
    )
    train_model(config, run, Hooks(), resume=False)
    return run


@pytest.fixture(scope="module")
def table(run):
    command = [COMMAND, "model", "robustness", str(run), "--only", "gain", "--only", "flip"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return run / "robustness", done.stdout


def test_command_prints_and_writes_the_table(table):
    folder, printed = table
    numbers = json.loads((folder / "robustness.json").read_text())
    assert [row["text"] for row in numbers["rows"]] == [
        "left to right", "top to bottom", "x 0.6", "x 0.8", "x 1.25",
    ]  # fmt: skip
    assert numbers["only"] == ["gain", "flip"]
    assert "gain x 0.6" in printed
    assert "undisturbed" in printed
    assert f"page: {folder / 'robustness.html'}" in printed
    assert "nan" not in printed.lower()
    assert len((folder / "cells.jsonl").read_text().splitlines()) == 6


def test_page_is_one_file_and_renders(table, photograph):
    page = table[0] / "robustness.html"
    text = page.read_text()
    assert "real &lt;b&gt;" in text
    assert "<script" not in text
    assert re.search(r"(src|href)=\"(?!data:)", text) is None, "it needs another file"
    for word in ("Simulated", "gain x 0.6", "All light times a factor", "--only gain"):
        assert word in text
    pixels = photograph(page, 2400)
    assert pixels[1000:2300].mean(axis=2).std() > 20, "the examples are not drawn"


def said(words, monkeypatch, capsys, *, status):
    monkeypatch.setattr(sys, "argv", ["flawsmith", "model", "robustness", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    return capsys.readouterr()


def test_plan_says_how_long_and_writes_nothing(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "table"
    printed = said([run, "--only", "noise", "--out", out, "--plan"], monkeypatch, capsys, status=0)
    assert "noise: sigma 0.02, sigma 0.05, sigma 0.1" in printed.out
    assert re.search(r"4 of 4 tests to make on \d+ images .* about .* on this machine", printed.out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "rotaton"], "there is no disturbance 'rotaton'; did you mean 'rotation'?"),
        (["--fold", "0"], "only fold 1 can test it"),
        (["--data", "nothing"], "nothing is no defect data set"),
    ],
)
def test_wrong_use_has_one_message(run, words, message, monkeypatch, capsys, tmp_path):
    out = tmp_path / "table"
    printed = said([run, *words, "--out", out], monkeypatch, capsys, status=2)
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert not out.exists()


def test_a_folder_that_is_no_run_is_told(tmp_path, monkeypatch, capsys):
    printed = said([tmp_path / "none"], monkeypatch, capsys, status=2)
    assert "there is no run" in printed.err
    (tmp_path / "empty").mkdir()
    printed = said([tmp_path / "empty"], monkeypatch, capsys, status=2)
    assert printed.err.startswith("error: ")
