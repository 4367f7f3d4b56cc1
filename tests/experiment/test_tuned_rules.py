"""Acceptance rules from scored parts: what they decide, and what is said of them."""

import tomllib

import numpy as np
import pytest

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.tuned_rules import GROUPS, ScoredParts, to_text, tune_parts
from flawsmith.inspection.regions import Region
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.line.results import ImageInspection
from flawsmith.line.rules import AcceptanceRules
from flawsmith.line.rules.rule_file import parse_rules
from flawsmith.metrics.class_thresholds import choose_class_thresholds

SCHEMA = Schema(
    name="tiles",
    backgrounds=make_backgrounds(["tile"]),
    defects=make_defects(["crack", "hole of a kind"]),
)
THRESHOLDS = Thresholds(pixel=[0.1, 0.2], region=0.6)


def make_parts(bad, good, views=("a", "b")):
    scores = [*bad, *good]
    return ScoredParts(
        names=[f"part-{n}" for n in range(len(scores))],
        scores=[list(pair) for pair in scores],
        defective=[True] * len(bad) + [False] * len(good),
        views=[list(views)] * len(scores),
    )


def tune(parts, max_escape=0.0, max_overkill=None):
    return tune_parts(
        parts, SCHEMA, THRESHOLDS, max_escape=max_escape, max_overkill=max_overkill, name="try"
    )


def simulated(num_bad, num_good, seed=0):
    generator = np.random.default_rng(seed)
    bad = np.where(generator.random((num_bad, 2)) < 0.7, generator.beta(6, 2, (num_bad, 2)), 0)
    bad[:, 0] = np.maximum(bad[:, 0], 0.15)
    good = np.where(generator.random((num_good, 2)) < 0.3, generator.beta(2, 6, (num_good, 2)), 0)
    return bad.tolist(), good.tolist()


def decide(rules, scores):
    regions = [
        Region(
            class_id=n, class_name=SCHEMA.defects[n - 1].name, score=score, box=(0, 0, 1, 1),
            centroid=(0, 0), area_px=1, length_px=1, width_px=1, diameter_px=1.13,
        )
        for n, score in enumerate(scores, start=1)
        if score > 0
    ]  # fmt: skip
    views = [
        ImageInspection(
            image=view, sha256=view, part="p", view=view, model="m", width=9, height=9,
            regions=regions if view == "b" else [],
        )
        for view in ("a", "b")
    ]  # fmt: skip
    return rules.decide("p", views).verdict


def test_written_rules_decide_what_is_said():
    bad, good = simulated(30, 50)
    tuning = tune(make_parts(bad, good), max_escape=0.05)
    text = to_text(tuning)
    rules = AcceptanceRules(parse_rules(tomllib.loads(text), source="rules.toml"), SCHEMA)
    assert rules.content == tuning.content
    assert rules.expected_views == ("a", "b")
    passed = [decide(rules, scores) == "PASS" for scores in (*bad, *good)]
    assert sum(passed[:30]) == tuning.tuned.escape.count == len(tuning.missed) <= 1
    assert 50 - sum(passed[30:]) == tuning.tuned.overkill.count == len(tuning.failed)
    assert tuning.missed == [f"part-{n}" for n in range(30) if passed[n]]
    assert tuning.failed == [f"part-{n}" for n in range(30, 80) if not passed[n]]
    assert text.count("[[rules]]") == 1
    assert text.startswith("# ")


def test_figures_by_hand():
    bad = [(0.9, 0.0), (0.0, 0.8), (0.55, 0.0)]
    good = [(0.5, 0.0), (0.0, 0.3), (0.0, 0.0), (0.7, 0.0)]
    tuning = tune(make_parts(bad, good))
    assert tuning.content.thresholds == {"crack": 0.525, "hole of a kind": 0.55}
    assert tuning.failed == ["part-6"]
    assert (tuning.tuned.escape.count, tuning.tuned.overkill.count) == (0, 1)
    assert (tuning.before.escape.count, tuning.before.overkill.count) == (1, 1)
    tolerant = tune(make_parts(bad, good), max_escape=0.34)
    assert tolerant.missed == ["part-2"]
    assert tolerant.failed == []
    assert tolerant.content.thresholds["crack"] == 0.8


