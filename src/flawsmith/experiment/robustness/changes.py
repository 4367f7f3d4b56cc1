"""What a disturbance changes, paired over parts: the same parts undisturbed and disturbed.

`flawsmith.metrics.paired` compares two models on the same masks. Here there is one model, and
geometry changes the masks too, so the figures are resampled together over parts instead.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawsmith.experiment.robustness.facts import Cell, Change, PartFigures, VerdictChange
from flawsmith.metrics.intervals import CHUNK, bootstrap_parts
from flawsmith.metrics.paired import mcnemar
from flawsmith.metrics.segmentation import iou

RESAMPLES = 2000
MIN_PARTS = 2
Floats = NDArray[np.float64]
Pairs = Sequence[tuple[PartFigures, PartFigures]]


def pairs_of(reference: Cell, disturbed: Cell) -> list[tuple[PartFigures, PartFigures]]:
    """Return the parts that both cells tested, in the reference's order."""
    found = {part.part: part for part in disturbed.parts}
    return [(part, found[part.part]) for part in reference.parts if part.part in found]


def macro_change(pairs: Pairs) -> Change | None:
    """Return the change of macro IoU over the classes present in both; None without any."""
    if not pairs or not pairs[0][0].counts:
        return None
    counts = np.array([[a.counts, b.counts] for a, b in pairs], np.float64)

    def difference(sums: Floats) -> Floats:
        gap = iou(sums[:, 1]) - iou(sums[:, 0])
        present = ~np.isnan(gap)
        number = present.sum(axis=-1)
        total = np.where(present, gap, 0.0).sum(axis=-1)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    value = float(difference(counts.sum(axis=0)[None])[0])
    if np.isnan(value):
        return None
    # As for the figure itself: one part with a defect knows nothing of the next.
    shown = (counts[:, 0, :, 0] + counts[:, 0, :, 2]).sum(axis=1) > 0
    interval = bootstrap_parts(counts, difference, RESAMPLES) if shown.sum() >= MIN_PARTS else None
    return _change(value, (interval.low, interval.high) if interval else None)


def verdict_change(pairs: Pairs, *, defective: bool) -> VerdictChange | None:
    """Return the change of escape (defective parts) or of overkill (good ones)."""
    own = [(a, b) for a, b in pairs if a.defective == defective]
    if not own:
        return None
    wrong = np.array([[a.fails != defective, b.fails != defective] for a, b in own], np.float64)
    gap = wrong[:, 1] - wrong[:, 0]
    interval = bootstrap_parts(
        np.stack([gap, np.ones_like(gap)], axis=1), lambda sums: sums[:, 0] / sums[:, 1], RESAMPLES
    )
    newly_wrong, newly_right = int((gap > 0).sum()), int((gap < 0).sum())
    return VerdictChange(
        value=float(gap.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        newly_wrong=newly_wrong,
        newly_right=newly_right,
        p=mcnemar(newly_wrong, newly_right),
    )


def auroc_change(pairs: Pairs, seed: int = 0) -> Change | None:
    """Return the change of the area under the ROC curve of the parts' scores.

    The area is the share of (defective, good) pairs in which the defective part scores higher,
    ties counting half; a resample weighs the pairs by how often both parts were drawn.
    """
    bad = [pair for pair in pairs if pair[0].defective]
    good = [pair for pair in pairs if not pair[0].defective]
    if not bad or not good:
        return None
    gap = _wins(bad, good, 1) - _wins(bad, good, 0)
    value = float(gap.mean())
    if min(len(bad), len(good)) < MIN_PARTS:
        return _change(value, None)
    generator = np.random.default_rng(seed)
    parts, drawn = len(pairs), []
    for start in range(0, RESAMPLES, CHUNK):
        size = min(CHUNK, RESAMPLES - start)
        weights = generator.multinomial(parts, np.full(parts, 1 / parts), size=size)
        first, second = weights[:, : len(bad)], weights[:, len(bad) :]
        total = first.sum(axis=1) * second.sum(axis=1)
        sums = ((first @ gap) * second).sum(axis=1)
        drawn.append(sums[total > 0] / total[total > 0])
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return _change(value, (float(low), float(high)))


def _wins(bad: Pairs, good: Pairs, side: int) -> Floats:
    """Return defective x good: 1 where the defective part scores higher, a half for a tie."""
    first = np.array([pair[side].score for pair in bad])[:, None]
    second = np.array([pair[side].score for pair in good])[None]
    return np.asarray((first > second) + 0.5 * (first == second), np.float64)


def _change(value: float, interval: tuple[float, float] | None) -> Change:
    low, high = interval or (None, None)
    return Change(value=value, low=low, high=high)
