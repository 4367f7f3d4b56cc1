"""The memory bank against plain arithmetic; features are made up."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from sklearn.neighbors import NearestNeighbors

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.patchcore import (
    BANDS,
    PRIOR,
    BorderStatistics,
    PatchCore,
    Reservoir,
    border_cells,
    k_center,
    parts_needed,
    patch_features,
)

RNG = np.random.default_rng(0)


def maps(count=3):
    return [
        RNG.standard_normal((count, 8, 8, 5)).astype(np.float32),
        RNG.standard_normal((count, 4, 4, 7)).astype(np.float32),
    ]


def fit(batches, **changes):
    settings = {"bank_size": 40, "candidates": 400, "window": 3, "smoothing": 1.0} | changes
    return PatchCore.fit(batches, **settings)


def test_patches_are_neighbourhood_means_on_the_finest_grid():
    fine, coarse = maps()
    patches = patch_features([fine, coarse], 3)
    assert patches.shape == (3, 8, 8, 12)
    expected = uniform_filter(fine, (1, 3, 3, 1), mode="nearest")
    np.testing.assert_allclose(patches[..., :5], expected, atol=1e-5)
    flat = patch_features([fine, np.ones_like(coarse)], 3)
    np.testing.assert_allclose(flat[..., 5:], 1.0, atol=1e-6)


def test_bank_covers_better_than_a_random_choice():
    points = np.concatenate([RNG.normal(0, 0.1, (980, 2)), RNG.normal(5, 0.1, (20, 2))]).astype(
        np.float32
    )
    chosen = k_center(points, 10)
    assert len(set(chosen.tolist())) == 10
    assert (chosen >= 980).any()

    def radius(bank):
        return NearestNeighbors(n_neighbors=1).fit(bank).kneighbors(points)[0].max()

    random = [points[RNG.choice(1000, 10, replace=False)] for _ in range(20)]
    assert radius(points[chosen]) < min(radius(bank) for bank in random)


def test_greedy_choice_on_a_line():
    line = np.array([[0.0], [1.0], [4.0], [5.0], [10.0]], np.float32)
    assert k_center(line, 3).tolist() == [2, 4, 0]  # mean 4; then 6 away, then 4 away
    assert k_center(line, 9).tolist() == [0, 1, 2, 3, 4]


def test_equal_points_are_not_chosen_twice():
    assert len(set(k_center(np.ones((6, 80), np.float32), 4).tolist())) == 4


def test_reservoir_is_bounded_and_even():
    reservoir = Reservoir(500, seed=1)
    for start in range(0, 10_000, 250):
        reservoir.add(np.arange(start, start + 250, dtype=np.float32)[:, None])
        assert len(reservoir.rows) <= 500
    rows = reservoir.rows[:, 0]
    assert len(set(rows.tolist())) == 500
    assert abs(rows.mean() - 5000) < 4 * 10_000 / np.sqrt(12 * 500)


def test_distances_are_those_to_the_nearest_neighbour():
    core = fit([maps(), maps()])
    assert core.bank.shape == (40, 12)
    query = maps(2)
    rows = ((patch_features(query, 3) - core.mean) / core.deviation).reshape(-1, 12)
    expected = NearestNeighbors(n_neighbors=1).fit(core.bank).kneighbors(rows)[0]
    found = core.distances(query).reshape(-1)
    np.testing.assert_allclose(found, expected[:, 0] / np.sqrt(12), atol=1e-4)


def test_learned_patches_have_no_distance():
    batch = maps()
    core = fit([batch], bank_size=10_000, candidates=10_000)
    assert core.distances(batch).max() < 1e-3


def test_heat_map_shows_where_the_stranger_is():
    def features(tiles):
        return [tiles[:, ::2, ::2].astype(np.float32)]

    good = RNG.normal(0, 0.1, (4, 32, 32, 1)).astype(np.float32)
    core = fit([features(good)])
    image = RNG.normal(0, 0.1, (70, 50, 1)).astype(np.float32)
    image[40:48, 20:28] = 3.0
    heat = core.heat_map(image, features, tile=32, overlap=8, batch_size=4)
    assert heat.shape == (70, 50)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 38 <= y < 50
    assert 18 <= x < 30


def test_scores_are_a_half_at_the_scale():
    core = PatchCore(np.zeros((1, 1)), np.zeros(1), np.ones(1), 3, 1.0, scale=2.0)
    good, anomalous = core.scores(np.array([[-1.0, 0.0, 2.0, 4.0]], np.float32))
    np.testing.assert_allclose(anomalous, [[0.0, 0.0, 0.5, 0.75]], atol=1e-6)
    np.testing.assert_allclose(good + anomalous, 1.0)


def test_cells_are_bands_from_both_borders():
    cells = border_cells(100, 70)
    assert cells.shape == (100, 70)
    assert {cells[y, x] for y in (0, 7, 92, 99) for x in (0, 69)} == {0}
    assert cells[8, 0] == BANDS
    assert cells[0, 8] == 1
    assert cells[50, 35] == BANDS**2 - 1
    assert np.array_equal(cells, cells[::-1, ::-1])
    assert border_cells(9, 9).max() == 0  # no pixel is farther from a border than a band


def test_border_statistics_are_those_of_each_cell_drawn_to_all():
    heats = [RNG.normal(1.0, 0.2, shape).astype(np.float32) for shape in ((90, 120), (64, 40))]
    found = sum((BorderStatistics.of(heat) for heat in heats), BorderStatistics())
    together = np.concatenate([heat.ravel() for heat in heats])
    cells = np.concatenate([border_cells(*heat.shape).ravel() for heat in heats])
    mean, deviation = found.expected()
    for cell in (0, 7, BANDS**2 - 1):
        inside = together[cells == cell]
        assert found.highest[cell] == inside.max()
        weights = np.where(cells == cell, 1.0, 0.0) + PRIOR / len(together)
        expected = np.average(together, weights=weights)
        variance = np.average((together - expected) ** 2, weights=weights)
        np.testing.assert_allclose(mean[cell], expected, rtol=1e-4)
        np.testing.assert_allclose(deviation[cell], np.sqrt(variance), rtol=1e-3)


def test_bright_borders_of_good_parts_do_not_hide_a_defect_inside():
    def heat():
        values = RNG.normal(1.0, 0.1, (96, 96))
        values[border_cells(96, 96) == 0] += 2.0
        return values.astype(np.float32)

    core = fit([maps()]).calibrated([BorderStatistics.of(heat()) for _ in range(19)], 0.05)
    defective = heat()
    defective[40:48, 40:48] += 1.0  # far below the corners' distances
    scores = core.scores(defective)[1]
    assert scores[40:48, 40:48].max() > 0.5
    assert scores[:8, :8].max() < 0.5


def test_calibration_keeps_its_promise_for_the_next_good_part():
    core = fit([maps()])
    fails = []
    for _ in range(500):
        heats = RNG.exponential(size=(20, 1, 9)).astype(np.float32)
        parts = [BorderStatistics.of(heat) for heat in heats[:-1]]
        fails.append(core.calibrated(parts, 0.2).scores(heats[-1])[1].max() >= 0.5)
    assert 0.14 < np.mean(fails) < 0.26  # k = 16 of 19: 4 in 20


def test_few_good_parts_pass_by_their_highest():
    core = fit([maps()])
    assert (parts_needed(0.05), parts_needed(0.2), parts_needed(0.3)) == (19, 4, 3)
    heats = RNG.normal(1.0, 0.1, (3, 40, 40)).astype(np.float32)
    for count in (1, 3):
        few = core.calibrated([BorderStatistics.of(heat) for heat in heats[:count]], 0.05)
        assert all(few.scores(heat)[1].max() < 0.5 for heat in heats[:count])
        assert few.scores(heats[0] + 2)[1].max() > 0.5


def test_bank_survives_the_disk(tmp_path):
    part = BorderStatistics.of(RNG.random((40, 40)).astype(np.float32))
    core = fit([maps()]).calibrated([part], 0.05)
    core.save(tmp_path / "bank.npz")
    query = maps()
    loaded = PatchCore.load(tmp_path / "bank.npz")
    heat = core.distances(query)[0]
    assert np.array_equal(loaded.distances(query)[0], heat)
    assert np.array_equal(loaded.scores(heat), core.scores(heat))
    assert (loaded.scale, loaded.window, loaded.smoothing) == (core.scale, 3, 1.0)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no archive"])
def test_damaged_bank_is_explained(tmp_path, content):
    (tmp_path / "bank.npz").write_bytes(content)
    with pytest.raises(FlawsmithError, match="no memory bank"):
        PatchCore.load(tmp_path / "bank.npz")
    with pytest.raises(FlawsmithError, match="no memory bank"):
        PatchCore.load(tmp_path / "absent.npz")


def test_nothing_good_to_learn_from_is_explained():
    with pytest.raises(FlawsmithError, match="no good training image"):
        fit([])
