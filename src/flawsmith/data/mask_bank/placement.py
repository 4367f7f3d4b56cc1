"""Where in a layout a varied mask may go: never off the backgrounds that it covers in the data."""

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.mask_bank.instances import Habit, MaskInstance
from flawsmith.data.mask_bank.layouts import Layout
from flawsmith.data.mask_bank.shapes import Mask, Piece, heart

POSITION_JITTER = 0.05
PLACING_ATTEMPTS = 12


def place(
    instance: MaskInstance,
    habit: Habit,
    mask: Mask,
    layout: Layout,
    rng: np.random.Generator,
    occupied: Mask | None = None,
) -> Piece | None:
    """Return the whole mask in a place where it occurs, or None if it found none.

    Args:
        instance: where the mask was.
        habit: what of that is to be kept.
        mask: the varied mask, no larger than the layout.
        layout: where it goes.
        rng: everything random is drawn from it.
        occupied: H x W, where it must not go; then a place is tried for but not searched.
    """
    anchors = _anchors(instance, habit, layout, rng)
    if not len(anchors):
        return None
    room = np.array(layout.shape) - mask.shape
    corners = np.clip(anchors - heart(mask), 0, room)
    if layout.is_even and occupied is None:
        return Piece(mask, int(corners[0][0]), int(corners[0][1]))
    allowed = _lookup(instance.covers)
    for top, left in corners.tolist():
        box = (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
        free = allowed[layout.backgrounds[box]]
        if occupied is not None:
            free &= ~occupied[box]
        if free[mask].all():
            return Piece(mask, top, left)
    return None if occupied is not None else _search(mask, layout, allowed, anchors[0], rng)


def place_cut(
    instance: MaskInstance,
    habit: Habit,
    mask: Mask,
    layout: Layout,
    rng: np.random.Generator,
    anchor: tuple[int, int] | None = None,
) -> Piece:
    """Return the part of the mask that is on its backgrounds; at least its heart is.

    Args:
        instance: where the mask was.
        habit: what of that is to be kept.
        mask: the varied mask.
        layout: where it goes.
        rng: everything random is drawn from it.
        anchor: (y, x) of the heart; by default where it occurs.
    """
    if anchor is None:
        anchor = tuple(_anchors(instance, habit, layout, rng)[0].tolist())
    top, left = (place - own for place, own in zip(anchor, heart(mask), strict=True))
    rows, columns = layout.shape
    above, before = max(0, -top), max(0, -left)
    inside = mask[above : rows - top, before : columns - left]
    top, left = max(0, top), max(0, left)
    under = layout.backgrounds[top : top + inside.shape[0], left : left + inside.shape[1]]
    return Piece(inside & _lookup(instance.covers)[under], top, left, above, before)


def _anchors(
    instance: MaskInstance, habit: Habit, layout: Layout, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return random places for the heart of the instance, K x 2; none if it cannot be there."""
    kept = np.array([habit.keeps_height, habit.keeps_width])
    shape = np.array(layout.shape)
    if layout.is_even:
        if instance.background not in layout.present:
            return np.empty((0, 2), np.int64)
        anywhere = rng.random((PLACING_ATTEMPTS, 2))
        near = instance.position + rng.normal(0, POSITION_JITTER, (PLACING_ATTEMPTS, 2))
        places = (np.where(kept, near, anywhere) * shape).astype(np.int64)
        inside: NDArray[np.int64] = np.clip(places, 0, shape - 1)
        return inside
    under = layout.backgrounds[layout.places[:, 0], layout.places[:, 1]]
    weights = (under == instance.background).astype(np.float64)
    if habit.keeps_boundary or len(instance.covers) > 1:
        off = layout.distances - instance.boundary_distance
        right = np.abs(off) <= max(2.0, 0.25 * instance.boundary_distance)
        weights = weights * right if (weights * right).any() else weights
    else:
        weights[layout.num_even :] = 0
        off = (layout.places / shape - instance.position) / POSITION_JITTER
        far = np.square(off * kept).sum(axis=1)
        nearest = far[weights > 0].min(initial=np.inf)
        weights *= np.exp(0.5 * (nearest - far)) if np.isfinite(nearest) else 1.0
    if weights.any():
        chosen = rng.choice(len(weights), PLACING_ATTEMPTS, p=weights / weights.sum())
        sampled: NDArray[np.int64] = layout.places[chosen]
        return sampled
    # No sampled place shows the background: it is small, or not in this layout.
    everywhere: NDArray[np.int64] = np.argwhere(layout.backgrounds == instance.background)
    few = min(len(everywhere), PLACING_ATTEMPTS)
    return everywhere[rng.permutation(len(everywhere))[:few]]


def _search(
    mask: Mask, layout: Layout, allowed: Mask, anchor: NDArray[np.int64], rng: np.random.Generator
) -> Piece | None:
    """Return the mask in any place near the anchor where all of it is allowed, or None."""
    size = np.array(mask.shape)
    low = np.maximum(0, np.minimum(anchor - size, np.array(layout.shape) - size))
    high = anchor + size
    forbidden = ~allowed[layout.backgrounds[low[0] : high[0], low[1] : high[1]]]
    # The correlation counts the forbidden pixels under the mask, for every place at once.
    under = cv2.matchTemplate(forbidden.astype(np.float32), mask.astype(np.float32), cv2.TM_CCORR)
    corners = np.argwhere(under < 0.5)
    if not len(corners):
        return None
    top, left = (low + corners[int(rng.integers(len(corners)))]).tolist()
    return Piece(mask, top, left)


def _lookup(backgrounds: frozenset[int]) -> Mask:
    allowed = np.zeros(256, np.bool_)
    allowed[list(backgrounds)] = True
    return allowed
