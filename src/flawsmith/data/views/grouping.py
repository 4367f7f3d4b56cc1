"""Pairs of views and the groups they make."""

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from flawsmith.config import StrictModel

STRONG_SCORE = 0.9
"""A pair that may join two groups alone; a weaker one needs a second pair beside it."""


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
        images are joined by one strong pair or by two weak ones, never by a single weak pair:
        chains of chance matches would make one group of all.
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
        between = Counter(tuple(sorted((leader[p.first], leader[p.second]))) for p in waiting)
        doubly = sorted(ends for ends, count in between.items() if count > 1 and len(set(ends)) > 1)
        if not doubly:
            return sorted(sorted(names) for names in members.values() if len(names) > 1)
        join(*doubly[0])
