import pytest

from flawsmith.config import apply_overrides
from flawsmith.experiment.benefit.mix import Mix, Tried, best_mix, best_of_each


def tried(amount, value, schedule="mixed", **classes):
    mix = None if amount is None else Mix(amount=amount, schedule=schedule)
    return Tried(mix=mix, value=value, classes=classes)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0.25, "25 % of each class's crops"),
        ({"crack": 0.5, "fray": 0.0}, "of the crops 50 % of crack (of other classes none)"),
        ({"crack": 0.5, "fray": 1.0}, "of the crops 50 % of crack and 100 % of fray"),
        ({"crack": 0.0, "fray": 0.0}, "no crops of any class"),
    ],
)
def test_amounts_are_told_in_words(amount, words):
    assert Mix(amount=amount, schedule="mixed").words() == words


def test_settings_hold_any_name_of_a_class():
    amount = {'say "ah" = 1': 0.5, "圆形 缺陷": 0.0}
    values = apply_overrides({}, Mix(amount=amount, schedule="first").overrides())
    assert values == {"data": {"synthetic_share": amount, "synthetic_until": 0.7}}


def test_best_mix_is_the_smaller_of_equals_and_real_is_none():
    runs = [tried(None, 0.9), tried(0.5, 0.4), tried(0.25, 0.4), tried(1.0, None)]
    runs += [tried(0.25, 0.4, "first")]
    assert best_mix(runs, ["mixed", "first"]) == Mix(amount=0.25, schedule="mixed")
    assert best_mix([tried(0.5, None)], ["mixed"]) is None


def test_each_class_takes_what_is_best_for_itself():
    runs = [
        tried(None, 0.3, crack=0.2, fray=0.4, same=0.1),
        tried(0.25, 0.3, crack=0.5, fray=0.1, same=0.1),
        tried(1.0, 0.3, crack=0.3, fray=0.3),
    ]
    # Where all runs are alike nothing was learned: the usual amount.
    expected = {"crack": 0.25, "fray": 0.0, "same": 0.25, "absent": 0.25}
    assert best_of_each(runs, list(expected)) == expected
    combined = tried({"crack": 0.25, "fray": 0.0}, 0.9, crack=0.1, fray=0.9, same=0.9)
    assert best_of_each([*runs, combined], list(expected)) == expected
