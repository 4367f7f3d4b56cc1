"""Figures, limits and reasons against values worked out by hand."""

import numpy as np
import pytest

from flawsmith.data.schema import IGNORE, Schema, make_backgrounds, make_defects
from flawsmith.experiment.selection.facts import (
    CopyFigures,
    DefectFigures,
    ImageVerdict,
    Limits,
    RealDefect,
    TileFigures,
)
from flawsmith.experiment.selection.figures import (
    MARGIN,
    away_from_labels,
    judge,
    set_limits,
    tile_figures,
)
from flawsmith.inspection.thresholds import Thresholds

SCHEMA = Schema(
    name="t", backgrounds=make_backgrounds(["b"]), defects=make_defects(["crack", "stain"])
)


def test_figures_of_known_maps():
    defects = np.zeros((40, 40), np.uint8)
    defects[0:2, 0:4] = 1
    defects[0, 0] = IGNORE  # leaves 7 pixels of the crack
    scores = np.zeros((3, 40, 40), np.float32)
    scores[1, 0, 1:4] = 0.8  # 3 of 7 found
    scores[1, 1, 0:2] = 0.1
    scores[2, 1, 0:2] = 0.6  # 2 of 7 taken for a stain
    scores[2, 20:40] = 0.25  # half of the image, seen outside
    figures = tile_figures(scores, defects, Thresholds(pixel=[0.5, 0.5]), SCHEMA)
    [crack] = figures.defects
    assert crack.name == "crack"
    assert crack.probability == pytest.approx((3 * 0.8 + 2 * 0.1) / 7)
    assert crack.found == pytest.approx(3 / 7)
    assert crack.confused == pytest.approx(2 / 7)
    away = away_from_labels(defects)
    assert figures.outside == pytest.approx(0.25 * 800 / away.sum())


def test_margin_is_a_distance_and_counts_ignored_pixels():
    defects = np.zeros((41, 41), np.uint8)
    defects[20, 20] = IGNORE
    away = away_from_labels(defects)
    assert not away[20, 20 - MARGIN]
    assert away[20, 20 - MARGIN - 1]
    assert away[20 - MARGIN, 20 - MARGIN], "the margin is round"
    defects[:] = 1
    assert tile_figures(
        np.zeros((3, 41, 41), np.float32), defects, Thresholds(pixel=[0.5, 0.5]), SCHEMA
    ).outside is None  # fmt: skip


def real(name, probability, *, found=1.0, confused=0.0, outside=0.0, part="p"):
    figures = DefectFigures(name=name, probability=probability, found=found, confused=confused)
    return RealDefect(
        file_name="f", part=part, window=(0, 0, 1, 1), figures=figures, outside=outside
    )


def test_limit_is_the_kth_worst():
    items = [real("crack", i / 100, confused=i / 200, part=f"p{i % 3}") for i in range(1, 40)]
    limits = set_limits(items, "crack", 0.05)
    # k = 0.05 * 40 = 2
    assert (limits.probability, limits.confused) == (0.02, 0.19)
    assert limits.expected_share == pytest.approx(0.05)
    assert (limits.defects, limits.parts, limits.pooled) == (39, 3, False)
    assert limits.outside == 0.01, "a trace of doubt is no artefact"
    sure = [real("crack", 0.9) for _ in range(9)]
    assert set_limits(sure, "crack", 0.05).confused == 0.05
    few = set_limits(items[:5], "crack", 0.05)
    assert few.probability == 0.01, "the worst one, if there are few"
    assert few.expected_share == pytest.approx(1 / 6)


def test_limits_are_pooled_below_five():
    items = [real("crack", 0.5 + i / 10) for i in range(4)]
    items += [real("stain", 0.2 + i / 10, outside=None) for i in range(5)]
    assert set_limits(items, "stain", 0.05).pooled is False
    assert set_limits(items, "stain", 0.05).outside is None
    crack = set_limits(items, "crack", 0.05)
    assert crack.pooled
    assert crack.defects == 9
    assert crack.probability == 0.2


LIMITS = {
    "crack": Limits(probability=0.3, found=0.2, confused=0.1, outside=0.01, defects=9, parts=3,
                    pooled=False, expected_share=0.1),
}  # fmt: skip


def verdict(*, probability=0.3, found=0.2, confused=0.1, outside=0.01, untouched=None, copied=None):
    figures = DefectFigures(name="crack", probability=probability, found=found, confused=confused)
    copies = [] if copied is None else [
        CopyFigures(name="crack", nearest="r", ratio=0.1, ratio_limit=0.4, correlation=0.9,
                    copied=copied)
    ]  # fmt: skip
    return ImageVerdict(
        file_name="s", figures=TileFigures(defects=[figures], outside=outside),
        untouched=untouched, copies=copies,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"probability": 0.29}, ["not_recognised"]),
        ({"found": 0.19}, ["not_recognised"]),
        ({"probability": 0.1, "found": 0.1}, ["not_recognised"]),
        ({"confused": 0.11}, ["other_class"]),
        ({"outside": 0.02}, ["outside"]),
        ({"outside": 0.02, "untouched": False}, ["outside"]),
        ({"outside": 0.02, "untouched": True}, []),
        ({"outside": None}, []),
        ({"copied": False}, []),
        ({"copied": True}, ["copy"]),
        ({"probability": 0.0, "confused": 1.0}, ["not_recognised", "other_class"]),
    ],
)
def test_reasons(changes, codes):
    judged = judge(verdict(**changes), LIMITS, reject_copies=True)
    assert [reason.code for reason in judged.reasons] == codes
    assert judged.accepted is not bool(codes)


def test_copies_of_systems_that_are_shown_defects_are_kept():
    assert judge(verdict(copied=True), LIMITS, reject_copies=False).accepted
