"""Folds and a held-out share by part: invariants over random data sets."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flawsmith.data.folds import (
    check_parts_together,
    composition,
    part_defects,
    split_folds,
    split_holdout,
)
from flawsmith.errors import FlawsmithError

NAMES = ("scratch", "dent", "pore")

# Parts given by their set of defects (empty: good) and number of views.
part_lists = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), max_size=2), st.integers(1, 4)),
    min_size=2,
    max_size=40,
)
single_class_lists = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), max_size=1), st.integers(1, 4)),
    min_size=2,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(parts=part_lists, k=st.integers(2, 6), seed=st.integers(0, 5))
def test_every_part_is_in_exactly_one_fold_and_no_fold_is_empty(parts, k, seed, from_parts):
    k = min(k, len(parts))
    data = from_parts(parts)
    records = split_folds(data, k, seed)
    assert [r.file_name for r in records] == [r.file_name for r in data]
    assert {r.fold for r in records} == set(range(k))
    check_parts_together(records)


@settings(max_examples=60, deadline=None)
@given(parts=single_class_lists, k=st.integers(2, 6), seed=st.integers(0, 5))
def test_single_class_parts_differ_by_at_most_one_between_folds(
    parts, k, seed, from_parts, fold_of_part
):
    k = min(k, len(parts))
    records = split_folds(from_parts(parts), k, seed)
    folds = fold_of_part(records)
    for name in (*NAMES, None):
        counts = Counter(
            folds[f"p{i}"] for i, (labels, _) in enumerate(parts) if (labels or {None}) == {name}
        )
        held = [counts[fold] for fold in range(k)]
        assert max(held) - min(held) <= 1


@settings(max_examples=30, deadline=None)
@given(parts=part_lists, order=st.randoms(use_true_random=False))
def test_folds_depend_on_the_seed_and_not_on_the_order_of_records(
    parts, order, dataset, from_parts, fold_of_part
):
    data = from_parts(parts)
    shuffled = list(data.records)
    order.shuffle(shuffled)
    again = split_folds(dataset(shuffled), 2, seed=3)
    assert fold_of_part(again) == fold_of_part(split_folds(data, 2, seed=3))


def test_another_seed_gives_other_folds(from_counts, fold_of_part):
    data = from_counts(scratch=10, good=20)
    drawn = [fold_of_part(split_folds(data, 5, seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    held_out = [fold_of_part(split_holdout(data, 0.2, seed)) for seed in (0, 0, 1)]
    assert held_out[0] == held_out[1] != held_out[2]


def test_parts_with_several_classes_are_spread_in_each_class(record, dataset):
    labels = [("scratch", "dent")] * 4 + [("scratch",)] * 6 + [("dent",)] * 6
    records = split_folds(dataset([record(f"p{i}", 0, ls) for i, ls in enumerate(labels)]), 2)
    for counts in composition(records).values():
        assert counts["scratch"] == (5, 5)
        assert counts["dent"] == (5, 5)


def test_excluded_views_share_the_fold_and_do_not_speak_for_the_class(
    record, dataset, fold_of_part
):
    records = [
        record("a", 0, ["dent"], excluded="blurred"),
        record("a", 1),
        record("b", 0, ["dent"]),
        record("c", 0, ["dent"]),
        record("d", 0, excluded="wrong product"),
    ]
    assert part_defects(records) == {"a": set(), "b": {"dent"}, "c": {"dent"}}
    split = split_folds(dataset(records), 2)
    folds = fold_of_part(split)
    assert split[0].fold == split[1].fold
    assert folds["b"] != folds["c"]
    assert folds["d"] in (0, 1)
    assert fold_of_part(split_holdout(dataset(records), 0.5))["d"] == 1


def test_synthetic_images_get_no_fold(record, dataset, from_counts):
    data = from_counts(scratch=4)
    made = record("made", labels=["scratch"], source="synthetic", fold=1)
    split = split_folds(dataset([*data.records, made]), 2)
    assert split[-1].fold is None
    assert split[:-1] == split_folds(data, 2)


@pytest.mark.parametrize(
    ("k", "message"), [(1, "expected at least 2"), (0, "at least 2"), (5, "has 4 parts in use")]
)
def test_impossible_numbers_of_folds_are_refused(k, message, from_counts):
    with pytest.raises(FlawsmithError, match=message):
        split_folds(from_counts(scratch=4), k)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.fixed_dictionaries({name: st.integers(0, 12) for name in (*NAMES, "good")}),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 3),
)
def test_holdout_takes_the_share_of_every_class_and_never_its_last_part(
    counts, share, seed, from_counts, fold_of_part
):
    data = from_counts(**counts)
    if max(counts.values()) < 2:
        with pytest.raises(FlawsmithError, match="no class of somewhere has two parts"):
            split_holdout(data, share, seed)
        return
    records = split_holdout(data, share, seed)
    check_parts_together(records)
    folds = fold_of_part(records)
    for name, count in counts.items():
        tested = sum(folds[f"{name}{i}"] == 0 for i in range(count))
        if count < 2:
            assert tested == 0
        else:
            assert tested == np.clip(np.floor(share * count + 0.5), 1, count - 1)


@settings(max_examples=60, deadline=None)
@given(parts=part_lists, share=st.floats(0.05, 0.95))
def test_holdout_leaves_every_class_in_training(parts, share, from_parts):
    data = from_parts(parts)
    try:
        records = split_holdout(data, share)
    except FlawsmithError:
        return
    training = part_defects(r for r in records if r.fold == 1)
    everything = part_defects(data.records)
    assert set().union(*training.values()) == set().union(*everything.values())
    if frozenset() in everything.values():
        assert frozenset() in training.values()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 5.0])
def test_a_share_outside_0_to_1_is_refused(share, from_counts):
    with pytest.raises(FlawsmithError, match=f"share of {share}"):
        split_holdout(from_counts(scratch=4), share)


def test_a_part_in_two_folds_is_refused_by_name(record):
    records = [record("p1", 0, fold=0), record("p1", 1, fold=3, original="raw/x.bmp")]
    message = r"part p1 is in two folds: images/p1_0.png in fold 0, raw/x.bmp in fold 3"
    with pytest.raises(FlawsmithError, match=message):
        check_parts_together(records)
    with pytest.raises(FlawsmithError, match=r"in fold 0, images/p1_1\.png in no fold"):
        check_parts_together([records[0], record("p1", 1)])
