"""Pairs of views and the groups they make."""

import math
from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from flawsmith.config import StrictModel

STRONG_SCORE = 0.9975
"""A pair that joins two groups alone: about 60 points all over the common area."""

_LINKED_SHARE = 0.2


class ViewPair(StrictModel):
    """Two images that show the same surface; the first is turned into the second.

    Attributes:
        first: name of an image, before the second in the alphabet.
        second: name of the other.
        inliers: points that agree; 0 where the pixels were compared instead.
        score: how sure it is.
        overlap: area that both show, relative to the larger image; 1 for whole copies.
        turned_degrees: rotation in (-180, 180], clockwise as seen, after mirroring.
        scale: pixels of the second per pixel of the first.
        mirrored: the first has to be flipped left to right before it is turned.
        kind: what differs, in a word or two.
    """

    first: str
    second: str
    inliers: int = Field(ge=0)
    score: float = Field(ge=0, le=1)
    overlap: float = Field(ge=0, le=1)
    turned_degrees: float = Field(ge=-180, le=180)
    scale: float = Field(gt=0)
    mirrored: bool
    kind: str


class SkippedImage(StrictModel):
    """An image that could not be compared, and why."""

    name: str
    reason: str


class Views(StrictModel):
    """What `find_views` found.

    Attributes:
        pairs: sorted by names; not every two images of a group are listed.
        skipped: images that could not be read.
        alike: images most of whose surface looks the same in many others (one design, one holder,
            one film); only what is their own was compared, so views of them may be missed.
    """

    pairs: list[ViewPair] = []
    skipped: list[SkippedImage] = []
    alike: list[str] = []

    def groups(self) -> list[list[str]]:
        """Return the images of each part that has two or more, sorted.

        Groups grow from the surest pairs to the least sure. Two groups that both have several
        images are joined by one strong pair or by several weak ones, at least two and a fifth of
        the images of the smaller group: chains of chance matches would make one group of all.
        """
        return group(self.pairs)


def group(pairs: Sequence[ViewPair]) -> list[list[str]]:
    """Return the groups that ``pairs`` make; see `Views.groups`."""
    ranked = sorted(pairs, key=lambda pair: (-pair.score, pair.first, pair.second))
    leader = {name: name for pair in ranked for name in (pair.first, pair.second)}
    members = {name: [name] for name in leader}

    def join(first: str, second: str) -> None:
        for name in members[second]:
            leader[name] = first
        members[first] += members.pop(second)

    waiting: list[ViewPair] = []
    for pair in ranked:
        a, b = sorted((leader[pair.first], leader[pair.second]))
        if a == b:
            continue
        if pair.score >= STRONG_SCORE or min(len(members[a]), len(members[b])) == 1:
            join(a, b)
        else:
            waiting.append(pair)
    while True:
        ends = [tuple(sorted((leader[pair.first], leader[pair.second]))) for pair in waiting]
        links = Counter((a, b) for a, b in ends if a != b)
        linked = sorted(
            (-count / _links_needed(len(members[a]), len(members[b])), a, b)
            for (a, b), count in links.items()
        )
        if not linked or linked[0][0] > -1:
            return sorted(sorted(names) for names in members.values() if len(names) > 1)
        join(*linked[0][1:])


def _links_needed(first: int, second: int) -> int:
    smaller = min(first, second)
    return 1 if smaller == 1 else max(2, math.ceil(_LINKED_SHARE * smaller))
