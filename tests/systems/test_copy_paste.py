"""Copy-paste: untouched outside the edge, the tone of the place, an exact membrane."""

import cv2
import numpy as np
import pytest
import torch

from flawsmith.systems.base import SampleRequest
from flawsmith.systems.copy_paste import CopyPaste, CopyPasteBlend, CopyPasteConfig, paste
from flawsmith.systems.poisson import solve_laplace

MODES = ["feathered", "membrane", "poisson"]
SIZE = 48


def scene(seed=0, tone=0.4, channels=1):
    """A background, and a darker disc on a surface that is brighter by ``tone``; all with grain."""
    rng = np.random.default_rng(seed)
    background = (rng.normal(-0.2, 0.05, (SIZE, SIZE, channels))).astype(np.float32)
    disc = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(disc, (24, 22), 7, 1, -1)
    mask = disc > 0
    known = cv2.dilate(disc, np.ones((25, 25), np.uint8)) > 0
    exemplar = rng.normal(-0.2 + tone, 0.05, (SIZE, SIZE, channels)).astype(np.float32)
    exemplar[mask] -= 0.4
    exemplar[~known] = -1.0
    return background, exemplar, mask, known


def blend(**values):
    return CopyPasteBlend(**({"contrast": 0.0, "largest_gain": 1.0} | values))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_outside_the_edge_nothing_changes_bit_for_bit(mode, channels):
    background, exemplar, mask, known = scene(channels=channels)
    before = background.copy()
    settings = CopyPasteBlend(mode=mode, edge=3)
    result = paste(background, exemplar, mask, known, settings, np.random.default_rng(0))
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    far = distance >= 4
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[far], background[far])
    np.testing.assert_array_equal(background, before)
    assert (result[mask] != background[mask]).mean() > 0.99


@pytest.mark.parametrize("mode", MODES)
def test_defect_keeps_its_contrast_in_the_tone_of_the_place(mode):
    background, exemplar, mask, known = scene(tone=0.4)
    result = paste(background, exemplar, mask, known, blend(mode=mode), np.random.default_rng(0))
    assert result[mask].mean() == pytest.approx(-0.6, abs=0.04)


def test_membrane_follows_shading_that_one_offset_cannot():
    background, exemplar, mask, known = scene(tone=0.0)
    ramp = np.linspace(-0.5, 0.5, SIZE, dtype=np.float32)[None, :, None]
    errors = {}
    for mode in MODES:
        result = paste(
            background + ramp, exemplar, mask, known, blend(mode=mode), np.random.default_rng(0)
        )
        errors[mode] = np.abs((result - ramp)[mask].mean(axis=1) + 0.6).mean()
    assert errors["membrane"] < 0.6 * errors["feathered"]
    assert errors["poisson"] < 0.6 * errors["feathered"]


def test_gain_follows_the_surroundings_within_its_limit():
    background, exemplar, mask, known = scene(tone=0.0)
    for factor, expected in ((3.0, 1.25), (1 / 3, 1 / 1.25), (1.1, 1.1)):
        rough = (background + 0.2) * factor - 0.2
        settings = blend(mode="feathered", largest_gain=1.25)
        result = paste(rough, exemplar, mask, known, settings, np.random.default_rng(0))
        assert result[mask].mean() + 0.2 == pytest.approx(-0.4 * expected, abs=0.04)


def test_defect_without_known_surroundings_is_pasted_as_it_is():
    background, exemplar, mask, _ = scene()
    result = paste(background, exemplar, mask, mask, blend(), np.random.default_rng(0))
    np.testing.assert_array_equal(result[mask], exemplar[mask])
    np.testing.assert_array_equal(result[~mask], background[~mask])
    empty = np.zeros_like(mask)
    result = paste(background, exemplar, empty, empty, blend(), np.random.default_rng(0))
    np.testing.assert_array_equal(result, background)


