"""What many images share: holders, logos, the design of the parts. It says nothing about a part."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from flawsmith.data.views.candidates import Candidate
from flawsmith.data.views.coverage import Flags
from flawsmith.data.views.store import FeatureStore
from flawsmith.data.views.verification import Agreement, agree

ALL_PAIRS = 64
"""Sets of up to so many images are compared image by image."""

_PANEL = 40
_PANEL_PARTNERS = _PANEL // 3
_REPRESENTATIVES = 6
_LEAST_COMMON, _MOST_COMMON = 8, 24
_CELLS = 8
_NEAR = 8.0  # working pixels
_SAME_SCALE = 0.1
_SEED = 40


@dataclass(frozen=True)
class Meeting:
    """A candidate whose points agree."""

    candidate: Candidate
    found: Agreement


def meet(
    store: FeatureStore,
    pairs: Iterable[Candidate],
    done: Callable[[int], object] = lambda count: None,
) -> list[Meeting]:
    """Return the candidates whose points agree.

    Args:
        store: the images.
        pairs: sorted candidates.
        done: called with the number of images whose candidates are finished.
    """
    meetings = []
    reached = 0
    for (first, mirrored), same in groupby(pairs, key=lambda c: (c.first, c.mirrored)):
        own = store.view(first, mirrored=mirrored)
        for candidate in same:
            found = agree(own, store.view(candidate.second))
            if found is not None:
                meetings.append(Meeting(candidate, found))
        done(first - reached)
        reached = first
    done(len(store) - reached)
    return meetings


def common_limit(images: int) -> int:
    """Return in how many other images a place may be found before it counts as common.

    A quarter of them, from 8 to 24: more views of one part are rarer than a holder, a logo or a
    design that all parts share.
    """
    return int(np.clip(images // 4, _LEAST_COMMON, _MOST_COMMON))


def common_points(store: FeatureStore, meetings: Sequence[Meeting], limit: int) -> dict[int, Flags]:
    """Return which points are common, for the images with more than ``limit`` partners.

    Partners that are mirrored or of another scale do not count: parts on a line are neither, but
    the copies that enlarge a data set are, and they may be many.

    A cell of an 8 x 8 grid is common if more than ``limit`` partners agree in it; a point in it
    if it agrees itself with several of them, or is near such a point. The others are scratches
    and grain that are the part's own.
    """
    partners: dict[int, list[np.ndarray]] = {}
    for meeting in meetings:
        if meeting.candidate.mirrored or abs(np.log(abs(meeting.found.turn))) > _SAME_SCALE:
            continue
        partners.setdefault(meeting.candidate.first, []).append(meeting.found.first)
        partners.setdefault(meeting.candidate.second, []).append(meeting.found.second)
    common = {}
    for image, agreeing in sorted(partners.items()):
        if len(agreeing) <= limit:
            continue
        points = store.points[image, : store.counts[image], :2]
        shape = np.array(store.shapes[image])
        cells = np.clip(points[:, ::-1] * _CELLS / shape, 0, _CELLS - 1).astype(int) @ [_CELLS, 1]
        of_cells, of_points = np.zeros(_CELLS * _CELLS, int), np.zeros(len(cells), int)
        for indices in agreeing:
            of_cells[np.unique(cells[indices])] += 1
            of_points[indices] += 1
        flags = (of_cells[cells] > limit) & (of_points > limit // 4)
        if flags.any():
            places = points[:, 0] + 1j * points[:, 1]
            common[image] = _near(places, places[flags])
    return common


def _near(places: np.ndarray, marked: np.ndarray) -> Flags:
    flags: Flags = (np.abs(places[:, None] - marked[None]) < _NEAR).any(1)
    return flags


def common_everywhere(store: FeatureStore) -> dict[int, Flags]:
    """Return which points show what a third of all images share.

    A panel of 40 images is compared image by image; what is common in it is then looked for in
    every image of the set.
    """
    rng = np.random.default_rng(_SEED)
    panel = np.sort(rng.choice(len(store), min(_PANEL, len(store)), replace=False)).tolist()
    pairs = [Candidate(a, b, False) for a, b in combinations(panel, 2)]
    of_panel = common_points(store, meet(store, pairs), _PANEL_PARTNERS)
    chosen = sorted(of_panel, key=lambda image: (-int(of_panel[image].sum()), image))
    common = dict(of_panel)
    for model in chosen[:_REPRESENTATIVES]:
        view = store.view(model)
        for image in range(len(store)):
            other = store.view(image)
            found = agree(view, other) if image != model else None
            if found is not None:
                moved = found.turn * view.places[of_panel[model]] + found.shift
                common[image] = common.get(image, False) | _near(other.places, moved)
    return common
