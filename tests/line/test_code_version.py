import shutil
from pathlib import Path

import pytest

import flawsmith
from flawsmith.line import code_version as module
from flawsmith.line.results import PartVerdict, Verdict
from flawsmith.line.store import Store


@pytest.fixture
def copy_of_the_package(tmp_path, monkeypatch):
    """What `code_version` reads, in a folder where it can be changed."""
    for name in module.ANSWERING:
        shutil.copytree(Path(flawsmith.__file__).parent / name, tmp_path / name)
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    return tmp_path


def fresh():
    return module.code_version.__wrapped__()


def test_two_states_of_the_code_have_two_names(copy_of_the_package):
    assert fresh() == module.code_version()
    version, digest = fresh().split("+")
    assert version == flawsmith.__version__
    assert len(digest) == 16
    (copy_of_the_package / "line" / "notes.txt").write_text("no code")
    assert fresh() == f"{version}+{digest}"
    for name in module.ANSWERING:
        before = fresh()
        with (copy_of_the_package / name / "__init__.py").open("a") as file:
            file.write("changed = True\n")
        assert fresh() != before
    before = fresh()
    (copy_of_the_package / "line" / "inspector.py").rename(copy_of_the_package / "line" / "b.py")
    assert fresh() != before


def test_a_result_names_the_code_that_gave_it(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'results.db'}") as store:
        verdict = PartVerdict(part="a", verdict=Verdict.PASS, reasons=[], rules="r")
        record = store.get(store.record(verdict, []))
    assert record.code_version == module.code_version()
