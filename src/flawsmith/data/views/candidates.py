"""Which pairs of images are worth a closer look, without looking at all of them.

Similar points are found by Hamming embedding: a visual vocabulary, an inverted file and a
signature of 64 bits a point (Jegou, Douze and Schmid, "Hamming embedding and weak geometric
consistency for large scale image search", 2008). Whole images that equal each other but for flips
and quarter turns are found by the correlation of thumbnails.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.views.features import THUMBNAIL_SIDE, Bytes, Floats, mirror_descriptors
from flawsmith.data.views.store import FeatureStore

Indices = NDArray[np.int64]

POINTS_INDEXED, LEAST_INDEXED = 2_560_000, 256
"""Points of all images that are indexed; in sets of over 10,000 images 256 of each."""

PER_IMAGE = 40
"""Most partners of an image that are looked at."""

ALWAYS = 8
"""Partners of an image that are looked at even if they do not stand out."""

_OUTSTANDING = 8.0  # times the distance from the median of the scores to their upper quartile
_LEAST_VOTES = 2.0
_WORDS = 4096
_POINTS_A_WORD = 40
_SAMPLE = 80_000
_ROUNDS = 6
_BITS = 64
_MAX_DISTANCE = 20  # of 64 bits; chance agreement is 0.2 %
_BLOCK_BYTES = 64 << 20
_SEED = 20080
_THUMBNAILS_A_BLOCK = 250
_POINTS_AT_ONCE = 65_536


@dataclass(frozen=True, order=True)
class Candidate:
    """Two images, ``first < second``; with ``mirrored`` the first one is flipped left to right."""

    first: int
    second: int
    mirrored: bool


class Vocabulary:
    """Visual words that are closed under mirroring, and the signature of a point in its word.

    Args:
        descriptors: sample, N x 128.
        words: wanted number, even.
    """

    def __init__(self, descriptors: Bytes, words: int) -> None:
        rng = np.random.default_rng(_SEED)
        sample = descriptors.astype(np.float32)
        centres = sample[np.sort(rng.choice(len(sample), words // 2, replace=False))]
        for _ in range(_ROUNDS):
            nearest = _nearest(sample, centres)
            order = np.argsort(nearest, kind="stable")
            counts = np.bincount(nearest, minlength=len(centres))
            filled = np.nonzero(counts)[0]
            starts = (np.cumsum(counts) - counts)[filled]
            sums = np.add.reduceat(sample[order], starts, axis=0)
            centres[filled] = sums / counts[filled, None]
        mirrored = centres.reshape(-1, 4, 4, 8)[:, ::-1][..., -np.arange(8) % 8]
        self._centres = np.concatenate([centres, mirrored.reshape(-1, 128)])
        basis = np.linalg.qr(rng.standard_normal((128, 128)))[0]
        self._projection = basis[:, :_BITS].astype(np.float32)

    def __len__(self) -> int:
        return len(self._centres)

    def words(self, descriptors: Bytes) -> Indices:
        """Return the nearest word of each descriptor."""
        return _nearest(descriptors, self._centres)

    def mirror_words(self, words: Indices) -> Indices:
        """Return the words of the mirrored descriptors."""
        return (words + len(self) // 2) % len(self)

    def project(self, descriptors: Bytes) -> Floats:
        """Return the N x 64 values whose signs, relative to the word's medians, are the bits."""
        return descriptors.astype(np.float32) @ self._projection


def _parts(count: int, size: int) -> Iterator[slice]:
    yield from (slice(start, min(start + size, count)) for start in range(0, count, size))


def _nearest(descriptors: NDArray[np.generic], centres: Floats) -> Indices:
    """Return the index of the nearest centre of each row, computed in pieces."""
    offsets = 0.5 * (centres**2).sum(1)
    result = np.empty(len(descriptors), np.int64)
    for part in _parts(len(descriptors), 4096):
        result[part] = (descriptors[part].astype(np.float32) @ centres.T - offsets).argmax(1)
    return result


