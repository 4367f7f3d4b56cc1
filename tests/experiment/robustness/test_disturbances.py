"""Every disturbance against a closed form, and labels that follow their pixels."""

import math

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import LabelMap
from flawsmith.data.images import to_unit
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.robustness.disturbances import DISTURBANCES, GROUPS, in_order

NAMES = DISTURBANCES.names()
KINDS = [(1, 8), (3, 8), (1, 16), (3, 16)]


def make_schema(channels=1, bits=8):
    return Schema(
        name="plates", channels=channels, bit_depth=bits, white_level=255 if bits == 8 else 4095,
        backgrounds=make_backgrounds(["plate"]), defects=make_defects(["pit"]),
    )  # fmt: skip


def make_image(channels=1, bits=8, size=(40, 56)):
    rng = np.random.default_rng(0)
    high = 256 if bits == 8 else 4096
    pixels = rng.integers(0, high, (*size, channels)).astype(np.uint8 if bits == 8 else np.uint16)
    return pixels[..., 0] if channels == 1 else pixels


def make_labels(size=(40, 56)):
    defects = np.zeros(size, np.uint8)
    defects[12:20, 30:41] = 1
    defects[2:5, 2:5] = 255
    return LabelMap(defects, np.zeros(size, np.uint8))


def disturbed(name, strength, image, schema=None, seed=0):
    rng = np.random.default_rng(seed)
    return DISTURBANCES.get(name).image(image, strength, schema or make_schema(), rng)


def labels(name, strength, given):
    return DISTURBANCES.get(name).label_map(given, strength).defects


def test_the_paper_s_list_is_there():
    asked = {"rotation", "scaling", "shearing", "colouring", "brightening", "gain", "blur", "noise"}
    assert asked <= set(NAMES)
    assert 0.6 in DISTURBANCES.get("gain").strengths
    assert DISTURBANCES.get("gain").strongest == 0.6
    assert DISTURBANCES.get("scaling").strongest == 0.7  # log 0.7 is farther from 0 than log 1.4
    assert DISTURBANCES.get("jpeg").strongest == 10
    assert [d.group for d in in_order()] == sorted(
        (d.group for d in in_order()), key=list(GROUPS).index
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "bits"), KINDS)
def test_strengths_change_pixels_and_the_neutral_one_none(name, channels, bits):
    disturbance, schema = DISTURBANCES.get(name), make_schema(channels, bits)
    image, given = make_image(channels, bits), make_labels()
    assert list(disturbance.strengths) == sorted(disturbance.strengths)
    assert len(disturbance.strengths) >= 2
    same = disturbed(name, disturbance.neutral, image, schema)
    assert same.dtype == image.dtype
    np.testing.assert_array_equal(same, image)
    assert disturbance.label_map(given, disturbance.neutral) is given
    for strength in disturbance.strengths:
        changed = disturbed(name, strength, image, schema)
        size = disturbance.size(40, 56, strength)
        assert changed.shape == (*size, *image.shape[2:])
        assert changed.dtype == image.dtype
        assert changed.max() <= schema.white_level
        assert changed.shape != image.shape or (changed != image).any()
        moved = disturbance.label_map(given, strength)
        assert moved.defects.shape == moved.backgrounds.shape == size
        if disturbance.linear is None:
            assert moved is given


@pytest.mark.parametrize("name", [n for n in NAMES if DISTURBANCES.get(n).change and n != "jpeg"])
def test_the_neutral_strength_is_where_the_formula_ends_too(name):
    disturbance = DISTURBANCES.get(name)
    unit = to_unit(make_image(3), make_schema(3))
    neutral = disturbance.neutral + (1e-3 if name == "blur" else 0.0)  # OpenCV takes no sigma of 0
    changed = disturbance.change(unit, neutral, np.random.default_rng(0))
    np.testing.assert_allclose(changed, unit, atol=1e-6)


@pytest.mark.parametrize(("channels", "bits"), KINDS)
def test_a_quarter_turn_is_rot90(channels, bits):
    image = make_image(channels, bits)
    turned = disturbed("rotation", 90.0, image, make_schema(channels, bits))
    np.testing.assert_array_equal(turned, np.rot90(image))
    given = make_labels()
    np.testing.assert_array_equal(labels("rotation", 90.0, given), np.rot90(given.defects))


def test_flips_are_mirrored_exactly():
    image, given = make_image(), make_labels()
    np.testing.assert_array_equal(disturbed("flip", 1.0, image), image[:, ::-1])
    np.testing.assert_array_equal(disturbed("flip", 2.0, image), image[::-1])
    np.testing.assert_array_equal(labels("flip", 1.0, given), given.defects[:, ::-1])


