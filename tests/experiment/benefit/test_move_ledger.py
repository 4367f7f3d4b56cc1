"""Lines move to new keys only if repeated runs are equal."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
OLD = {"real, fold 0": "a0", "real, fold 1": "a1"}
NEW = {"real, fold 0": "b0", "real, fold 1": "b1"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("move_ledger")
    sys.modules.pop("move_ledger", None)


def line(key: str, fold: int, hits: int) -> dict[str, Any]:
    """Return a run of one part."""
    parts = {"p": [["dent"], "F", {"dent": [hits, 0, 0]}]}
    return {"key": key, "arm": "real", "fold": fold, "parts": parts}


def test_what_was_repeated_stands_once_and_the_rest_is_moved(script: ModuleType) -> None:
    """A line of another experiment keeps its key."""
    other = line("x", 0, 7)
    lines = [line("a0", 0, 5), line("a1", 1, 9), other, line("b0", 0, 5)]
    moved = script.moved(lines, OLD, NEW)
    assert moved == [{**line("b1", 1, 9), "moved_from": ["a1"]}, other, line("b0", 0, 5)]


def test_a_repetition_that_differs_moves_nothing(script: ModuleType) -> None:
    """One pixel is enough."""
    with pytest.raises(SystemExit, match="differ; nothing was moved"):
        script.moved([line("a0", 0, 5), line("a1", 1, 9), line("b0", 0, 6)], OLD, NEW)


def test_without_a_repetition_nothing_is_moved(script: ModuleType) -> None:
    """It could not be known that the code computes the same."""
    with pytest.raises(SystemExit, match="no run was repeated"):
        script.moved([line("a0", 0, 5), line("a1", 1, 9)], OLD, NEW)