class PointIndex:
    """Inverted file over the strongest points of all images."""

    def __init__(self, store: FeatureStore) -> None:
        self._count = len(store)
        images, rows = store.indexed(max(LEAST_INDEXED, POINTS_INDEXED // max(len(store), 1)))
        rng = np.random.default_rng(_SEED)
        chosen = np.sort(rng.permutation(len(images))[:_SAMPLE])
        words = int(np.clip(len(images) // _POINTS_A_WORD, 2, _WORDS)) // 2 * 2
        vocabulary = Vocabulary(store.descriptors[images[chosen], rows[chosen]], words)
        word = np.empty(len(images), np.int64)
        for part in _parts(len(images), _POINTS_AT_ONCE):
            word[part] = vocabulary.words(store.descriptors[images[part], rows[part]])
        order = np.argsort(word, kind="stable")  # within a word the images ascend
        self._images, rows = images[order], rows[order]
        self._starts = np.searchsorted(word[order], np.arange(len(vocabulary) + 1))
        self._flipped_word = vocabulary.mirror_words(np.arange(len(vocabulary)))
        self._bits = np.zeros((len(order), _BITS // 8), np.uint8)
        self._flipped_bits = np.zeros_like(self._bits)
        medians = np.zeros((len(vocabulary), _BITS), np.float32)
        filled = np.nonzero(np.diff(self._starts))[0]
        # Word by word: the descriptors of all points at once would double the memory.
        for w in filled:
            inside = slice(self._starts[w], self._starts[w + 1])
            values = vocabulary.project(store.descriptors[self._images[inside], rows[inside]])
            medians[w] = np.median(values, axis=0)
            self._bits[inside] = np.packbits(values > medians[w], axis=1)
        for w in filled:
            inside = slice(self._starts[w], self._starts[w + 1])
            flipped = mirror_descriptors(store.descriptors[self._images[inside], rows[inside]])
            above = vocabulary.project(flipped) > medians[self._flipped_word[w]]
            self._flipped_bits[inside] = np.packbits(above, axis=1)

    def scores(self) -> Iterator[tuple[int, Floats]]:
        """Yield the first image of a block and its scores, 2 x block x images.

        Row 0 is for the images as they are, row 1 for them mirrored. A point that hits h points
        gives each of their images 1 / sqrt(h): what is in every image says little.
        """
        block = max(1, _BLOCK_BYTES // (8 * self._count))
        for first in range(0, self._count, block):
            size = min(block, self._count - first)
            scores = np.zeros((2, size, self._count), np.float32)
            for word in range(len(self._starts) - 1):
                own = slice(self._starts[word], self._starts[word + 1])
                ends = np.searchsorted(self._images[own], [first, first + size]) + own.start
                if ends[0] == ends[1]:
                    continue
                asked = slice(ends[0], ends[1])
                self._vote(scores[0], asked, self._bits, word, first)
                self._vote(scores[1], asked, self._flipped_bits, self._flipped_word[word], first)
            yield first, scores

    def _vote(self, scores: Floats, asked: slice, bits: Bytes, word: int, first: int) -> None:
        there = slice(self._starts[word], self._starts[word + 1])
        if there.start == there.stop:
            return
        near = _signs(bits[asked]) @ _signs(self._bits[there]).T
        row, column = np.nonzero(near >= _BITS - 2 * _MAX_DISTANCE)
        asking, hit = self._images[asked][row], self._images[there][column]
        other = asking != hit
        row, asking, hit = row[other], asking[other], hit[other]
        weights = 1 / np.sqrt(np.maximum(np.bincount(row, minlength=1), 1))
        np.add.at(scores, (asking - first, hit), weights[row].astype(np.float32))


def _signs(bits: Bytes) -> Floats:
    signs: Floats = np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1
    return signs


def candidates_by_points(store: FeatureStore) -> set[Candidate]:
    """Return the pairs with the most similar points: up to `PER_IMAGE` of each image."""
    found: set[Candidate] = set()
    if len(store) < 2 or store.counts.sum() < 100:
        return found
    for first, scores in PointIndex(store).scores():
        for offset in range(scores.shape[1]):
            image = first + offset
            row = scores[:, offset].copy()
            row[:, image] = 0
            for mirrored, other in _outstanding(row):
                found.add(Candidate(min(image, other), max(image, other), mirrored))
    return found


def _outstanding(row: Floats) -> Iterator[tuple[bool, int]]:
    flat = row.ravel()
    # Quantiles, not moments: a holder in a third of the images must not raise the limit.
    middle, high = np.quantile(flat, [0.5, 0.75])
    limit = max(_LEAST_VOTES, float(middle + _OUTSTANDING * (high - middle)))
    ranked = np.argsort(-flat, kind="stable")[:PER_IMAGE]
    for rank, place in enumerate(ranked):
        if flat[place] <= 0 or (rank >= ALWAYS and flat[place] < limit):
            return
        yield place >= row.shape[1], int(place % row.shape[1])


def candidates_by_thumbnail(
    store: FeatureStore, *, least: float, per_image: int
) -> dict[Candidate, float]:
    """Return pairs whose thumbnails correlate in one of the eight flips and quarter turns.

    Args:
        store: the images.
        least: correlation from which a pair counts.
        per_image: the most partners of an image, the best first.
    """
    found: dict[Candidate, float] = {}
    count, side = len(store), THUMBNAIL_SIDE
    squares = store.thumbnails[:count].reshape(count, side, side)
    for part in _parts(count, _THUMBNAILS_A_BLOCK):
        best = np.full((2, part.stop - part.start, count), -1.0, np.float32)
        for flipped in (0, 1):
            block = squares[part, :, ::-1] if flipped else squares[part]
            for quarter in range(4):
                turned = np.rot90(block, quarter, axes=(1, 2)).reshape(len(block), -1)
                np.maximum(best[flipped], turned @ store.thumbnails[:count].T, out=best[flipped])
        for offset, image in enumerate(range(part.start, part.stop)):
            best[:, offset, image] = -1
            flat = best[:, offset].ravel()
            near = np.nonzero(flat >= least)[0]
            for place in near[np.argsort(-flat[near], kind="stable")][:per_image]:
                other = int(place % count)
                pair = Candidate(min(image, other), max(image, other), bool(place >= count))
                found[pair] = max(found.get(pair, -1.0), float(flat[place]))
    return found
