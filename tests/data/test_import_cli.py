"""``flawsmith data import`` as it is installed: exit status, one error line, what is printed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flawsmith.cli import build_app
from flawsmith.cli.data_import import parse_pixel_size
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError

COMMAND = Path(sys.executable).parent / "flawsmith"


@pytest.fixture
def source(tmp_path):
    for i, name in enumerate(["OK/a_p1.png", "OK/b_p1.png", "[dent]/c_p2.png"]):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (8, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (tmp_path / "source/OK/torn.png").write_bytes(b"torn")
    return tmp_path / "source"


def run(*arguments) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "data", "import", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_installed_command_imports_and_says_what_is_next(source, tmp_path):
    out = tmp_path / "out"
    done = run(source, out, "--part-pattern", r"_(p\d)", "--pixel-size-mm", "0.5,0.4")
    assert done.returncode == 0, done.stderr
    for text in (
        "Format class_folders: images lie in 2 folders",
        "unreadable image",
        "OK/torn.png",
        "[dent]",
        f"Next: flawsmith data check {out}",
    ):
        assert text in done.stdout
    schema = Schema.load(out)
    assert (schema.pixel_size_mm.x, schema.pixel_size_mm.y) == (0.5, 0.4)
    assert "Parts" in done.stdout


def test_installed_command_ends_with_one_error_line_and_status_2(source, tmp_path):
    done = run(source / "OK", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {source / 'OK'} looks like no known format")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "expected"), [("0.5", (0.5, 0.5)), ("0.5,0.4", (0.5, 0.4)), ("1e-3, 2", (0.001, 2.0))]
)
def test_pixel_size_is_read(text, expected):
    assert parse_pixel_size(text) == expected


@pytest.mark.parametrize("text", ["", "a", "0", "-1", "1,2,3", "1,", "inf", "nan"])
def test_wrong_pixel_size_is_explained(text):
    with pytest.raises(FlawsmithError, match="expected mm per pixel"):
        parse_pixel_size(text)


def test_help_lists_the_formats():
    result = CliRunner().invoke(build_app(), ["data", "import", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "magnetic_tile" in result.output
