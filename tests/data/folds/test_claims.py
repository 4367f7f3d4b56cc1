"""What the number of parts allows to claim."""

import pytest
from scipy.stats import binomtest

from flawsmith.data.folds import claims, limit_without_a_miss, split_folds, split_holdout


@pytest.mark.parametrize("parts", [1, 7, 25, 148])
def test_the_limit_is_the_clopper_pearson_bound(parts):
    exact = binomtest(0, parts).proportion_ci(0.95, method="exact").high
    assert limit_without_a_miss(parts) == pytest.approx(exact, rel=1e-9)


def test_claims_say_what_the_parts_allow(dataset, from_counts):
    names = ("scratch", "dent", "pore", "stain", "burr")
    counts = {"scratch": 7, "dent": 1, "pore": 25, "burr": 3, "good": 4}
    records = split_folds(from_counts(**counts), 5)
    lines = dict(line.split(": ", 1) for line in claims(dataset(records, names)))
    assert list(lines) == [*names, "all defects", "good"]
    assert lines["scratch"].startswith(
        "7 parts; cross-validation tests each once; with none missed the escape rate could still "
        "be up to 41 %; fewer than 10 test parts"
    )
    assert lines["pore"].endswith("be up to 13.7 %")
    assert "fewer parts than the 5 folds" in lines["burr"]
    assert "fewer parts than" not in lines["scratch"]
    assert lines["dent"] == "1 part; it cannot be tested and trained at once"
    assert lines["stain"].startswith("no part")
    assert lines["all defects"].startswith("36 parts, 36 tested; with none missed")
    assert lines["good"].endswith("overkill could still be up to 60 %")


def test_claims_of_one_split_count_only_its_test_parts(record, dataset, from_counts):
    records = split_holdout(from_counts(scratch=20, dent=1), 0.5)
    lines = dict(line.split(": ", 1) for line in claims(dataset(records), test_fold=0))
    assert lines["scratch"] == (
        "20 parts; 10 tested; with none missed the escape rate could still be up to 31 %"
    )
    assert lines["good"] == "0 parts, 0 tested; the overkill cannot be measured"
    absent = [record(f"s{i}", 0, ["scratch"], fold=1) for i in range(3)]
    lines = dict(line.split(": ", 1) for line in claims(dataset(absent), test_fold=0))
    assert lines["scratch"] == "3 parts, none in the test fold; it is not tested"


def test_claims_name_a_class_that_only_one_fold_has(record, dataset):
    records = [record(f"s{i}", 0, ["scratch"], fold=0) for i in range(3)] + [record("g", fold=1)]
    assert claims(dataset(records))[0] == (
        "scratch: 3 parts, all in fold 0; no other fold can train it"
    )
