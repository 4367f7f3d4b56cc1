"""From pairs to groups: chains of weak pairs join nothing."""

import itertools

import pytest

from flawsmith.data.views import ViewPair, Views
from flawsmith.data.views.grouping import STRONG_SCORE, group


def pair(first: str, second: str, score: float = 1.0) -> ViewPair:
    return ViewPair(
        first=first,
        second=second,
        inliers=10,
        score=score,
        overlap=1.0,
        turned_degrees=0.0,
        scale=1.0,
        mirrored=False,
        kind="exposure",
    )


WEAK = STRONG_SCORE - 0.2


def test_strong_pairs_join_everything_they_link():
    assert Views(pairs=[pair("a", "b"), pair("c", "d"), pair("b", "c")]).groups() == [[*"abcd"]]


def test_no_pairs_make_no_groups():
    assert Views().groups() == []


def test_one_weak_pair_joins_an_image_but_not_two_groups():
    pairs = [pair("a", "b"), pair("c", "d"), pair("b", "c", WEAK), pair("d", "e", WEAK)]
    assert group(pairs) == [["a", "b"], ["c", "d", "e"]]


def test_two_weak_pairs_join_two_groups():
    pairs = [pair("a", "b"), pair("c", "d"), pair("b", "c", WEAK), pair("a", "d", WEAK)]
    assert group(pairs) == [[*"abcd"]]


def test_two_weak_pairs_do_not_join_groups_of_fifteen():
    names = [[f"{part}{i:02d}" for i in range(15)] for part in "ab"]
    pairs = [pair(*ends) for group_names in names for ends in itertools.pairwise(group_names)]
    few = [pair(names[0][i], names[1][i], WEAK) for i in range(2)]
    enough = [pair(names[0][i], names[1][i], WEAK) for i in range(3)]
    assert group(pairs + few) == names
    assert group(pairs + enough) == [names[0] + names[1]]


def test_two_weak_pairs_may_come_together_only_after_a_join():
    pairs = [pair(a, b) for a, b in ("ab", "cd", "ef")]
    pairs += [pair(a, b, WEAK) for a, b in ("bc", "ad", "de", "fa")]
    assert group(pairs) == [[*"abcdef"]]


def test_a_chain_of_weak_pairs_does_not_make_one_group():
    parts = [f"{i:02d}" for i in range(20)]
    pairs = [pair(f"{p}a", f"{p}b") for p in parts]
    pairs += [pair(f"{p}b", f"{q}a", WEAK) for p, q in itertools.pairwise(parts)]
    assert group(pairs) == [[f"{p}a", f"{p}b"] for p in parts]


@pytest.mark.parametrize("seed", range(5))
def test_order_of_pairs_does_not_matter(seed):
    import random

    scores = random.Random(seed)
    names = "abcdefghij"
    pairs = [
        pair(a, b, round(scores.uniform(0.5, 1), 2))
        for a, b in itertools.combinations(names, 2)
        if scores.random() < 0.25
    ]
    shuffled = scores.sample(pairs, len(pairs))
    assert group(shuffled) == group(pairs)
