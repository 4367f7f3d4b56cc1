"""Removed defects: what may change, what must not, and what it becomes."""

import numpy as np
import pytest

from flawsmith.data.defect_removal import MARGIN, RIM, membrane, remove_defects


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def striped(height=90, width=120, channels=1):
    """A slanted light on horizontal stripes of 6 pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = 0.4 + 0.1 * np.sin(2 * np.pi * y / 6) + 0.002 * x
    return np.repeat(image[..., None], channels, axis=2).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_periodic_surface_is_found_again(rng, channels):
    surface = striped(channels=channels)
    defects = np.zeros(surface.shape[:2], np.uint8)
    defects[40:52, 50:70] = 3
    spoiled = surface.copy()
    spoiled[defects > 0] = 0.95
    clean = remove_defects(spoiled, defects, rng)
    assert clean.dtype == np.float32
    assert clean.shape == surface.shape
    assert np.abs(clean - surface)[defects > 0].max() < 0.03
    assert np.abs(spoiled - surface)[defects > 0].min() > 0.1


def test_far_from_the_label_nothing_changes(rng):
    image = rng.random((64, 80, 1), dtype=np.float32)
    defects = np.zeros((64, 80), np.uint8)
    defects[30:34, 40:44] = 1
    clean = remove_defects(image, defects, rng)
    far = np.ones((64, 80), bool)
    reach = MARGIN + RIM + 1
    far[30 - reach : 34 + reach, 40 - reach : 44 + reach] = False
    assert np.array_equal(clean[far], image[far])
    assert not np.array_equal(clean, image)


def test_without_labels_the_image_is_a_copy(rng):
    image = rng.random((20, 20, 1), dtype=np.float32)
    clean = remove_defects(image, np.zeros((20, 20), np.uint8), rng)
    assert np.array_equal(clean, image)
    assert clean is not image


def test_ignored_regions_are_covered_too(rng):
    surface = striped()
    defects = np.zeros((90, 120), np.uint8)
    defects[10:20, 10:20] = 255
    spoiled = np.where(defects[..., None] > 0, np.float32(0), surface)
    clean = remove_defects(spoiled, defects, rng)
    assert np.abs(clean - surface)[defects > 0].max() < 0.03


@pytest.mark.parametrize("donor_size", [(40, 50), (200, 200)])
def test_a_defect_without_room_beside_it_takes_another_image(rng, donor_size):
    image = np.full((64, 64, 1), 0.2, np.float32)
    defects = np.zeros((64, 64), np.uint8)
    defects[5:60, 5:60] = 1
    image[defects > 0] = 0.9
    donor = 0.6 + 0.05 * rng.standard_normal((*donor_size, 1)).astype(np.float32)
    clean = remove_defects(image, defects, rng, donor=donor)
    inside = clean[15:50, 15:50]
    assert abs(float(inside.mean()) - 0.2) < 0.03  # the tone of the surroundings
    assert 0.03 < float(inside.std()) < 0.07  # the grain of the donor


def test_a_defect_over_all_of_the_image_becomes_smooth_or_the_donor(rng):
    image = np.full((32, 32, 1), 0.9, np.float32)
    defects = np.ones((32, 32), np.uint8)
    donor = np.full((32, 32, 1), 0.3, np.float32)
    assert np.allclose(remove_defects(image, defects, rng, donor=donor), 0.3, atol=1e-6)
    assert np.isfinite(remove_defects(image, defects, rng)).all()


def test_membrane_continues_a_slope_and_keeps_a_constant():
    y, x = np.mgrid[:60, :60].astype(np.float32)
    known = np.ones((60, 60), bool)
    known[20:40, 20:40] = False
    constant = np.full((60, 60, 2), 0.7, np.float32)
    assert np.allclose(membrane(constant * known[..., None], known), 0.7, atol=1e-4)
    slope = (0.01 * x + 0.005 * y)[..., None]
    filled = membrane(np.where(known[..., None], slope, 0), known)
    assert np.abs(filled - slope)[~known].max() < 0.06
