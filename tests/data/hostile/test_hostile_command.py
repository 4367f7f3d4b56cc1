"""A sample of the hostile folders through the installed command: status 2, one line."""

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_import import digest
from hostile_registry import all_cases

COMMAND = Path(sys.executable).parent / "flawsmith"
CASES = all_cases()
OPTIONS = {"part_pattern": "--part-pattern", "format": "--format", "white_level": "--white-level"}
REFUSED = (
    "all pictures unreadable",
    "300 classes",
    "zip bomb",
    "truncated archive",
    "source is empty",
    "several formats at once",
    "output is a file",
    "part pattern never ends",
)
IMPORTED = ("names with an escape sequence", "class of control characters", "coco: RLE huge")


def run(case, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "source").mkdir()
    source = case.make(folder / "source") or folder / "source"
    before = digest(folder)
    options = [str(v) for key, value in case.options.items() for v in (OPTIONS[key], value)]
    command = [str(COMMAND), "data", "import", str(source), str(folder / case.out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    after = digest(folder)
    assert {p: held for p, held in after.items() if not p.startswith(str(folder / "out"))} == {
        p: held for p, held in before.items() if not p.startswith(str(folder / "out"))
    }
    return done


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_is_status_2_and_one_line(name, tmp_path):
    case = CASES[name]
    done = run(case, tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert done.stdout == ""
    for words in case.refused:
        assert words in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [IMPORTED[0], "labelme: " + IMPORTED[1], IMPORTED[2]])
def test_import_prints_nothing_that_commands_the_terminal(name, tmp_path):
    done = run(CASES[name], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "Next: flawsmith data check" in done.stdout
