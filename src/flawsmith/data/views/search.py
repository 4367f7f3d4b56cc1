"""From features to pairs: candidates, agreement, what is common to many images, verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from flawsmith.data.views.candidates import (
    Candidate,
    candidates_by_points,
    candidates_by_thumbnail,
)
from flawsmith.data.views.common import (
    ALL_PAIRS,
    Meeting,
    common_everywhere,
    common_limit,
    common_points,
    meet,
)
from flawsmith.data.views.coverage import Flags, coverage, pixels_agree
from flawsmith.data.views.grouping import ViewPair
from flawsmith.data.views.store import FeatureStore
from flawsmith.data.views.verification import MIN_INLIERS, Agreement

_LIKE_THUMBNAIL, _SAME_THUMBNAIL = 0.5, 0.95
_PARTNERS_BY_THUMBNAIL = 3
_FEW_POINTS = 40
_SURE_INLIERS = 10.0
_LEAST_SCORE = 0.6  # nine points spread evenly; fewer or crowded ones also agree by chance
_LEAST_RATE = 0.1  # of an image's own points, where others are left out
_CLEAR_INLIERS = 60


def candidates(store: FeatureStore) -> list[Candidate]:
    """Return the pairs to look at, sorted."""
    near = candidates_by_thumbnail(store, least=_LIKE_THUMBNAIL, per_image=_PARTNERS_BY_THUMBNAIL)
    pairs = candidates_by_points(store) | set(near)
    if len(store) <= ALL_PAIRS:
        pairs |= {Candidate(a, b, False) for a, b in combinations(range(len(store)), 2)}
    return sorted(pairs)


def judge(
    store: FeatureStore,
    names: Sequence[str],
    meeting: Meeting,
    common: Mapping[int, Flags],
) -> ViewPair | None:
    """Return the pair if what is the images' own agrees well enough all over, else None."""
    pair, found = meeting.candidate, meeting.found
    own = [
        ~common.get(image, np.zeros(store.counts[image], bool))
        for image in (pair.first, pair.second)
    ]
    kept = own[0][found.first] & own[1][found.second]
    least = MIN_INLIERS
    if not (own[0].all() and own[1].all()):
        least = max(least, _LEAST_RATE * min(own[0].sum(), own[1].sum()))
    if kept.sum() < least:
        return None
    found = Agreement(found.first[kept], found.second[kept], found.turn, found.shift)
    first, second = store.view(pair.first, mirrored=pair.mirrored), store.view(pair.second)
    covered = coverage(first, second, found, *own)
    if not covered.is_enough:
        return None
    pictures = (store.picture(pair.first, mirrored=pair.mirrored), store.picture(pair.second))
    shapes = (first.shape, second.shape)
    looks = [covered.empty] if covered.is_doubtful else []
    if len(found) < _CLEAR_INLIERS:
        looks.append(np.ones_like(covered.empty))
    if not all(pixels_agree(pictures, shapes, found, covered, cells) for cells in looks):
        return None
    score = 1 - math.exp(-len(found) * min(1.0, covered.cells) / _SURE_INLIERS)
    if score < _LEAST_SCORE:
        return None
    zoom = store.zooms[pair.first] / store.zooms[pair.second]
    turned = math.degrees(math.atan2(found.turn.imag, found.turn.real))
    scale = abs(found.turn) * zoom
    return ViewPair(
        first=names[pair.first],
        second=names[pair.second],
        inliers=len(found),
        score=round(score, 4),
        overlap=round(min(1.0, covered.share), 4),
        turned_degrees=round(turned, 2),
        scale=round(scale, 4),
        mirrored=pair.mirrored,
        kind=_kind(pair.mirrored, turned, scale, covered.share),
    )


def _kind(mirrored: bool, turned: float, scale: float, share: float) -> str:
    if mirrored:
        return "mirrored"
    if abs(turned) > 3:
        return "rotated"
    if abs(math.log(scale)) > 0.05:
        return "scaled"
    return "crop" if share < 0.85 else "exposure"


def pairs_by_points(
    store: FeatureStore, names: Sequence[str], done: Callable[[int], object]
) -> tuple[list[ViewPair], list[str]]:
    """Return the pairs whose points agree, and the images that look like many others.

    Args:
        store: the images.
        names: their names in the same order, sorted.
        done: called with the number of images whose candidates are finished.
    """
    meetings = meet(store, candidates(store), done)
    common = common_points(store, meetings, common_limit(len(store)))
    if len(store) > ALL_PAIRS:
        for image, flags in common_everywhere(store).items():
            common[image] = common.get(image, np.zeros_like(flags)) | flags
    best: dict[tuple[str, str], ViewPair] = {}
    for meeting in meetings:
        pair = judge(store, names, meeting, common)
        if pair is not None:
            key = (pair.first, pair.second)
            if key not in best or pair.inliers > best[key].inliers:
                best[key] = pair
    alike = [names[image] for image, flags in sorted(common.items()) if flags.mean() > 0.5]
    return list(best.values()), alike


def pairs_by_thumbnail(store: FeatureStore, names: Sequence[str]) -> list[ViewPair]:
    """Return the pairs of images with hardly a point that are the same when made small."""
    limit = common_limit(len(store))
    near = candidates_by_thumbnail(store, least=_SAME_THUMBNAIL, per_image=limit + 1)
    few = store.counts < _FEW_POINTS
    near = {p: value for p, value in near.items() if few[p.first] and few[p.second]}
    partners = np.bincount([i for p in near for i in (p.first, p.second)], minlength=len(store))
    return [
        ViewPair(
            first=names[pair.first],
            second=names[pair.second],
            inliers=0,
            score=round(min(1.0, value), 4),
            overlap=1.0,
            turned_degrees=0.0,
            scale=1.0,
            mirrored=pair.mirrored,
            kind="same when small",
        )
        for pair, value in near.items()
        if max(partners[pair.first], partners[pair.second]) <= limit
    ]
