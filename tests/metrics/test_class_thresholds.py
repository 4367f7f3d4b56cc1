"""Thresholds a class against a search through all of them; numbers of parts against intervals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flawsmith.metrics.class_thresholds import choose_class_thresholds, parts_needed
from flawsmith.metrics.intervals import clopper_pearson

LOWEST = np.full(3, 0.1)


def outcome(scores, defective, thresholds):
    """Return (missed, failed) by the rule itself: a part fails if any region is counted."""
    missed = failed = 0
    for part, bad in zip(scores, defective, strict=True):
        fails = any(s > 0 and s >= t for s, t in zip(part, thresholds, strict=True))
        missed += bad and not fails
        failed += fails and not bad
    return missed, failed


def every_outcome(scores, defective):
    """Return (missed, failed) of all thresholds that differ: each score, and 1."""
    levels = [sorted({*column[column > 0], 1.0}) for column in scores.T]
    return {outcome(scores, defective, choice) for choice in itertools.product(*levels)}


SCORE = st.sampled_from([0.0, 0.0, 0.1, 0.2, 0.35, 0.5, 0.8, 0.81, 0.99, 1.0])
PARTS = st.lists(st.tuples(st.tuples(SCORE, SCORE, SCORE), st.booleans()), min_size=1, max_size=9)


@settings(max_examples=60)
@given(PARTS, st.integers(0, 3), st.integers(0, 3))
def test_as_good_as_the_best_of_all(parts, most_missed, most_failed):
    scores = np.array([part for part, _ in parts])
    defective = np.array([bad for _, bad in parts])
    outcomes = every_outcome(scores, defective)
    cases = {
        "missed": ({"most_missed": most_missed}, lambda m, f: m <= most_missed, (1, 0)),
        "failed": ({"most_failed": most_failed}, lambda m, f: f <= most_failed, (0, 1)),
        "both": (
            {"most_missed": most_missed, "most_failed": most_failed},
            lambda m, f: m <= most_missed and f <= most_failed,
            (1, 0),
        ),
    }
    for limits, allowed, order in cases.values():
        choice = choose_class_thresholds(scores, defective, LOWEST, **limits)
        possible = [pair for pair in outcomes if allowed(*pair)]
        if choice is None:
            assert not possible
            continue
        found = outcome(scores, defective, choice.thresholds)
        assert found == (len(choice.missed), len(choice.failed))
        assert all(defective[n] for n in choice.missed)
        assert not any(defective[n] for n in choice.failed)
        assert found == min(possible, key=lambda pair: [pair[i] for i in order])
        assert (choice.thresholds <= 1).all()
        failing = [outcome([part], [False], choice.thresholds)[1] for part in scores]
        for column, threshold in zip(scores.T, choice.thresholds, strict=True):
            passing = max((s for s, f in zip(column, failing, strict=True) if not f), default=0)
            # Nothing that could be caught lies between the parts that pass and the threshold.
            assert not any(max(passing, 0.1) < score < threshold for score in column)


def test_halfway_and_as_low_as_can_be():
    scores = np.array([[0.9, 0.0, 0.0], [0.5, 0.4, 0.0], [0.3, 0.2, 0.0], [0.0, 0.0, 0.0]])
    defective = np.array([True, False, False, False])
    choice = choose_class_thresholds(scores, defective, np.array([0.1, 0.1, 0.1234]), most_missed=0)
    # 0.5 and 0.9; 0.4 and nothing above; no good part shows the third class at all.
    assert choice.thresholds.tolist() == [0.7, 0.7, 0.123]
    assert (choice.missed, choice.failed) == ([], [])


def test_a_part_without_a_region_cannot_be_caught():
    scores = np.array([[0.9, 0, 0], [0.0, 0, 0], [0.2, 0, 0]])
    defective = np.array([True, True, False])
    assert choose_class_thresholds(scores, defective, LOWEST, most_missed=0) is None
    assert choose_class_thresholds(scores, defective, LOWEST, most_missed=1).missed == [1]


def test_without_parts_every_region_counts():
    nothing = choose_class_thresholds(np.zeros((0, 3)), np.zeros(0, bool), LOWEST, most_missed=0)
    assert nothing.thresholds.tolist() == [0.1, 0.1, 0.1]
    assert (nothing.missed, nothing.failed) == ([], [])


def test_classes_help_each_other():
    # The weak score of the first class alone would fail the good part.
    scores = np.array([[0.2, 0.6, 0], [0.9, 0, 0], [0.3, 0.1, 0]])
    defective = np.array([True, True, False])
    choice = choose_class_thresholds(scores, defective, LOWEST, most_missed=0)
    assert (choice.missed, choice.failed) == ([], [])
    assert 0.1 < choice.thresholds[1] <= 0.6


@pytest.mark.parametrize(
    ("missed", "total", "limit", "needed"),
    [
        (0, 25, 0.01, 368),
        (0, 25, 0.138, 25),
        (0, 400, 0.01, 400),
        (0, 25, 0.0, None),
        (3, 25, 1.0, 25),
        (0, 0, 0.5, 6),
    ],
)
def test_parts_needed(missed, total, limit, needed):
    assert parts_needed(missed, total, limit) == needed


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(5, 60), st.sampled_from([0.5, 0.1, 0.03]))
def test_parts_needed_is_the_first_number_that_shows_it(missed, total, limit):
    needed = parts_needed(missed, total, limit)
    assert clopper_pearson(missed, needed)[1] <= limit
    if needed > total:
        assert clopper_pearson(missed, needed - 1)[1] > limit
