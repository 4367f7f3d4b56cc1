"""Control charts against closed forms, known shifts, and the rate of false alarms."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from line_facts import image, verdict
from scipy import stats

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.reviews.control_charts import ewma_chart, individuals_chart, share_chart
from flawsmith.line.reviews.drift import watch_drift
from flawsmith.line.reviews.drift_page import alarm_words, headline, notes
from flawsmith.line.store import Store
from flawsmith.line.store.tables import CounterRow, ImageRow, PartRow, RegionRow

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
PASS, REVIEW, FAIL = Verdict
CHARTS = ("individuals", "ewma")


def fill(store, count, seed=0, changed_from=None, **change):
    """Store parts, one a minute; from one on some of their figures are others."""
    rng = np.random.default_rng(seed)
    usual = {"fail": 0.1, "review": 0.05, "score": 0.8, "novelty": 0.4, "mean": 0.5, "spread": 0.1}
    parts, images, regions = [], [], []
    for n in range(1, count + 1):
        now = usual | (change if changed_from and n >= changed_from else {})
        draw = rng.random()
        value = REVIEW if draw < now["fail"] + now["review"] else PASS
        parts.append({
            "id": n, "key": str(n), "part": f"p{n}", "reasons": [], "hidden": [], "rules": "r",
            "verdict": (FAIL if draw < now["fail"] else value).value, "code_version": "0",
            "started_at": BEGIN, "finished_at": BEGIN + timedelta(minutes=n), "seconds": 0.0,
        })  # fmt: skip
        images.append({
            "id": n, "part_id": n, "position": 0, "path": "", "view": "", "sha256": "",
            "model": "m", "width": 9, "height": 9, "warnings": [], "seconds": {},
            "novelty_score": rng.normal(now["novelty"], 0.05),
            "mean": rng.normal(now["mean"], 0.01), "spread": rng.normal(now["spread"], 0.01),
        })  # fmt: skip
        regions.append({
            "image_id": n, "position": 0, "class_name": "crack", "area_px": 1, "length_px": 1.0,
            "score": rng.normal(now["score"], 0.02), "measures": {},
        })  # fmt: skip
    with store.transaction() as session:
        for table, rows in ((PartRow, parts), (ImageRow, images), (RegionRow, regions)):
            session.execute(sa.insert(table), rows)
        session.execute(sa.update(CounterRow).values(value=count))


def at(minute):
    return BEGIN + timedelta(minutes=minute)


def test_individuals_and_ewma_are_the_formulas():
    reference, watched = [1.0, 2.0, 4.0, 3.0], [2.0, 5.0]
    sigma, t = (1 + 2 + 1) / 3 / 1.128, stats.t.isf(stats.norm.sf(3), 0.62 * 3)
    for found, value in zip(individuals_chart(reference, watched), watched, strict=True):
        reach = t * sigma * 1.25**0.5
        assert (found.value, found.low, found.high) == pytest.approx(
            (value, 2.5 - reach, 2.5 + reach)
        )
    one, two = ewma_chart(reference, watched)
    first = 0.2 * 2 + 0.8 * 2.5
    assert (one.value, two.value) == pytest.approx((first, 0.2 * 5 + 0.8 * first))
    width = 2.962 * t / 3 * sigma
    assert one.high == pytest.approx(2.5 + width * (0.04 + 0.25) ** 0.5)  # i = 1: w^2
    assert two.high == pytest.approx(2.5 + width * (0.2 / 1.8 * (1 - 0.8**4) + 0.25) ** 0.5)


def test_with_a_long_reference_the_limits_are_those_of_the_book():
    reference = [1.0, 2.0] * 50_000
    assert individuals_chart(reference, [0.0])[0].high == pytest.approx(1.5 + 3 / 1.128, abs=1e-3)
    high = ewma_chart(reference, [1.5] * 100)[-1].high
    assert high == pytest.approx(1.5 + 2.962 / 1.128 / 3, abs=1e-3)  # sqrt(0.2 / 1.8) = 1/3


def test_shares_with_a_long_reference_have_the_binomial_limits():
    found = share_chart([10_000] * 1000, [0], 100_000)[0]  # 10 % of 1e8
    exact = stats.binom(100_000, 0.1)
    tail = stats.norm.sf(3)
    assert found.low == pytest.approx(exact.ppf(tail) / 100_000, abs=2e-5)
    assert found.high == pytest.approx(exact.isf(tail) / 100_000, abs=2e-5)


def test_one_failed_part_is_no_alarm_where_the_reference_had_none():
    expected = stats.betabinom(50, 0.5, 1000.5)
    assert expected.sf(0) > stats.norm.sf(3) > expected.sf(1)
    assert [limits.outside for limits in share_chart([0] * 20, [0, 1, 2], 50)] == [0, 0, 1]


def test_values_that_never_vary_alarm_on_a_change_but_not_on_rounding():
    chart = individuals_chart([0.3] * 20, [0.1 + 0.2, 0.31])
    assert [limits.outside for limits in chart] == [False, True]


def test_without_a_shift_the_charts_alarm_as_rarely_as_they_promise():
    """3 sigma: 0.27 % of the values; EWMA: one alarm in about 500; both with a long reference."""
    rng = np.random.default_rng(4)
    known, new = rng.normal(5, 2, 2000), rng.normal(5, 2, 20_000)
    singles = [limits.outside for limits in individuals_chart(known, new)]
    assert 0.0015 < np.mean(singles) < 0.004
    smooth = [limits.outside for limits in ewma_chart(known, new)]
    alarms = sum(now and not before for before, now in zip([False, *smooth], smooth, strict=False))
    assert 15 < alarms < 60
    short = [individuals_chart(*np.split(rng.normal(5, 2, 120), [20])) for _ in range(500)]
    assert 0.0015 < np.mean([limits.outside for chart in short for limits in chart]) < 0.0045
    for share in (0.001, 0.02, 0.3):
        counts = share_chart(rng.binomial(50, share, 200), rng.binomial(50, share, 20_000), 50)
        assert np.mean([limits.outside for limits in counts]) < 0.004


def test_a_known_shift_is_found_and_told_with_time_limit_and_advice(store):
    fill(store, 3000, changed_from=2001, mean=0.47, fail=0.3)
    report = watch_drift(store, reference_since=None, reference_until=at(1501), every=25)
    figures = {(alarm.figure, alarm.kind) for alarm in report.alarms}
    assert {("mean", "individuals"), ("mean", "ewma"), ("fail", "p")} <= figures
    alarm = next(a for a in report.alarms if (a.figure, a.kind) == ("mean", "individuals"))
    assert alarm.time == at(2025)  # the first subgroup that is all after the shift
    assert alarm.until == at(3000)
    assert alarm.points == 40
    assert alarm.value == pytest.approx(0.47, abs=0.01)
    assert 0.48 < alarm.low < 0.5
    assert "the lamp, the exposure" in alarm_words(alarm)
    assert "Brightness of the images (individuals): 0.4" in alarm_words(alarm)
    assert "Brightness of the images" in headline(report)
    early = [a for a in report.alarms if a.time <= at(2000)]
    assert len(early) <= 1  # 10 charts x 20 subgroups before the shift
    assert {a.figure for a in report.alarms} - {a.figure for a in early} <= {"mean", "fail"}


def test_a_small_shift_that_lasts_is_found_by_the_ewma_alone(store):
    fill(store, 3000, changed_from=2001, novelty=0.4 + 1.2 * 0.05 / 5)
    report = watch_drift(store, reference_since=None, reference_until=at(2001), every=25)
    alarms = [a for a in report.alarms if a.figure == "novelty"]
    first = next(a for a in alarms if a.kind == "ewma")
    assert at(2000) < first.time <= at(2000 + 25 * 15)
    outside = {kind: sum(a.points for a in alarms if a.kind == kind) for kind in CHARTS}
    assert outside["individuals"] <= 4 < 10 < outside["ewma"]


def test_a_line_that_stays_as_it_is_gives_no_more_alarms_than_expected(store):
    fill(store, 4000, seed=9)
    report = watch_drift(store, reference_since=None, reference_until=at(2501), every=25)
    assert {chart.figure for chart in report.charts} == {
        "fail", "review", "confidence", "novelty", "mean", "spread",
    }  # fmt: skip
    # 10 charts x 60 subgroups at 0.27 %: 1.6 expected, more than 6 has a chance of 0.1 %.
    assert len(report.alarms) <= 6
    assert notes(report) == []


def test_an_unstable_reference_and_figures_that_are_missing_are_told(store):
    fill(store, 1200, changed_from=600, mean=0.4)
    for n in range(1201, 1260):
        given = verdict(f"p{n}")
        store.record(given, [image(f"p{n}")])
    report = watch_drift(store, reference_since=None, reference_until=at(1201), every=25)
    said = " ".join(notes(report))
    assert "Brightness of the images (individuals): " in said
    assert "was not stable" in said
    assert "Highest novelty of a part: 0 parts have it since the reference" in said
    assert {len(chart.points) for chart in report.charts if chart.figure == "fail"} == {2}


def test_a_clock_that_jumps_moves_no_part_into_another_subgroup(url):
    with Store(url) as store:
        fill(store, 1100)
        with store.transaction() as session:
            for n in (1051, 1060, 1075):
                session.get(PartRow, n).finished_at = at(1_000_000 + n)
        report = watch_drift(store, reference_since=None, reference_until=at(1001), every=50)
    assert len(report.charts) == 10
    points = report.charts[0].points
    assert [(point.first, point.last) for point in points] == [(1001, 1050), (1051, 1100)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"every": 1}, "expected 2 to 100,000"),
        ({"every": 60}, r"has 1,000 parts; 20 subgroups of 60 are needed \(1,200 parts\)"),
        ({"since": at(500)}, "within the reference"),
        ({"reference_since": at(1001)}, "ends at"),
        ({"since": at(2000), "until": at(1900)}, "ends at"),
    ],
)
def test_wrong_periods_and_sizes(store, values, message):
    fill(store, 1000)
    usual = {"reference_since": None, "reference_until": at(1001)}
    with pytest.raises(FlawsmithError, match=message):
        watch_drift(store, **usual | values)