def test_twice_as_large_is_what_resize_gives():
    image, given = make_image(), make_labels()
    larger = disturbed("scaling", 2.0, image)
    expected = cv2.resize(image, (112, 80), interpolation=cv2.INTER_LINEAR)
    assert larger.shape == (80, 112)
    gap = larger[1:-1, 1:-1].astype(int) - expected[1:-1, 1:-1]
    assert np.abs(gap).max() <= 1
    repeated = given.defects.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(labels("scaling", 2.0, given), repeated)


def test_shearing_moves_rows_against_each_other():
    given = make_labels((40, 60))
    sheared = labels("shearing", math.degrees(math.atan(0.5)), given)
    assert sheared.shape == (40, 80)
    for row in range(40):
        start = (row + 1) // 2  # half a pixel a row, at the nearest pixel
        np.testing.assert_array_equal(sheared[row, start : start + 60], given.defects[row])
        assert (np.delete(sheared[row], np.s_[start : start + 60]) == 255).all()


@pytest.mark.parametrize("angle", [5.0, 15.0, 45.0])
def test_turning_loses_no_defect_and_ignores_what_was_outside(angle):
    given = make_labels((64, 64))
    turned = labels("rotation", angle, given)
    assert abs(int((turned == 1).sum()) - 88) <= 8  # 8 x 11 pixels, at nearest pixels
    outside = turned.size - 64 * 64
    assert abs(int((turned == 255).sum()) - 9 - outside) < 0.02 * turned.size
    assert turned[0, 0] == turned[-1, -1] == turned[0, -1] == 255


@pytest.mark.parametrize("name", [d.name for d in in_order() if d.linear is not None])
def test_labels_follow_their_image(name):
    """A smooth bright blob and its mask go to the same place."""
    y, x = np.mgrid[:80, :96]
    blob = np.exp(-((y - 30) ** 2 + (x - 60) ** 2) / (2 * 6.0**2))
    image = np.rint(255 * blob).astype(np.uint8)
    given = LabelMap((image > 128).astype(np.uint8), np.zeros((80, 96), np.uint8))
    for strength in DISTURBANCES.get(name).strengths:
        moved, found = disturbed(name, strength, image), labels(name, strength, given)
        inside = found != 255
        expected = (moved > 128) & inside
        assert abs((found == 1).sum() - expected.sum()) <= 0.05 * expected.sum()
        middles = [np.argwhere(mask).mean(axis=0) for mask in (found == 1, expected)]
        np.testing.assert_allclose(*middles, atol=0.25)


def test_light_follows_its_formula():
    image = make_image()
    exact = image / 255
    for name, strength, expected in [
        ("gain", 0.6, exact * 0.6),
        ("gain", 1.25, np.minimum(exact * 1.25, 1)),
        ("brightening", 0.2, np.minimum(exact + 0.2, 1)),
        ("colouring", 2.0, exact**2),
        ("contrast", 0.5, (exact - exact.mean()) * 0.5 + exact.mean()),
    ]:
        found = disturbed(name, strength, image) / 255
        np.testing.assert_allclose(found, expected, atol=0.51 / 255, err_msg=name)


def test_colour_moves_red_and_blue_apart():
    image = np.full((4, 4, 3), 128, np.uint8)
    red, green, blue = disturbed("colouring", 2.0, image, make_schema(3))[0, 0]
    assert (red, green, blue) == (181, 128, 64)  # 255 (128 / 255) ** (1/2, 1, 2)


def test_an_edge_becomes_the_normal_distribution_when_blurred():
    from scipy.stats import norm

    image = np.zeros((9, 61), np.uint8)
    image[:, 31:] = 255
    found = disturbed("blur", 3.0, image)[4] / 255
    np.testing.assert_allclose(found, norm.cdf(np.arange(61) - 30.5, scale=3.0), atol=0.01)


def test_motion_averages_along_rows_only():
    image = np.zeros((9, 31), np.uint8)
    image[4, 15] = 210
    found = disturbed("motion_blur", 7.0, image)
    assert (found[4, 12:19] == 30).all()
    assert found.sum() == 210


def test_noise_has_its_strength_and_its_seed():
    image = np.full((200, 200), 128, np.uint8)
    first = disturbed("noise", 0.05, image, seed=1)
    assert abs(first.std() / 255 - 0.05) < 0.001
    np.testing.assert_array_equal(first, disturbed("noise", 0.05, image, seed=1))
    assert (first != disturbed("noise", 0.05, image, seed=2)).mean() > 0.9


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_a_file_would_hold(channels, tmp_path):
    from PIL import Image

    image = cv2.GaussianBlur(make_image(channels), (0, 0), 3)
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=20)
    found = disturbed("jpeg", 20.0, image, make_schema(channels)).astype(int)
    gap = np.abs(found - np.asarray(Image.open(tmp_path / "a.jpg")))
    assert gap.mean() < 2  # another encoder may round otherwise; the channels are in place
