import importlib.util
from pathlib import Path

import pytest

from flawsmith.experiment.benefit.facts import Change, ClassChange, Comparison
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.verdict import judge

HONESTY = Path(__file__).parents[3] / "benchmarks" / "benefit_honesty.py"


MADE = {name: (400, 400) for name in ("dbs_gan", "wide", "sure")}


def change(value, low, high):
    return Change(value=value, low=low, high=high, error=0.02)


def one_class(name, parts, *figures):
    return ClassChange(
        name=name, parts=parts, claimed=parts >= 10, real=0.3, arm=0.4, change=change(*figures)
    )


def comparison(macro=(0.08, 0.04, 0.12), holm=0.01, arm="dbs_gan", **values):
    given = {
        "arm": arm,
        "model": "fc_hardnet70",
        "mix": Mix(amount=0.25, schedule="mixed"),
        "pairs": 5,
        "folds": [0, 1, 2, 3, 4],
        "seeds": 1,
        "parts": 80,
        "defective": 50,
        "real": 0.3,
        "macro": 0.38,
        "change": change(*macro),
        "swap_p": holm,
        "luck_p": holm,
        "p": holm,
        "holm": holm,
        "classes": [
            one_class("crack", 12, 0.1, 0.02, 0.2),
            one_class("fray", 15, 0.09, 0.01, 0.2),
            one_class("break", 11, 0.0, -0.05, 0.05),
            one_class("spore", 3, 0.4, 0.1, 0.7),
        ],
        "escape": None,
        "overkill": None,
        "further_parts": 14,
        "further_seeds": 1,
    }
    return Comparison(**(given | values))


def test_gain_is_recommended_in_plain_words():
    verdict = judge([comparison()], MADE)
    assert verdict.add == "dbs_gan"
    assert verdict.headline == (
        "add 400 synthetic images per class from dbs_gan: macro IoU +0.080 [+0.040, +0.120]"
    )
    text = " ".join(verdict.sentences)
    assert (
        "IoU of each class with dbs_gan, described only: crack +0.100 [+0.020, +0.200] (n = 12), "
        "fray +0.090 [+0.010, +0.200] (n = 15), break +0.000 [-0.050, +0.050] (n = 11), "
        "spore +0.400 (n = 3)."
    ) in text
    assert not any(word in text for word in ("gain", "lose"))
    assert "50 of them defective" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"macro": (0.04, -0.01, 0.09)},
            "no gain could be shown with 50 defective test parts; about 14 more would be enough to "
            "see one of +0.05",
        ),
        (
            {"holm": 0.06, "further_parts": 1400, "further_seeds": 250},
            "; about 1,400 more, and 1,250 pairs of trainings instead of 5 (--seeds 250), would",
        ),
        (
            {"holm": 0.06, "further_parts": 0, "further_seeds": 3},
            "; about 15 pairs of trainings instead of 5 (--seeds 3), not more parts, would be",
        ),
        (
            {"holm": 0.06, "luck_p": None, "macro": (0.04, -0.01, 0.09), "further_parts": None},
            "50 defective test parts; how many are enough cannot be said before three folds or",
        ),
        ({"holm": 0.06}, "no gain could be shown"),
        ({"macro": (-0.08, -0.12, -0.04)}, "make the inspection model worse"),
        ({"macro": (0.01, -0.01, 0.03), "further_parts": 0}, "enough to see one of +0.05"),
        ({"luck_p": None, "pairs": 1, "folds": [0]}, "may have been lucky"),
    ],
)
def test_anything_else_is_not(given, words):
    verdict = judge([comparison(**given)], MADE)
    assert verdict.add is None
    assert verdict.headline.startswith("do not add synthetic images")
    assert words in verdict.headline


@pytest.mark.parametrize(("folds", "words"), [([0], "(1 fold)."), ([0, 1], "(2 folds).")])
def test_folds_are_counted_in_words(folds, words):
    verdict = judge([comparison(folds=folds, seeds=1)], MADE)
    assert any(sentence.endswith(words) for sentence in verdict.sentences)


def test_a_class_that_loses_for_certain_forbids_it():
    classes = [one_class("crack", 12, 0.3, 0.2, 0.4), one_class("break", 10, -0.1, -0.2, -0.03)]
    verdict = judge([comparison(classes=classes)], MADE)
    assert verdict.add is None
    assert "break loses" in verdict.headline
    few = [classes[0], one_class("break", 9, -0.1, -0.2, -0.03)]
    assert judge([comparison(classes=few)], MADE).add == "dbs_gan"


def test_best_lower_end_wins():
    arms = [comparison(arm="wide", macro=(0.2, 0.01, 0.4)), comparison(arm="sure")]
    assert judge(arms, MADE).add == "sure"


def test_nothing_is_recommended_while_trainings_are_missing():
    """Who looks after each of them would find a lucky moment more often than the rule allows."""
    verdict = judge([comparison()], MADE, missing=3)
    assert (verdict.add, verdict.tone) == (None, "open")
    assert verdict.headline == (
        "no verdict yet; so far dbs_gan gains macro IoU +0.080 [+0.040, +0.120]"
    )
    assert "3 trainings of this test are missing" in verdict.sentences[-1]
    nothing = judge([comparison(macro=(0.0, -0.1, 0.1), holm=1.0)], MADE, missing=1)
    assert nothing.headline.startswith("no verdict yet; so far no gain could be shown")
    assert judge([], MADE, missing=3).headline.startswith("no verdict yet: no pair")


def test_as_many_images_are_recommended_as_were_tested():
    verdict = judge([comparison()], {"dbs_gan": (159, 398)})
    assert verdict.headline.startswith("add 159 to 398 synthetic images per class from dbs_gan")


@pytest.fixture(scope="module")
def honesty():
    spec = importlib.util.spec_from_file_location("benefit_honesty", HONESTY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rule_rarely_recommends_what_does_not_help(honesty):
    # At a rate of 5 % more than 6 of 50 has a probability of 1.2 %; two arms test Holm too.
    rates = honesty.add_rate(honesty.World(luck=0.6, arms=2), 50)
    assert rates.add <= 6 / 50
    assert rates.over_parts_alone > rates.add
    assert abs(rates.difference) < 0.05


def test_rule_recommends_what_helps_much(honesty):
    rates = honesty.add_rate(honesty.World(gain=2.5, luck=0.1), 10)
    assert rates.difference > 0.2
    assert rates.add >= 0.9


def test_what_is_said_to_be_enough_is_tested_in_simulated_tests(honesty):
    kept = honesty.promise_rate(honesty.World(gain=0.38, folds=10, defective=100), 4)
    assert kept.pairs > 10  # further parts alone would never do
    assert kept.add >= 0.5
    assert abs(kept.difference - 0.05) < 0.03


def test_amounts_of_classes_are_told_by_name():
    mix = Mix(amount={"PCB crack": 0.5, "fray": 0.25, "break": 0.0}, schedule="mixed")
    verdict = judge([comparison(mix=mix)], MADE)
    assert verdict.headline.startswith("add 400 synthetic images of PCB crack and fray from")
    assert verdict.sentences[0].startswith(
        "Of the crops 50 % of PCB crack and 25 % of fray (of other classes none) are synthetic"
    )


def test_an_arm_that_uses_no_synthetic_image_is_told_so():
    mix = Mix(amount={"crack": 0.0}, schedule="mixed")
    verdict = judge([comparison(mix=mix, macro=(0.0, 0.0, 0.0), holm=1.0)], MADE)
    assert "none were used: it is real once more" in verdict.sentences[0]
