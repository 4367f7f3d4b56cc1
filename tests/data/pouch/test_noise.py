"""The noise of simulated cells: splines and textures."""

import numpy as np

from flawsmith.data.pouch.noise import Lattice, bank, cut, spline_basis


def test_spline_weights_sum_to_one_and_slope_is_the_derivative():
    coords = np.arange(0, 40, 0.25, dtype=np.float32)
    first, value, slope = spline_basis(coords, 7.0)
    assert first == 0
    np.testing.assert_allclose(value.sum(axis=1), 1, atol=1e-6)
    knots = np.random.default_rng(0).standard_normal(value.shape[1])
    numeric = np.gradient(value @ knots, 0.25)
    np.testing.assert_allclose(numeric[1:-1], (slope @ knots)[1:-1], atol=1e-3)


def test_noise_is_a_function_of_place():
    surface = Lattice.random(np.random.default_rng(1), (400, 600), (30.0, 50.0), 0.02)
    ys, xs = np.arange(300, dtype=np.float32), np.arange(500, dtype=np.float32)
    whole, part = surface.slopes(ys, xs), surface.slopes(ys[70:90], xs[200:260])
    for all_of_it, piece in zip(whole, part, strict=True):
        np.testing.assert_allclose(all_of_it[70:90, 200:260], piece, atol=1e-6)
    assert 0.005 < whole[0].std() < 0.06
    texture = bank().noise
    wrapped = cut(texture, 1020, -3, 8, 6)
    np.testing.assert_array_equal(wrapped[4:, 3:], texture[:4, :3])
    np.testing.assert_array_equal(wrapped[:4, :3], texture[-4:, -3:])
