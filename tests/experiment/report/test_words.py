"""The words of the report and the arithmetic of a line, against hand-computed values."""

import re

import pytest

from flawsmith.experiment.plant import PlantAssumptions, best_provable_share, plant_figures
from flawsmith.experiment.report.words import (
    judge,
    number,
    percent,
    power_words,
    rate_words,
    short_range,
)
from flawsmith.metrics.evaluation import Rate


@pytest.mark.parametrize(
    ("before", "after", "words", "tone"),
    [
        ((6, 1), (6, 1), "made no difference", "open"),
        ((2, 1), (4, 1), "No sign that x helped: the change is for the worse", "open"),
        ((2, 1), (1, 2), "No proof that x helped", "open"),
        ((20, 0), (1, 40), "A trade: with x fewer defective parts", "open"),
        ((1, 40), (20, 0), "A trade: with x more defective parts", "open"),
        ((20, 40), (1, 0), "X helped: fewer defects missed, fewer good", "better"),
        ((3, 40), (3, 0), "X helped: fewer good parts", "better"),
        ((3, 0), (2, 40), "X did harm: more good parts", "worse"),
    ],
)
def test_headline(
    before: tuple[int, int], after: tuple[int, int], words: str, tone: str, exact_rate
) -> None:
    pairs = [(exact_rate(e, 25), exact_rate(o, 50)) for e, o in (before, after)]
    verdict = judge(*pairs, "x")
    assert words in verdict.headline
    assert verdict.tone == tone


def test_volume_arithmetic_by_hand() -> None:
    assumptions = PlantAssumptions(
        volume=2_000_000, defect_ppm=1000, review_seconds=30, shifts_per_year=500
    )
    escape = Rate(count=1, total=10, low=0.05, high=0.4)
    overkill = Rate(count=2, total=100, low=0.01, high=0.05)
    figures = plant_figures(escape, overkill, assumptions)
    # 2,000 defective parts a year, 1,998,000 good ones.
    assert figures.escapes_per_year is not None
    assert figures.escapes_per_year.value == pytest.approx(200)
    assert figures.escapes_per_year.low == pytest.approx(100)
    assert figures.escapes_per_year.high == pytest.approx(800)
    assert figures.false_rejects_per_shift is not None
    assert figures.false_rejects_per_shift.value == pytest.approx(39_960 / 500)
    assert figures.false_rejects_per_shift.high == pytest.approx(99_900 / 500)
    minutes = figures.review_minutes_per_shift
    assert minutes is not None
    assert minutes.value == pytest.approx((39_960 + 1_800) / 500 * 0.5)
    assert minutes.low == pytest.approx((19_980 + 1_200) / 500 * 0.5)
    assert minutes.high == pytest.approx((99_900 + 1_900) / 500 * 0.5)
    assert plant_figures(None, overkill, assumptions).review_minutes_per_shift is None
    assert plant_figures(None, overkill, assumptions).escapes_per_year is None


def test_best_provable_share_is_the_exact_interval(exact_rate) -> None:
    for parts in (1, 25, 299, 5000):
        rate = exact_rate(0, parts)
        assert rate is not None
        assert best_provable_share(parts) == pytest.approx(rate.high)
    limit = int(re.search(r"takes (\d+) parts", power_words(25, 10)).group(1))
    assert best_provable_share(limit) <= 0.01 < best_provable_share(limit - 1)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.08, "8 %"), (0.137, "14 %"), (0.00984, "1 %"), (0.0949, "9.5 %"),
     (0.0004, "0.04 %"), (0.997, "99.7 %"), (0.99999, "99.9 %"), (1.0, "100 %")],
)  # fmt: skip
def test_percent(share: float, words: str) -> None:
    assert percent(share) == words


def test_number_keeps_two_digits() -> None:
    values = (0, 0.084, 0.84, 3.0, 3.24, 12.6, 101, 1302, 123_456)
    expected = ["0", "0.084", "0.84", "3", "3.2", "13", "100", "1,300", "120,000"]
    assert [number(v) for v in values] == expected


def test_rate_words(exact_rate) -> None:
    rate = exact_rate(2, 25)
    assert rate is not None
    words = rate_words(rate, "defective parts", "missed")
    assert words == "2 of 25 defective parts missed (8 %, between 1 % and 26 %)"
    assert short_range(rate) == "8 %, 1 to 26 %"
