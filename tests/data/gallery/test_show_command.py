"""``flawsmith data show``."""

import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from flawsmith.cli.data_show import register
from flawsmith.data.dataset import DefectDataset


def test_command_writes_the_page_and_says_where(pouch: DefectDataset, tmp_path: Path) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    runner = CliRunner()
    done = runner.invoke(app, ["show", str(pouch.root)])
    assert done.exit_code == 0, done.output
    assert str(pouch.root / ".gallery" / "index.html") in done.output
    assert "45 images" in done.output
    assert f"flawsmith data check {pouch.root}\n" in done.output
    out = tmp_path / "page"
    assert runner.invoke(app, ["show", str(pouch.root), "--out", str(out)]).exit_code == 0
    assert (out / "index.html").is_file()
    shutil.rmtree(pouch.root)
    failed = runner.invoke(app, ["show", str(pouch.root)])
    assert "is no defect data set" in str(failed.exception)


@pytest.mark.parametrize("opens", [True, False])
def test_command_opens_a_browser_only_when_asked(
    pouch: DefectDataset, monkeypatch, opens: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or opens)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    assert CliRunner().invoke(app, ["show", str(pouch.root)]).exit_code == 0
    assert opened == []
    done = CliRunner().invoke(app, ["show", str(pouch.root), "--open"])
    assert opened == [(pouch.root / ".gallery" / "index.html").as_uri()]
    assert ("No browser" in done.output) != opens