def test_texture_comes_from_the_background():
    background, exemplar, mask, known = scene()
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0

    def agreement(share):
        settings = blend(texture=share)
        result = paste(background, exemplar, mask, known, settings, np.random.default_rng(0))
        fine = [i[..., 0] - cv2.GaussianBlur(i, (0, 0), 3.0) for i in (result, background)]
        return np.corrcoef(fine[0][inner], fine[1][inner])[0, 1]

    assert agreement(1.0) > 0.95
    assert abs(agreement(0.0)) < 0.3


def test_values_stay_in_range_and_the_change_of_tone_within_its_limit():
    background, exemplar, mask, known = scene()
    dark = background - 0.75
    lowest = {}
    for limit in (0.5, 2.0):
        settings = blend(mode="feathered", largest_offset=limit)
        result = paste(dark, exemplar, mask, known, settings, np.random.default_rng(0))
        lowest[limit] = float(result[mask].min())
    assert lowest[2.0] == -1.0
    assert lowest[0.5] == pytest.approx(float(exemplar[mask].min()) - 0.5, abs=1e-6)


def test_poisson_agrees_with_opencv():
    """OpenCV's clone solves the same equation on the mask; it works on 8 bits and in colour."""
    rng = np.random.default_rng(3)
    smooth = [cv2.GaussianBlur(rng.normal(0, 900, (64, 64)), (0, 0), 9) + 128 for _ in range(2)]
    background, exemplar = (np.clip(s, 60, 200).astype(np.uint8) for s in smooth)
    mask = np.zeros((64, 64), np.uint8)
    cv2.circle(mask, (31, 31), 14, 255, -1)
    colour = [np.repeat(i[..., None], 3, axis=2) for i in (exemplar, background)]
    x, y, width, height = cv2.boundingRect(mask)
    centre = (x + width // 2, y + height // 2)
    expected = cv2.seamlessClone(colour[0], colour[1], mask, centre, cv2.NORMAL_CLONE)[..., 0]
    signed = [i[..., None].astype(np.float32) / 127.5 - 1 for i in (background, exemplar)]
    settings = blend(mode="poisson", edge=0)
    everywhere = np.ones((64, 64), np.bool_)
    eroded = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=3) > 0  # as OpenCV does first
    result = paste(*signed, eroded, everywhere, settings, np.random.default_rng(0))
    inner = cv2.erode(mask, np.ones((7, 7), np.uint8)) > 0
    difference = (result[..., 0] + 1) * 127.5 - expected.astype(np.float32)
    pasted = (signed[1] - signed[0])[..., 0] * 127.5
    assert np.abs(difference[inner]).mean() < 0.15 * np.abs(pasted[inner]).mean()


def test_laplace_reproduces_harmonic_functions():
    y, x = np.mgrid[:40, :50].astype(np.float32)
    harmonic = np.stack([x * x - y * y, 3 * x - y + 2], axis=-1)
    unknown = np.zeros((40, 50), np.bool_)
    unknown[5:30, 7:44] = True
    unknown[20:25, 40:48] = True
    start = harmonic.copy()
    start[unknown] = 0
    solved = solve_laplace(start, unknown, np.ones_like(unknown))
    np.testing.assert_allclose(solved, harmonic, atol=0.02)


def test_laplace_without_any_boundary_is_zero():
    unknown = np.zeros((9, 9), np.bool_)
    unknown[2:5, 2:5] = True
    values = np.full((9, 9, 1), 3.0, np.float32)
    solved = solve_laplace(values, unknown, unknown)
    assert (solved[unknown] == 0).all()
    assert (solved[~unknown] == 3).all()


def test_request_without_real_pixels_is_refused():
    labels = torch.ones(1, 8, 8, dtype=torch.long)
    system = CopyPaste.__new__(CopyPaste)
    system.config = CopyPasteConfig.model_construct(blend=CopyPasteBlend())
    with pytest.raises(ValueError, match="needs background_images, exemplars"):
        system.sample(SampleRequest(labels, labels), torch.tensor([0]))
