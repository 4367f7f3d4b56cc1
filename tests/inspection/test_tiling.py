import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.tiling import predict_tiled, tile_grid


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.data())
def test_grid_covers_every_pixel_and_stays_inside(height, width, tile, data):
    overlap = data.draw(st.integers(0, tile - 1))
    covered = np.zeros((max(height, tile), max(width, tile)), int)
    grid = tile_grid(height, width, tile, overlap)
    for y, x in grid:
        assert y + tile <= covered.shape[0]
        assert x + tile <= covered.shape[1]
        covered[y : y + tile, x : x + tile] += 1
    assert covered.min() >= 1
    assert len(set(grid)) == len(grid)


def test_grid_of_a_line_scan_image_has_the_known_number_of_tiles():
    assert len(tile_grid(2000, 5400, 512, 0)) == 44
    assert len(tile_grid(2000, 5400, 512, 32)) == 60
    assert tile_grid(512, 1000, 512, 0) == [(0, 0), (0, 488)]


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(2, 32),
    st.integers(1, 5),
    st.booleans(),
    st.data(),
)
def test_pointwise_predictor_gives_the_same_as_untiled(height, width, tile, batch, colour, data):
    overlap = data.draw(st.integers(0, tile - 1))
    shape = (height, width, 3) if colour else (height, width)
    image = np.random.default_rng(height * 71 + width).integers(0, 256, shape).astype(np.uint8)

    def predict(tiles):
        assert tiles.shape[1:3] == (tile, tile)
        assert len(tiles) <= batch
        grey = tiles.astype(np.float32).reshape(*tiles.shape[:3], -1).mean(axis=3) / 255
        return np.stack([1 - grey, grey**2], axis=1)

    grey = image.astype(np.float32).reshape(height, width, -1).mean(axis=2) / 255
    found = predict_tiled(image, predict, tile, overlap, batch)
    assert found.dtype == np.float32
    assert found.shape == (2, height, width)
    # Each of the tiles over a pixel may add one rounding of float32 to the blended score.
    tiles_over_a_pixel = (tile // (tile - overlap) + 2) ** 2
    atol = 1e-6 + tiles_over_a_pixel * np.finfo(np.float32).eps / 2
    np.testing.assert_allclose(found, np.stack([1 - grey, grey**2]), atol=atol)


def test_constant_predictor_is_reproduced():
    image = np.zeros((100, 77), np.uint16)

    def predict(tiles):
        planes = np.array([0.0, 0.3, 1.0], np.float32)[None, :, None, None]
        return np.broadcast_to(planes, (len(tiles), 3, 32, 32))

    found = predict_tiled(image, predict, 32, 10, 3)
    for plane, value in zip(found, (0.0, 0.3, 1.0), strict=True):
        np.testing.assert_allclose(plane, np.float32(value), rtol=2e-7)
    exact = predict_tiled(image, predict, 32, 0, 3)[1:2]
    inside = exact[:, :64, :32]  # under one tile alone
    assert (inside == np.float32(0.3)).all()


def test_seams_vanish_where_tiles_disagree():
    # Each tile gives its own constant: without blending the steps would be 1.
    image = np.zeros((32, 96), np.uint8)
    count = iter(range(100))

    def predict(tiles):
        return np.full((len(tiles), 1, 32, 32), next(count), np.float32)

    row = predict_tiled(image, predict, 32, 16, 1)[0, 0]
    assert row[0] == 0
    assert row[-1] == 4
    assert np.abs(np.diff(row)).max() <= 1 / 16 + 1e-6


def test_small_image_is_padded_by_reflection():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = []

    def predict(tiles):
        seen.append(tiles.copy())
        return tiles[:, None].astype(np.float32)

    found = predict_tiled(image, predict, 4, 1, 2)
    assert seen[0][0].tolist() == [[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]
    assert found[0].tolist() == image.tolist()


def test_wrong_settings_and_wrong_scores_are_errors():
    image = np.zeros((10, 10), np.uint8)
    with pytest.raises(FlawsmithError, match="overlap of 8 px"):
        tile_grid(10, 10, 8, 8)
    with pytest.raises(FlawsmithError, match="at least 1"):
        predict_tiled(image, lambda t: t[:, None], 8, 2, 0)
    with pytest.raises(FlawsmithError, match="0 x 10"):
        predict_tiled(image[:, :0], lambda t: t[:, None], 8, 2, 1)
    with pytest.raises(ValueError, match="shape"):
        predict_tiled(image, lambda t: t, 8, 2, 1)
