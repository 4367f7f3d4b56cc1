"""Files and functions stay short enough to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"
BENCHMARKS = TESTS.parent / "benchmarks"
FILE_LINES = 400
FUNCTION_LINES = 60


def too_long(path: Path) -> Iterator[str]:
    """Yield a line for the file and for each of its functions that reach the limits."""
    text = path.read_text("utf-8")
    if (lines := len(text.splitlines())) >= FILE_LINES:
        yield f"{path.name} has {lines} lines"
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines >= FUNCTION_LINES:
                yield f"{path.name}: {node.name} has {lines} lines"


@pytest.mark.parametrize(
    ("folder", "least"),
    [(SOURCE, 100), (TESTS, 50), (BENCHMARKS, 10)],
    ids=["src", "tests", "benchmarks"],
)
def test_files_and_functions_are_short(folder: Path, least: int) -> None:
    files = sorted(folder.rglob("*.py"))
    assert len(files) > least
    assert [line for path in files for line in too_long(path)] == []


def test_long_ones_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("class A:\n    def f(self):\n" + "        pass\n" * 59 + "\n" * 338)
    assert list(too_long(path)) == ["a.py: f has 60 lines"]
    path.write_text("\n" * 400)
    assert list(too_long(path)) == ["a.py has 400 lines"]
