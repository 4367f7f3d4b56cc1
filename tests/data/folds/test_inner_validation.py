"""Validation parts taken out of the training folds."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flawsmith.data.folds import inner_validation, part_defects, split_folds
from flawsmith.errors import FlawsmithError

NAMES = ("scratch", "dent", "pore")

# Parts given by their only defect (or none: good) and number of views.
single_class_lists = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES), max_size=1), st.integers(1, 4)),
    min_size=2,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(parts=single_class_lists, fold=st.integers(0, 1), seed=st.integers(0, 3))
def test_inner_validation_parts_are_apart_and_cover_the_classes(parts, fold, seed, from_parts):
    records = split_folds(from_parts(parts), 2)
    train, validation = inner_validation(records, fold, seed)
    outside = [r for r in records if r.fold != fold]
    assert sorted(r.file_name for r in train + validation) == sorted(r.file_name for r in outside)
    assert not {r.part for r in train} & {r.part for r in validation}
    per_class = Counter(defects for defects in part_defects(outside).values())
    held = Counter(defects for defects in part_defects(validation).values())
    for defects, count in per_class.items():
        expected = 0 if count < 2 else min(max(1, np.floor(0.2 * count + 0.5)), count - 1)
        assert held[defects] == expected
    assert (train, validation) == inner_validation(records, fold, seed)


def test_inner_validation_keeps_synthetic_images_in_training_and_drops_excluded_ones(
    record, from_counts
):
    real = split_folds(from_counts(scratch=10, good=10), 5)
    train, validation = inner_validation(real, 0, seed=1)
    parent = train[0].file_name
    made = record("made", labels=["scratch"], source="synthetic", parents=[parent])
    bad = record("made2", source="synthetic", excluded="filtered")
    with_made = inner_validation([made, *real, bad], 0, seed=1)
    assert with_made == ([made, *train], validation)
    hidden = [r.model_copy(update={"excluded": "x"}) if r == validation[0] else r for r in real]
    assert validation[0].file_name not in {
        r.file_name for rs in inner_validation(hidden, 0, seed=1) for r in rs
    }


def test_inner_validation_refuses_synthetic_images_of_test_parts(record, from_counts):
    real = split_folds(from_counts(scratch=10), 5)
    tested = next(r for r in real if r.fold == 2)
    made = record("made", source="synthetic", parents=[tested.file_name])
    with pytest.raises(FlawsmithError, match=f"part {tested.part} is in test fold 2"):
        inner_validation([*real, made], 2, seed=0)
    assert made in inner_validation([*real, made], 3, seed=0)[0]


def test_inner_validation_with_one_part_a_class_has_no_validation(record):
    real = [record("a", fold=0), record("b", fold=1), record("c", 0, ["dent"], fold=1)]
    train, validation = inner_validation(real, 0, seed=0)
    assert (train, validation) == (real[1:], [])


def test_inner_validation_needs_folds(from_counts):
    with pytest.raises(FlawsmithError, match=r"6 images .*and 3 more.* without a fold"):
        inner_validation(from_counts(scratch=3).records, 0, seed=0)
    with pytest.raises(FlawsmithError, match="there is no fold 7; the data set has 0, 1"):
        inner_validation(split_folds(from_counts(scratch=3), 2), 7, seed=0)
