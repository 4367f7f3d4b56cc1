"""Escape and overkill against closed forms, brute force and simulated years."""

from collections import Counter
from datetime import date
from itertools import product

import numpy as np
import pytest

from flawsmith.line.results import Verdict
from flawsmith.line.reviews.escape import (
    Amount,
    Drawn,
    escape,
    interval,
    missed,
    overkill,
    sampled_share,
)
from flawsmith.line.reviews.second_stage import Cell, by_class, coverage, over_time, summarise
from flawsmith.metrics.intervals import clopper_pearson

PASS, REVIEW, FAIL = Verdict
DAY = date(2024, 1, 1)


def cell(verdict, final=None, rate=None, first=None, said=None, start=DAY):
    return Cell(start, verdict, rate, final, first, said)


def test_one_rate_gives_the_interval_of_clopper_and_pearson():
    for defective, decided in ((0, 25), (3, 40), (40, 40), (1, 1)):
        found = sampled_share({0.02: Drawn(decided=decided, defective=defective)})
        assert found.value == pytest.approx(defective / decided)
        assert (found.low, found.high) == pytest.approx(clopper_pearson(defective, decided))
    # 0 of n leaves 1 - 0.025^(1/n): 13.7 % of 25.
    assert sampled_share({0.5: Drawn(decided=25, defective=0)}).high == pytest.approx(
        1 - 0.025 ** (1 / 25)
    )


def test_two_rates_are_weighted_by_what_their_parts_stand_for():
    drawn = {0.5: Drawn(decided=4, defective=1), 0.1: Drawn(decided=2, defective=1)}
    found = sampled_share(drawn)
    share, size = 12 / 28, 28**2 / (4 * 4 + 100 * 2)
    assert found.value == pytest.approx(share)
    assert (found.low, found.high) == pytest.approx(interval(share * size, size))
    assert found.high - found.low > np.diff(clopper_pearson(2, 6))[0]  # weights cost precision


def test_without_an_audit_nothing_is_measured_and_what_is_known_bounds_it():
    share = sampled_share({})
    assert (share.value, share.low, share.high) == (None, 0, 1)
    amount = missed(100, share, known_defective=3, known_good=10)
    assert (amount.value, amount.low, amount.high) == (None, 3, 90)
    found = escape(amount, caught=7, decided=9, waiting=0)
    assert (found.value, found.low, found.high) == (None, 3 / 10, 90 / 97)


def test_a_passed_part_known_to_be_good_or_bad_is_never_estimated():
    share = sampled_share({1.0: Drawn(decided=50, defective=4)})
    amount = missed(50, share, known_defective=4, known_good=46)
    assert amount == Amount(value=4, low=4, high=4)
    assert escape(amount, caught=12, decided=20, waiting=0).value == 4 / 16


def test_the_intervals_hold_whatever_the_waiting_parts_are():
    amount = Amount(value=2.0, low=2.0, high=2.0)
    given = {"overturned": 3, "decided": 7, "waiting": 2}
    others = {"others": 1, "others_decided": 2, "others_waiting": 3}
    bounds = overkill(40, amount, **given, **others)
    missing = escape(amount, caught=5, decided=9, waiting=5)
    escapes, overkills = set(), set()
    for good_failed, good_doubtful in product(range(3), range(4)):
        defective = 5 + (2 - good_failed) + (3 - good_doubtful)
        escapes.add(2 / (2 + defective))
        good = 3 + good_failed
        overkills.add(good / (good + 1 + good_doubtful + 38))
    assert (missing.low, missing.high) == pytest.approx((min(escapes), max(escapes)))
    assert (bounds.low, bounds.high) == pytest.approx((min(overkills), max(overkills)))
    assert min(overkills) < bounds.value < max(overkills)


def test_shares_of_nothing():
    none = Amount(value=0.0, low=0.0, high=0.0)
    assert escape(none, caught=0, decided=0, waiting=0) is None
    assert overkill(0, none, overturned=0, decided=4, waiting=0) is None
    assert escape(none, caught=0, decided=0, waiting=4).value is None
    stages = summarise(Counter())
    assert (stages.parts, stages.escape, stages.overkill) == (0, None, None)
    assert over_time(Counter(), 1) == []
    assert by_class(Counter()) == []


