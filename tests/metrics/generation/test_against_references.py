"""Every figure against another implementation: torch-fidelity, torchmetrics, prdc, loops."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from flawsmith.errors import FlawsmithError
from flawsmith.metrics import generation as g


def features(count, dimensions, seed, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, scale, (count, dimensions))


def loop_kernel_distance(x, y):
    """The definition, pair by pair."""

    def kernel(a, b):
        return (float(a @ b) / len(a) + 1.0) ** 3

    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(kernel(a, b) for a in x for b in y) / (n * m)
    return xx + yy - 2 * xy


def test_kernel_distance_equals_the_double_loop():
    x, y = features(17, 6, 0), features(11, 6, 1, shift=0.5)
    assert g.kernel_distance(x, y) == pytest.approx(loop_kernel_distance(x, y), rel=1e-12)


def test_kernel_distance_equals_torch_fidelity():
    reference = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = features(40, 8, 0), features(40, 8, 1, shift=0.3)
    # A subset of all samples is all of them in another order: the full estimate.
    given = {"kid_subsets": 2, "kid_subset_size": 40, "verbose": False, "rng_seed": 0}
    expected = reference.kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), **given, kid_kernel="poly",
        kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1,
    )  # fmt: skip
    mean = expected["kernel_inception_distance_mean"]
    assert g.kernel_distance(x, y) == pytest.approx(mean, rel=1e-9)
    assert g.kernel_distance_of_subsets(x, y, subsets=3, size=40)[0] == pytest.approx(mean)
    assert g.kernel_distance_of_subsets(x, y, subsets=3, size=40)[1] == pytest.approx(0, abs=1e-12)


def test_subsets_agree_with_the_full_estimate_on_average():
    x, y = features(60, 4, 0), features(50, 4, 1, shift=0.6)
    mean, spread = g.kernel_distance_of_subsets(x, y, subsets=400, size=20)
    assert abs(mean - g.kernel_distance(x, y)) < 4 * spread / math.sqrt(400)
    assert spread > 0


def test_kernel_distance_of_groups_leaves_their_pairs_out():
    x, y = features(6, 3, 0), features(5, 3, 1)
    groups = ["a", "a", "b", "b", "c", "d"]
    kernel = g.polynomial_kernel

    def between(values, names):
        pairs = [(i, j) for i in range(len(names)) for j in range(len(names))]
        kept = [(i, j) for i, j in pairs if names[i] != names[j]]
        return np.mean([kernel(values[i : i + 1], values[j : j + 1])[0, 0] for i, j in kept])

    expected = between(x, groups) + between(y, range(5)) - 2 * kernel(x, y).mean()
    found = g.KernelSums.of(x, y, groups).distance()
    assert found[0] == pytest.approx(expected, rel=1e-12)


def test_weights_of_groups_are_repetitions():
    """A group drawn twice counts twice, and its own pairs stay out."""
    x, y = features(5, 3, 0), features(4, 3, 1)
    sums = g.KernelSums.of(x, y, ["a", "a", "b", "c", "c"], ["p", "q", "q", "r"])
    weighted = sums.distance(np.array([[2.0, 1.0, 0.0]]), np.array([[1.0, 1.0, 1.0]]))
    repeated = g.KernelSums.of(
        np.concatenate([x[:2], x[:2], x[2:3]]), y, ["a"] * 4 + ["b"], ["p", "q", "q", "r"]
    )
    assert weighted[0] == pytest.approx(repeated.distance()[0], rel=1e-12)


def test_bootstrap_covers_and_one_group_has_no_estimate():
    x, y = features(30, 4, 0), features(30, 4, 1, shift=1.0)
    sums = g.KernelSums.of(x, y)
    low, high = np.nanquantile(sums.bootstrap(500, seed=1), [0.025, 0.975])
    assert low < sums.distance()[0] < high
    assert np.array_equal(sums.bootstrap(50, seed=1), sums.bootstrap(50, seed=1), equal_nan=True)
    assert np.isnan(g.KernelSums.of(x, y, ["one"] * 30).distance()[0])


def test_frechet_distance_of_known_normals():
    """Closed form of commuting covariances: |shift|^2 + sum (s1 - s2)^2."""
    spread_x, spread_y = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    shift = np.array([1.0, -2.0, 0.0])
    found = g.frechet_from_moments(np.zeros(3), np.diag(spread_x**2), shift, np.diag(spread_y**2))
    assert found == pytest.approx(5.0 + ((spread_x - spread_y) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize(("count", "dimensions"), [(200, 5), (12, 5), (9, 40), (30, 29)])
def test_frechet_distance_equals_the_matrix_root(count, dimensions):
    """With fewer samples than dimensions the covariances are singular."""
    x = features(count, dimensions, 0) @ np.random.default_rng(9).normal(size=(dimensions,) * 2)
    y = features(count + 3, dimensions, 1, shift=0.4, scale=1.5)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(a @ b).real
    shift = x.mean(0) - y.mean(0)
    expected = shift @ shift + np.trace(a + b - 2 * root)
    assert g.frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)
    assert g.frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6)
    assert g.frechet_distance(y, x) == pytest.approx(g.frechet_distance(x, y), rel=1e-9)


def test_frechet_distance_equals_torch_fidelity():
    reference = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = features(300, 20, 0), features(250, 20, 1, shift=0.2)
    given = [{"mu": v.mean(0), "sigma": np.cov(v, rowvar=False)} for v in (x, y)]
    expected = reference.fid_statistics_to_metric(*given, verbose=False)
    assert g.frechet_distance(x, y) == pytest.approx(
        expected["frechet_inception_distance"], rel=1e-6
    )


def test_inception_score_equals_torch_fidelity():
    reference = pytest.importorskip("torch_fidelity.metric_isc")
    logits = torch.from_numpy(features(53, 7, 0, scale=3.0))
    expected = reference.isc_features_to_metric(logits, splits=4, shuffle=False)
    mean, spread = g.inception_score(logits.softmax(dim=1).numpy(), splits=4)
    assert mean == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert spread == pytest.approx(expected["inception_score_std"], rel=1e-7)


def test_inception_score_runs_from_one_to_the_number_of_classes():
    assert g.inception_score(np.eye(6))[0] == pytest.approx(6.0)
    assert g.inception_score(np.full((6, 4), 0.25))[0] == pytest.approx(1.0)


def test_neighbour_figures_equal_prdc():
    reference = pytest.importorskip("prdc")
    real, fake = features(80, 5, 0), features(60, 5, 1, shift=0.5, scale=0.7)
    expected = reference.compute_prdc(real, fake, nearest_k=5)
    found = g.neighbour_figures(real, fake)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(expected[name]), name


def test_neighbour_figures_equal_the_definition():
    real, fake = features(25, 3, 0), features(12, 3, 1, shift=0.4)
    radii = [sorted(np.linalg.norm(real - r, axis=1))[3] for r in real]
    inside = np.array([[np.linalg.norm(r - f) < radius for f in fake]
                       for r, radius in zip(real, radii, strict=True)])  # fmt: skip
    found = g.neighbour_figures(real, fake, neighbours=3)
    assert found.density == pytest.approx(inside.sum() / (3 * 12))
    assert found.coverage == pytest.approx(inside.any(axis=1).mean())
    assert found.precision == pytest.approx(inside.any(axis=0).mean())


def test_real_balls_reach_to_another_part():
    real = np.array([[0.0], [0.1], [2.0], [2.1]])
    fake = np.array([[1.0], [5.0]])
    assert g.neighbour_figures(real, fake, neighbours=1).density == 0.0
    found = g.neighbour_figures(real, fake, neighbours=1, groups=["a", "a", "b", "b"])
    assert found.density == pytest.approx(4 / 2)
    assert found.coverage == 1.0
    with pytest.raises(FlawsmithError, match="one part"):
        g.neighbour_figures(real, fake, groups=["a"] * 4)


@pytest.mark.parametrize("shape", [(40, 52), (33, 29, 3)])
def test_ssim_and_psnr_equal_torchmetrics(shape):
    from torchmetrics.functional import image as reference

    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, shape)
    y = np.clip(x + rng.normal(0, 0.1, shape), 0, 1)

    def tensor(values):
        given = values if values.ndim == 3 else values[..., None]
        return torch.from_numpy(given).permute(2, 0, 1)[None]

    _, places = reference.structural_similarity_index_measure(
        tensor(y), tensor(x), data_range=1.0, sigma=1.5, kernel_size=11, return_full_image=True
    )
    # The other one averages over the padded edge too; the paper's window stays inside.
    assert g.ssim(x, y) == pytest.approx(float(places[..., 5:-5, 5:-5].mean()), rel=1e-6)
    ratio = reference.peak_signal_noise_ratio(tensor(y), tensor(x), data_range=1.0)
    assert g.psnr(x, y) == pytest.approx(float(ratio), rel=1e-6)
    assert g.ssim(x, x) == pytest.approx(1.0)
    assert math.isinf(g.psnr(x, x))
