"""Heat maps band by band are those of whole images; features are made up."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.heat_stream import HeatStream
from flawsmith.inspection.patchcore import BANDS, PatchCore

TILE, OVERLAP = 48, 16
RNG = np.random.default_rng(0)


def features(tiles):
    return [tiles[:, ::4, ::4].astype(np.float32)]


@pytest.fixture(scope="module")
def core():
    good = RNG.normal(100, 10, (6, TILE, TILE, 1)).astype(np.float32)
    core = PatchCore.fit([features(good)], bank_size=30, candidates=400, window=3, smoothing=2.0)
    expected = RNG.uniform([[0.0], [0.1]], [[0.01], [1.0]], (2, BANDS**2)).astype(np.float32)
    return replace(core, expected=expected)


def stream(core):
    def tile_heat(tiles):
        found = core.distances(features(tiles))
        return np.stack([cv2.resize(plane, (TILE, TILE))[None] for plane in found])

    return HeatStream(
        tile_heat, tile=TILE, overlap=OVERLAP, smoothing=core.smoothing, expected=core.expected
    )


def by_bands(core, image, heights):
    heat = stream(core)
    bands, y = [], 0
    while y < len(image):
        height = next(heights)
        bands.append(heat.add(image[y : y + height]))
        y += height
    return np.concatenate([*bands, heat.finish()])


@pytest.mark.parametrize("width", [5, 47, 100])
@pytest.mark.parametrize("height", [1, 2, 20, 33, 34, 49, 64, 65, 97, 130, 331])
def test_bands_give_what_the_whole_image_gives(core, height, width):
    image = RNG.integers(60, 140, (height, width, 1), np.uint8)
    whole = core.heat_map(image, features, tile=TILE, overlap=OVERLAP, batch_size=4)
    expected = core.excess(whole)
    assert expected.max() > 0.01
    for heights in (iter([height]), iter(lambda: 1, 0), iter(lambda: 37, 0)):
        found = by_bands(core, image, heights)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_rows_come_out_before_the_end_and_little_is_held(core):
    heat = stream(core)
    held, given = [], 0
    for _ in range(100):
        given += 40
        band = RNG.integers(60, 140, (40, 60, 1), np.uint8)
        given -= len(heat.add(band))
        held.append(given)
    assert max(held) <= 4 * TILE + 40
    assert len(heat.finish()) == given


@pytest.mark.parametrize("shape", [(0, 60, 1), (4, 61, 1), (4, 0, 1)])
def test_rows_that_do_not_fit_are_refused(core, shape):
    heat = stream(core)
    heat.add(np.zeros((4, 60, 1), np.uint8))
    with pytest.raises(FlawsmithError, match="60 pixels"):
        heat.add(np.zeros(shape, np.uint8))


def test_an_image_without_rows_is_no_good_one(core):
    with pytest.raises(FlawsmithError, match="without a row"):
        stream(core).finish()
