"""Images out of focus or badly exposed, against the others of the same data set."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import Finding
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import Schema

Floats = NDArray[np.float64]

LEAST_IMAGES = 20
"""Fewer images of a view (or of the set) do not show what is usual."""

_SPOTS, _SPOT = 8, 256
_WHOLE = 1 << 22
_LEAST_SIDE = 24
_LITTLE = 1e-4  # of a squared grey level
# Calibrated with benchmarks/check_findings.py.
_BLURRED_Z, _BLURRED_LOG = 4.5, 0.5
_CLIPPED_SHARE, _CLIPPED_SPREADS = 0.1, 5.0


@dataclass(frozen=True)
class Quality:
    """How sharp an image is and how much of it is clipped.

    Attributes:
        sharpness: natural logarithm of the share that the finest details (under 3 px) have in the
            local contrast (under 9 px); None for a tiny image.
        white: share of values at the white level or above.
        black: share of values at the black level or below.
    """

    file: str
    view: str
    sharpness: float | None
    white: float
    black: float


def measure(file: str, view: str, pixels: ImageArray, schema: Schema) -> Quality:
    """Return the quality of an image; of one over 4 million pixels, of 64 spots all over it."""
    full = int(np.iinfo(pixels.dtype).max)
    white = min(schema.white_level, full)
    return Quality(
        file=file,
        view=view,
        sharpness=_sharpness(pixels),
        white=np.count_nonzero(pixels >= white) / pixels.size,
        black=np.count_nonzero(pixels <= schema.black_level) / pixels.size,
    )


def _sharpness(pixels: ImageArray) -> float | None:
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return None
    fine, coarse = 0.0, 0.0
    for spot in _spots(pixels):
        grey = spot if spot.ndim == 2 else cv2.cvtColor(spot, cv2.COLOR_RGB2GRAY)
        values = grey.astype(np.float32)
        rim = slice(1, -1)
        smooth = cv2.blur(values, (3, 3))
        fine += cv2.norm(values[rim, rim], smooth[rim, rim], cv2.NORM_L2SQR) / values.size
        side = (values.shape[1] // 3, values.shape[0] // 3)
        small = cv2.resize(values, side, interpolation=cv2.INTER_AREA)
        smooth = cv2.blur(small, (3, 3))
        coarse += cv2.norm(small[rim, rim], smooth[rim, rim], cv2.NORM_L2SQR) / small.size
    # The small amount makes a flat image count as sharp: it has nothing to be sharp about.
    return float(np.log((fine + _LITTLE) / (fine + coarse + _LITTLE)))


def _spots(pixels: ImageArray) -> Iterator[ImageArray]:
    height, width = pixels.shape[:2]
    if height * width <= _WHOLE:
        yield pixels
        return
    for y in np.linspace(0, max(0, height - _SPOT), _SPOTS).astype(int):
        for x in np.linspace(0, max(0, width - _SPOT), _SPOTS).astype(int):
            yield pixels[y : y + _SPOT, x : x + _SPOT]


def outliers(qualities: Sequence[Quality]) -> list[Finding]:
    """Return the images that are much less sharp or far more clipped than others of their view."""
    views: dict[str, list[Quality]] = {}
    for quality in qualities:
        views.setdefault(quality.view, []).append(quality)
    found: list[Finding] = []
    for view, group in views.items():
        if len(group) >= LEAST_IMAGES:
            of = f"view {view}" if view else "the set"
            found += _blurred(group, of)
            found += _clipped(group, of)
    return found


def _blurred(group: Sequence[Quality], of: str) -> Iterator[Finding]:
    known = [(quality, quality.sharpness) for quality in group if quality.sharpness is not None]
    if len(known) < LEAST_IMAGES:
        return
    values = np.array([sharpness for _, sharpness in known])
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - median)))
    limit = median - max(_BLURRED_LOG, _BLURRED_Z * spread)
    for quality, value in known:
        if value < limit:
            yield Finding(
                kind="out_of_focus",
                file=quality.file,
                message=f"the finest details make up {_percent(np.exp(value))} of the local "
                f"contrast; the median of {of} is {_percent(np.exp(median))}",
            )


def _clipped(group: Sequence[Quality], of: str) -> Iterator[Finding]:
    ends: list[tuple[str, Callable[[Quality], float]]] = [
        ("white", lambda quality: quality.white),
        ("black", lambda quality: quality.black),
    ]
    for name, share in ends:
        values = np.array([share(quality) for quality in group])
        median, high = np.quantile(values, [0.5, 0.9])
        # Shares crowd at 0 with a long tail, where a z from the median means nothing.
        limit = max(median + _CLIPPED_SHARE, high + _CLIPPED_SPREADS * (high - median))
        for quality, value in zip(group, values, strict=True):
            if value > limit:
                yield Finding(
                    kind="badly_exposed",
                    file=quality.file,
                    message=f"{_percent(value)} of it is {name}; the median of {of} is "
                    f"{_percent(median)}",
                )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