def test_the_flow_of_figure_16():
    """Of 100 parts 72 pass, 28 are sent, 9 of them are overturned: 81 good, 19 defective."""
    cells = Counter({
        cell(PASS): 720, cell(FAIL, PASS): 60, cell(FAIL, FAIL, said="crack"): 190,
        cell(REVIEW, PASS): 30,
    })  # fmt: skip
    stages = summarise(cells)
    assert (stages.parts, stages.passed, stages.sent.parts) == (1000, 720, 280)
    assert (stages.sent.overturned, stages.sent.confirmed, stages.sent.waiting) == (90, 190, 0)
    assert (stages.final_good, stages.final_defective) == (810, 190)
    assert stages.escape.value is None
    assert stages.overkill.low == 60 / 810  # of the good parts if all that passed are good
    audited = cells + Counter({cell(PASS, PASS, 0.1): 70, cell(PASS, FAIL, 0.1, said="hole"): 2})
    audited[cell(PASS)] = 648
    stages = summarise(audited)
    assert stages.missed.value == pytest.approx(20)
    assert stages.escape.value == pytest.approx(20 / 210)
    assert stages.overkill.value == pytest.approx(60 / (90 + 700))
    assert stages.looked_at.value == pytest.approx(90 / (90 + 700))
    assert (stages.final_good, stages.final_defective) == (808, 192)
    low, high = clopper_pearson(2, 72)
    assert stages.escape.low == pytest.approx(720 * low / (720 * low + 190))
    assert stages.escape.high == pytest.approx(720 * high / (720 * high + 190))


def test_classes_are_those_of_persons_where_they_said_one():
    cells = Counter({
        cell(FAIL, FAIL, first="crack", said="hole"): 4, cell(FAIL, PASS, first="crack"): 6,
        cell(REVIEW, None, first="crack"): 2, cell(PASS, FAIL, 0.5, said="crack"): 3,
        cell(PASS, PASS, 0.5): 7, cell(PASS): 10, cell(PASS, FAIL, said="crack"): 1,
    })  # fmt: skip
    crack, hole = by_class(cells)
    assert (crack.name, crack.sent, crack.caught) == ("crack", 12, 0)
    assert (crack.overturned.count, crack.overturned.total) == (6, 10)
    assert (crack.missed_in_audit, crack.missed_otherwise) == (3, 1)
    # The interval of 3 of 10 begins below the four that are known; none is caught, two wait.
    assert 21 * clopper_pearson(3, 10)[0] < 4
    assert crack.escape.low == pytest.approx(4 / (4 + 2))
    assert crack.escape.high == 1
    assert (hole.sent, hole.caught, hole.overturned) == (0, 4, None)
    assert hole.escape.low == 0
    assert hole.escape.high == pytest.approx(
        min(21 * (1 - 0.025**0.1), 21 - 11) / (min(21 * (1 - 0.025**0.1), 21 - 11) + 4)
    )


def test_days_without_parts_are_shown_and_the_cover_of_the_audit_is_counted():
    late = date(2024, 1, 4)
    cells = Counter({cell(PASS, None, 0.25): 5, cell(PASS): 12, cell(FAIL, start=late): 1})
    spans = over_time(cells, 1)
    assert [(s.start.day, s.stages.parts) for s in spans] == [(1, 17), (2, 0), (3, 0), (4, 1)]
    total, deviation = coverage(cells)
    assert total == 20
    assert deviation == pytest.approx((5 * 0.75 / 0.0625) ** 0.5)
    assert coverage(Counter({cell(PASS): 3})) is None


def simulated_year(generator, rates, parts=20_000, defective=0.05, passed_anyway=0.1):
    """Return the cells of a year with a known number of missed parts, and its escape."""
    bad = generator.binomial(parts, defective)
    missed_parts = generator.binomial(bad, passed_anyway)
    stopped = generator.binomial(parts - bad, 0.08)
    cells = Counter({cell(FAIL, FAIL, said="x"): bad - missed_parts, cell(FAIL, PASS): stopped})
    good = parts - bad - stopped
    for share, portion in rates.items():
        for final, number in ((FAIL, missed_parts), (PASS, good)):
            here = generator.binomial(number, portion) if portion < 1 else number
            drawn = generator.binomial(here, share)
            cells[cell(PASS, final, share, said="x" if final is FAIL else None)] += drawn
            cells[cell(PASS)] += here - drawn
            if final is FAIL:
                missed_parts -= here
            else:
                good -= here
    return cells, bad


@pytest.mark.parametrize("rates", [{0.1: 1}, {0.2: 0.5, 0.06: 1}], ids=["one rate", "two rates"])
def test_the_true_escape_of_simulated_years_is_in_the_interval(rates):
    """Clopper-Pearson covers at least 95 %; here, with about ten misses drawn, 96 to 98 %."""
    generator = np.random.default_rng(6)
    covered, widths, errors = 0, [], []
    for _ in range(600):
        cells, bad = simulated_year(generator, rates)
        found = summarise(cells)
        truth = 1 - found.sent.confirmed / bad
        covered += found.escape.low <= truth <= found.escape.high
        widths.append(found.escape.high - found.escape.low)
        errors.append(found.escape.value - truth)
    assert 0.94 <= covered / 600 <= 0.995
    assert np.mean(widths) < 0.17  # an interval that says nothing would cover too
    assert (
        abs(np.mean(errors)) < 4 * np.std(errors) / 600**0.5 + 0.002
    )  # a ratio: bias of order 1/n
