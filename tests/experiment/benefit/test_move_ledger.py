"""Lines move to new keys only if repeated runs are equal."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
PAIRS = {"a0": "b0", "a1": "b1"}


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
    """A line of another experiment keeps its key, and all keep their order."""
    other = line("x", 0, 7)
    lines = [line("a0", 0, 5), line("a1", 1, 9), other, line("b0", 0, 5)]
    moved = script.moved(lines, PAIRS)
    assert moved == [line("b0", 0, 5), {**line("b1", 1, 9), "moved_from": ["a1"]}, other]


def test_a_repetition_that_differs_moves_nothing(script: ModuleType) -> None:
    """One pixel is enough."""
    with pytest.raises(SystemExit, match="differ; nothing was moved"):
        script.moved([line("a0", 0, 5), line("a1", 1, 9), line("b0", 0, 6)], PAIRS)


def test_without_a_repetition_nothing_is_moved(script: ModuleType) -> None:
    """It could not be known that the code computes the same."""
    with pytest.raises(SystemExit, match="no run was repeated"):
        script.moved([line("a0", 0, 5), line("a1", 1, 9)], PAIRS)


def test_runs_with_both_codes_elsewhere_move_lines_of_another_machine(script: ModuleType) -> None:
    """Its own counts differ from theirs, as it rounds differently; they must equal each other."""
    lines = [line("a0", 0, 5), line("a1", 1, 9)]
    both = [line("a0", 0, 6), line("b0", 0, 6)]
    assert script.moved(lines, PAIRS, both) == [
        {**line("b0", 0, 5), "moved_from": ["a0"]},
        {**line("b1", 1, 9), "moved_from": ["a1"]},
    ]
    with pytest.raises(SystemExit, match="differ; nothing was moved"):
        script.moved(lines, PAIRS, [both[0], line("b0", 0, 5)])
    with pytest.raises(SystemExit, match="no run was repeated"):
        script.moved(lines, PAIRS, both[:1])


def test_files_of_several_data_sets_go_in_pairs(script: ModuleType, tmp_path: Path) -> None:
    """Each data set has runs of the same titles; what only one code knows has no partner."""
    files = []
    names = ({"real": "a0"}, {"real": "b0"}, {"real": "a1", "x": "a2"}, {"real": "b1"})
    for number, keys in enumerate(names):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps({"data": f"d{number}", "keys": keys}))
    data = {"d0": "d1", "d2": "d3"}
    assert script._same_runs(files) == (PAIRS, data)
    lines = [{**line("a0", 0, 5), "data": "d0"}, {**line("b0", 0, 5), "data": "d1"},
             {**line("a1", 1, 9), "data": "d2"}]  # fmt: skip
    assert [one["data"] for one in script.moved(lines, PAIRS, None, data)] == ["d1", "d3"]
