"""The files that a check leaves in a data set's folder, and that they do no harm there."""

import hashlib
import os
import sys

import pytest
import typer
from typer.testing import CliRunner

from flawsmith.cli.data_check import register
from flawsmith.data.check_report import CheckReport
from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters import export_dataset
from flawsmith.data.formats import import_folder


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)

    def invoke(*arguments):
        return CliRunner().invoke(app, ["check", *map(str, arguments)])

    return invoke


def files(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_command_writes_both_into_the_set_and_nothing_else(pouch, run):
    before = files(pouch.root)
    expected = check(pouch)
    done = run(pouch.root)
    assert done.exit_code == 0, done.output
    assert f"Report written to {pouch.root / 'check.json'}" in done.output
    assert f"Page written to {pouch.root / 'check.html'}" in done.output
    after = files(pouch.root)
    assert set(after) - set(before) == {"check.json", "check.html"}
    assert {name: after[name] for name in before} == before
    text = (pouch.root / "check.json").read_text()
    assert CheckReport.model_validate_json(text) == expected
    run(pouch.root)
    assert files(pouch.root) == after  # neither is an orphan, the pictures are drawn alike


def test_options_choose_other_places_or_none(pouch, run, tmp_path):
    run(pouch.root, "--json", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert (tmp_path / "a.json").is_file()
    assert "</html>" in (tmp_path / "a.html").read_text("utf-8")
    assert not list(pouch.root.glob("check.*"))
    assert "Page" not in run(pouch.root, "--no-page").output
    assert [path.name for path in pouch.root.glob("check.*")] == ["check.json"]


def test_folder_that_cannot_be_written_costs_one_note(pouch, run, tmp_path):
    (pouch.root / "check.json" / "taken").mkdir(parents=True)
    done = run(pouch.root)
    assert done.exit_code == 0, done.output
    assert done.output.count("not written") == 1
    assert "cannot write" in done.output
    assert not (pouch.root / "check.html").exists()
    assert run(pouch.root, "--html", tmp_path / "a.html").exit_code == 0
    assert (tmp_path / "a.html").is_file()
    refused = run(pouch.root, "--json", tmp_path / "b.json", "--html", tmp_path / "absent/a.html")
    assert "cannot write" in str(refused.exception)


def test_page_needs_a_package_that_the_check_does_not(pouch, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run(pouch.root)
    assert done.exit_code == 0, done.output
    assert "Page not written" in done.output
    assert "jinja2" in done.output
    assert (pouch.root / "check.json").is_file()


def test_both_files_do_no_harm_to_readers_of_the_folder(pouch, run, tmp_path, monkeypatch):
    fingerprint = pouch.fingerprint()
    export_dataset(pouch, tmp_path / "before", "index_png")
    schema = (pouch.root / "dataset.toml").read_bytes()
    (pouch.root / "dataset.toml").unlink()
    import_folder(pouch.root, tmp_path / "again-before")
    (pouch.root / "dataset.toml").write_bytes(schema)
    run(pouch.root)
    dataset = DefectDataset.open(pouch.root)
    assert dataset.fingerprint() == fingerprint
    export_dataset(dataset, tmp_path / "after", "index_png")
    assert files(tmp_path / "after") == files(tmp_path / "before")
    (pouch.root / "dataset.toml").unlink()
    import_folder(pouch.root, tmp_path / "again-after")
    again = DefectDataset.open(tmp_path / "again-after")
    assert again.records == DefectDataset.open(tmp_path / "again-before").records
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(pouch.root), cache_dir=str(tmp_path / "cache")
    )
    assert list(loaded) == ["train"]
    assert len(loaded["train"]) == len(pouch)


def test_file_names_that_are_no_utf8_are_reported(pouch, run):
    name = os.fsencode(pouch.root / "images") + b"/bad\xff.png"
    try:
        with open(name, "wb") as stream:
            stream.write(b"x")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    done = run(pouch.root)
    assert done.exception is None, done.output
    report = CheckReport.model_validate_json((pouch.root / "check.json").read_bytes())
    assert [f.file for f in report.findings if f.kind == "orphaned_image"] == ["images/bad?.png"]
    assert "images/bad?.png" in (pouch.root / "check.html").read_text("utf-8")
