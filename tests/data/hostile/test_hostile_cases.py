"""Every hostile folder is imported with the findings it should have, or refused in one message."""

from collections import Counter
from pathlib import Path

import pytest
from fuzz_import import digest, inspect, problem_with, time_limit
from hostile_registry import Case, all_cases

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import ImportReport, import_folder, patterns
from flawsmith.errors import FlawsmithError

CASES = all_cases()
FEWEST = 80
SECONDS = 10


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    monkeypatch.setattr(patterns, "SECONDS", 0.2)


def prepare(case: Case, folder: Path) -> tuple[Path, Path]:
    """Make the source of a case; return it and where its data set shall be."""
    source = folder / "source"
    source.mkdir()
    return case.make(source) or source, folder / case.out


def attempt(source: Path, out: Path, case: Case) -> ImportReport | FlawsmithError:
    with time_limit(SECONDS):
        try:
            return import_folder(source, out, **case.options)
        except FlawsmithError as error:
            return error


def test_cases_are_many():
    assert len(CASES) >= FEWEST
    assert sum(bool(case.refused) for case in CASES.values()) >= 25


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.refused))
def test_refused_with_one_message_and_nothing_left(name, tmp_path):
    source, out = prepare(CASES[name], tmp_path)
    before = digest(tmp_path)
    error = attempt(source, out, CASES[name])
    assert isinstance(error, FlawsmithError), error
    for words in CASES[name].refused:
        assert words in str(error)
    assert problem_with(error) is None
    assert digest(tmp_path) == before


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if not case.refused))
def test_imported_with_all_that_is_odd(name, tmp_path):
    case = CASES[name]
    source, out = prepare(case, tmp_path)
    before = digest(tmp_path)
    report = attempt(source, out, case)
    assert isinstance(report, ImportReport), report
    assert +Counter(f.kind for f in report.findings) == +Counter(case.findings), report.findings
    assert (report.images, report.excluded) == (case.images, case.excluded)
    if case.labels is not None:
        first = min(DefectDataset.open(out), key=lambda record: record.original or "")
        assert tuple(first.labels) == case.labels
    assert inspect(out, report.images) is None
    for finding in report.findings:
        assert len(f"{finding.file} {finding.message}".splitlines()) == 1
    after = digest(tmp_path)
    assert {path: held for path, held in after.items() if not path.startswith(str(out))} == before