def test_parts_left_out_are_judged_by_the_others():
    bad, good = simulated(4, 6, seed=3)
    parts = make_parts(bad, good)
    scores, defective = parts.arrays()
    fails = []
    # Fewer parts than groups: a good and a defective part leave together.
    assert GROUPS > 6
    for place in range(6):
        rest = np.ones(10, bool)
        rest[[n for n in (place, 4 + place) if n != place or place < 4]] = False
        choice = choose_class_thresholds(
            scores[rest], defective[rest], np.array(THRESHOLDS.pixel), most_missed=0
        )
        hit = ((scores >= choice.thresholds) & (scores > 0)).any(axis=1)
        fails += [(n, hit[n]) for n in np.flatnonzero(~rest)]
    judged = np.array([hit for _, hit in sorted(fails)])
    tuning = tune(parts)
    assert tuning.left_out.escape.count == (defective & ~judged).sum()
    assert tuning.left_out.overkill.count == (~defective & judged).sum()


def test_what_cannot_be_shown_is_said():
    good = [(0.1, 0.0)] * 10
    said = tune(make_parts([(0.9, 0.0)] * 25, good), max_escape=0.01).statements
    assert said == [
        "Escape: at most 1 % of the defective parts missed cannot be shown with 25 parts: 0 missed "
        "still allows 13.7 %; it takes 368 parts, 343 more, with none missed."
    ]
    said = tune(make_parts([(0.9, 0.0)] * 368, good), max_escape=0.01, max_overkill=0.5).statements
    assert said == [
        "Shown for escape: at most 1 % of the defective parts missed, by 368 parts with 0 missed "
        "(95 % interval up to 0.997 %).",
        "Shown for overkill: at most 50 % of the good parts failed, by 10 parts with 0 failed "
        "(95 % interval up to 30.8 %).",
    ]
    said = tune(make_parts([(0.9, 0.0)] * 3, good), max_escape=0.0).statements
    assert said[0].endswith("0 missed still allows 70.8 %; no number of parts shows that.")
    said = tune(make_parts([(0.9, 0.0)] * 9 + [(0.0, 0.0)], good), max_escape=0.1).statements
    assert said[0].endswith(
        "1 missed still allows 44.5 %; it takes 54 parts, 44 more, with no further one missed."
    )
    said = tune(make_parts([(0.9, 0.0)], [], views=("a", "a"))).statements
    assert said[1] == "No validation part is good: nothing is known of overkill."
    assert said[2].startswith("The validation parts have different views (among them a), so no")


def test_limits_that_cannot_be_kept_are_refused():
    unseen = make_parts([(0.9, 0.0), (0.0, 0.0), (0.0, 0.0)], [(0.0, 0.0)])
    message = (
        r"no region at all in 2 of 3 defective validation parts \(part-1, part-2\).* escape below "
        r"66.7 %.*--max-escape 0.667"
    )
    with pytest.raises(FlawsmithError, match=message):
        tune(unseen, max_escape=0.01)
    assert tune(unseen, max_escape=0.667).missed == ["part-1", "part-2"]
    mixed = make_parts([(0.9, 0.0), (0.3, 0.0)], [(0.5, 0.0), (0.0, 0.0)])
    message = (
        r"escape within 0 % and overkill within 0 % on 2 defective and 2 good validation parts: "
        r"with that escape at least 1 good parts fail \(50 %\), with that overkill at least 1 "
        r"defective ones pass \(50 %\); allow one"
    )
    with pytest.raises(FlawsmithError, match=message):
        tune(mixed, max_overkill=0.0)
    with pytest.raises(FlawsmithError, match="none of 2 validation parts is defective"):
        tune(make_parts([], [(0.5, 0.0)] * 2))
