"""Masks beside what they mark are found; soft, faint and sound ones are not."""

import cv2
import numpy as np
import pytest

from flawsmith.data.checks import alignment, check
from flawsmith.data.checks.alignment import LEAST_SHIFT, REACH, SHIFTS, profile

SIDE = 96


def picture(seed, centre=(48, 48), radius=11, depth=60.0, soft=1.0):
    """Return an image with a dark disc on noise, and the disc."""
    rng = np.random.default_rng(seed)
    values = 128 + 12 * cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 1.5) / 0.19
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - centre[0], y - centre[1])
    values -= depth / (1 + np.exp((distance - radius) / soft))
    return np.clip(values, 0, 255).astype(np.uint8), (distance < radius).astype(np.uint8)


def shifted(mask, x, y):
    return np.roll(mask, (y, x), (0, 1))


def write(folder, build, count=8, move=(), convert=lambda pixels: pixels, **fields):
    images = []
    for number in range(count):
        pixels, disc = picture(number, centre=(40 + number, 50 - number))
        steps = dict(move).get(number, (0, 0))
        images.append(
            (f"i{number}", f"p{number}", shifted(disc, *steps),
             {"pixels": convert(pixels), **fields})
        )  # fmt: skip
    return build(folder, images)


def found(report):
    return [f for f in report.findings if f.kind == "misaligned_mask"]


def test_the_shifts_are_round_and_hold_no_shift():
    radii = np.hypot(*SHIFTS.T)
    assert radii.min() == 0
    assert radii.max() <= REACH + 1
    assert {tuple(s) for s in SHIFTS} == {tuple(-s) for s in SHIFTS}
    assert len(np.unique(SHIFTS, axis=0)) == len(SHIFTS)


@pytest.mark.parametrize("move", [(6, 0), (0, -10), (-14, 14), (-8, 3)])
def test_the_support_is_largest_where_the_disc_is(move):
    pixels, disc = picture(1)
    values = profile(pixels, shifted(disc, *move))
    best = SHIFTS[values.argmax()]
    assert np.hypot(*(best + move)) <= 2
    assert values.max() > 2 * values[(SHIFTS == 0).all(1)]


def test_brightness_depth_and_polarity_do_not_matter():
    pixels, disc = picture(2)
    plain = profile(pixels, disc)
    assert profile(255 - pixels, disc) == pytest.approx(plain, abs=0.02)
    deep = profile(pixels.astype(np.uint16) * 200 + 500, disc)
    assert deep == pytest.approx(plain, abs=0.02)
    assert profile(np.repeat(pixels[..., None], 3, 2), disc) == pytest.approx(plain, abs=0.02)


def test_short_contours_and_the_rim_say_nothing():
    pixels, disc = picture(3)
    dot = np.zeros_like(disc)
    dot[40:43, 40:43] = 1
    assert profile(pixels, dot) is None
    assert profile(pixels, np.ones_like(disc)) is None
    assert profile(pixels, disc, np.ones_like(disc, bool)) is None


@pytest.mark.parametrize(
    "convert",
    [
        lambda pixels: pixels,
        lambda pixels: pixels.astype(np.uint16) * 257,
        lambda pixels: np.stack([pixels, pixels // 2, pixels], 2),
    ],
)
def test_one_shifted_mask_is_found_with_its_shift(tmp_path, build, convert):
    data = write(tmp_path, build, move=[(3, (12, 0))], convert=convert)
    (finding,) = found(check(data))
    assert finding.file == "images/i3.png"
    assert finding.others == ["masks/i3.png"]
    assert finding.is_problem
    assert "moved about 12 px left" in finding.message
    x0, y0, x1, y1 = finding.box
    centre = ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
    assert centre == pytest.approx((43 + 12, 47), abs=0.5)


def test_sound_masks_are_not_reported(tmp_path, build):
    assert found(check(write(tmp_path, build, count=12))) == []


def test_masks_under_the_least_shift_are_not_reported(tmp_path, build):
    move = [(3, (int(LEAST_SHIFT) - 2, 0))]
    assert found(check(write(tmp_path, build, move=move))) == []


def test_a_few_masks_are_enough(tmp_path, build):
    (finding,) = found(check(write(tmp_path, build, count=2, move=[(1, (12, 0))])))
    assert finding.file == "images/i1.png"


def test_a_shift_of_all_masks_is_one_finding(tmp_path, build):
    move = [(number, (0, -10)) for number in range(14)]
    (finding,) = found(check(write(tmp_path, build, count=14, move=move)))
    assert finding.file == ""
    assert "moved about 10 px down" in finding.message


def test_excluded_synthetic_and_weak_labels_are_not_judged(tmp_path, build):
    for number, fields in enumerate(
        [{"excluded": "blurred"}, {"source": "synthetic"}, {"weak_labels": ["scratch"]}]
    ):
        data = write(tmp_path / str(number), build, move=[(3, (12, 0))], **fields)
        assert found(check(data)) == []


def test_a_class_without_edges_is_never_judged(tmp_path, build):
    """Discs drawn on mere noise, and one beside a real edge."""
    images = []
    for number in range(10):
        pixels, disc = picture(number, depth=60.0 if number == 3 else 0.0)
        move = (12, 0) if number == 3 else (0, 0)
        images.append((f"i{number}", f"p{number}", shifted(disc, *move), {"pixels": pixels}))
    assert found(check(build(tmp_path, images))) == []


def test_huge_windows_are_left_out(tmp_path, build, monkeypatch):
    data = write(tmp_path, build, move=[(3, (12, 0))])
    monkeypatch.setattr(alignment, "_LARGEST", 100)
    assert found(check(data)) == []
