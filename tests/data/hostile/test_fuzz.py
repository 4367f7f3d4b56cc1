"""A small run of ``benchmarks/fuzz_import.py``, and what it would notice."""

import random

import pytest
from fuzz_import import attempt, fuzz, problem_with
from fuzz_mutations import mutate
from fuzz_samples import SAMPLES

from flawsmith.data.formats import FORMATS
from flawsmith.errors import FlawsmithError

INPUTS = 14  # for each format
SEED = 0


def test_every_format_has_a_sample_that_is_imported_as_itself(tmp_path):
    assert set(SAMPLES) == set(FORMATS.names())
    for name, makers in SAMPLES.items():
        for make in makers:
            for chosen in ("auto", name):
                assert attempt(tmp_path / "box", make(), {}, chosen) == ("imported", ""), make


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_damaged_folders_are_imported_or_refused(name, tmp_path):
    counts, failures = fuzz([name], INPUTS, SEED, tmp_path / "box", show=False)
    assert failures == []
    assert counts[name].total() == 2 * INPUTS
    assert counts[name]["imported"] >= INPUTS / 2


def test_inputs_can_be_repeated():
    first, second = (mutate(SAMPLES["coco"][0](), random.Random("coco 0 7")) for _ in range(2))
    assert first == second
    assert first[0] != SAMPLES["coco"][0]()


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ValueError("x"), "ValueError instead of FlawsmithError"),
        (FlawsmithError(""), "a message of 0 characters"),
        (FlawsmithError("a\nb"), "a message of several lines"),
        (FlawsmithError("a is damaged; repair it"), None),
    ],
)
def test_failures_are_told_from_refusals(error, problem):
    assert problem_with(error) == problem


def test_an_inconsistent_data_set_is_a_failure(tmp_path, monkeypatch):
    from flawsmith.data import dataset

    monkeypatch.setattr(dataset.DatasetWriter, "_write_indices", lambda *_: None)
    outcome, details = attempt(tmp_path / "box", SAMPLES["mvtec"][0](), {}, "auto")
    assert outcome == "FAILED"
    assert "is labelled ['cut'] and shows" in details


def test_a_change_of_the_source_is_a_failure(tmp_path, monkeypatch):
    import fuzz_import

    real = fuzz_import.import_folder

    def careless(source, out, **options):
        (source / "test/cut/000.png").write_bytes(b"")
        return real(source, out, **options)

    monkeypatch.setattr(fuzz_import, "import_folder", careless)
    outcome, details = attempt(tmp_path / "box", SAMPLES["mvtec"][0](), {}, "auto")
    assert outcome == "FAILED"
    assert "changed outside of the data set" in details
