import math

import numpy as np
import pytest
from scipy import stats

from flawsmith.metrics import paired
from flawsmith.metrics.further import (
    Size,
    errors_needed,
    further,
    luck_limit,
    noise_variance,
)
from flawsmith.metrics.paired import Difference, compare

GAIN = 0.05
FIVE_FOLDS = Size(parts=50, folds=5, seeds=1)
CHI = 1.6488  # the 20 % quantile of chi squared with four degrees of freedom, from a table


def difference(parts, luck):
    error = max(parts, luck or 0)
    return Difference(0.02, -0.1, 0.1, error, parts_error=parts, luck_error=luck)


def test_errors_needed_are_those_of_a_table_of_powers():
    # d = 0.5 with 34 pairs has the noncentrality 2.915 and a power of 0.808, 33 are too few
    # (Faul et al., G*Power 3, Behavior Research Methods 39, 2007, and Cohen's tables).
    assert 0.5 * math.sqrt(33) < errors_needed(33) < 0.5 * math.sqrt(34)
    assert errors_needed(10**6) == pytest.approx(1.959964 + 0.841621, abs=1e-3)


@pytest.mark.parametrize("freedom", [2, 4, 9])
def test_errors_needed_give_the_power_in_simulated_t_tests(freedom):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (20_000, freedom + 1))
    values += errors_needed(freedom) / math.sqrt(freedom + 1)
    p = stats.ttest_1samp(values, 0, axis=1).pvalue
    assert np.mean((p <= 0.05) & (values.mean(axis=1) > 0)) == pytest.approx(0.8, abs=0.01)


def test_luck_is_taken_at_its_limit_and_without_the_parts():
    found = difference(0.02, 0.03)
    assert luck_limit(found, FIVE_FOLDS) == pytest.approx(0.03**2 * 4 / CHI - 0.02**2, rel=1e-4)
    assert luck_limit(difference(0.02, 0.01), FIVE_FOLDS) == 0
    seeds = Size(parts=50, folds=1, seeds=5)  # their spread has no parts in it
    assert luck_limit(found, seeds) == pytest.approx(0.03**2 * 4 / CHI, rel=1e-4)
    with pytest.raises(ValueError, match="luck in training is unknown"):
        luck_limit(found, Size(parts=50, folds=2, seeds=2))


def test_where_luck_is_small_parts_are_added():
    found = difference(0.03, 0.02)
    allowed, luck = (GAIN / errors_needed(4)) ** 2, 0.02**2 * 4 / CHI - 0.03**2
    assert 0 < luck < allowed / 2
    parts = math.ceil(50 * 0.03**2 / (allowed - luck))
    assert further(found, FIVE_FOLDS, GAIN) == Size(parts, 5, 1)


def test_where_luck_alone_is_too_much_seeds_are_added_and_no_parts():
    found = difference(0.008, 0.03)
    allowed, luck = (GAIN / errors_needed(4)) ** 2, 0.03**2 * 4 / CHI - 0.008**2
    assert luck > allowed > 2 * 0.008**2
    seeds = math.ceil(luck / (allowed - 0.008**2))
    assert further(found, FIVE_FOLDS, GAIN) == Size(50, 5, seeds)


def test_where_both_are_too_much_each_gets_half():
    found = difference(0.03, 0.06)
    allowed, luck = (GAIN / errors_needed(4)) ** 2, 0.06**2 * 4 / CHI - 0.03**2
    seeds = math.ceil(luck / (allowed / 2))
    parts = math.ceil(50 * 0.03**2 / (allowed - luck / seeds))
    assert further(found, FIVE_FOLDS, GAIN) == Size(parts, 5, seeds)
    # What luck does to single parts goes with the seeds.
    fewer = further(found, FIVE_FOLDS, GAIN, noise=0.8 * 0.03**2)
    assert fewer.seeds <= seeds
    assert fewer.parts < parts / 2
    # Holm's first step asks for more.
    assert further(found, FIVE_FOLDS, GAIN, tests=3).seeds > seeds


def test_a_test_that_is_large_enough_stays_as_it_is():
    assert further(difference(0.006, 0.006), FIVE_FOLDS, GAIN) == FIVE_FOLDS


def test_further_seeds_of_one_fold_lower_the_quantile_too():
    tested = Size(parts=50, folds=1, seeds=3)
    found = further(difference(0.001, 0.03), tested, GAIN)
    luck = luck_limit(difference(0.001, 0.03), tested)

    def enough(seeds):
        return luck * 3 / seeds + 0.001**2 <= (GAIN / errors_needed(seeds - 1)) ** 2

    assert enough(found.seeds)
    assert not enough(found.seeds - 1)


def test_without_three_folds_or_seeds_nothing_is_said():
    assert further(difference(0.03, None), Size(50, 2, 2), GAIN) is None


def shares(rng, parts, seeds, luck, noise):
    """Counts of one class of equal areas, whose pooled IoU is the mean share; real finds half."""
    fold = np.arange(parts) % 5
    per_part = rng.normal(0, noise / math.sqrt(seeds), parts)
    moved = rng.normal(0, luck / math.sqrt(seeds), 5)[fold] + per_part
    tables = [np.stack([s, 0 * s, 1 - s], axis=1)[:, None] for s in (0.5 + 0 * moved, 0.5 + moved)]
    tables[1][..., 0] += GAIN
    tables[1][..., 2] -= GAIN
    return (*tables, fold)


def test_noise_is_what_seeds_average_out():
    rng = np.random.default_rng(3)
    seeds = [shares(rng, 500, 1, 0.0, 0.2)[:2] for _ in range(4)]
    mean = [np.mean(tables, axis=0) for tables in zip(*seeds, strict=True)]
    parts = paired.parts_variance(*mean)
    assert parts == pytest.approx(0.2**2 / 4 / 500, rel=0.15)
    assert noise_variance(seeds, parts) == pytest.approx(parts, rel=0.15)
    same = [seeds[0]] * 4
    assert noise_variance(same, paired.parts_variance(*seeds[0])) < 0.2 * 0.2**2 / 500
    assert noise_variance(seeds[:1], parts) == 0


def test_what_is_said_to_be_enough_is_enough(monkeypatch):
    # Luck in training decides here, so the t test does; n (2.80 s / gain)² - n further parts, as
    # if luck went with the parts, are enough in every eighth test.
    monkeypatch.setattr(paired, "swap_test", lambda *given, **settings: 0.0)
    rng, seen = np.random.default_rng(0), []
    for _ in range(60):
        first = compare(*shares(rng, 60, 1, 0.08, 0.12), resamples=300).macro
        size = further(first, Size(60, 5, 1), GAIN)
        again = compare(*shares(rng, size.parts, size.seeds, 0.08, 0.12), resamples=300)
        seen.append(again.macro.low > 0 and again.luck_p <= 0.05)
    assert np.mean(seen) >= 0.8
