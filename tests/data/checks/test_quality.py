"""Blurred and clipped images stand out from their own view, and only with enough others."""

import cv2
import numpy as np
import pytest

from flawsmith.data.checks import check, quality
from flawsmith.data.checks.quality import LEAST_IMAGES

HEIGHT, WIDTH = 40, 60


def texture(seed, blur=0.8, level=120.0):
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH))
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.clip(level + 25 * smooth / smooth.std(), 5, 250).astype(np.uint8)


def write(folder, build, mask, pictures, fields=lambda number: {}, **schema_fields):
    images = [
        (f"i{n:02}", f"p{n}", mask(), {"pixels": pixels, **fields(n)})
        for n, pixels in enumerate(pictures)
    ]
    return build(folder, images, **schema_fields)


def found(dataset):
    findings = check(dataset).findings
    return [f for f in findings if f.kind in ("out_of_focus", "badly_exposed")]


def sound(count=LEAST_IMAGES + 4):
    return [texture(n) for n in range(count)]


def test_sharpness_does_not_depend_on_contrast_or_brightness(schema):
    pixels = texture(1).astype(np.float64)
    plain = quality.measure("a", "", pixels.astype(np.uint8), schema()).sharpness
    for gain, offset in ((0.5, 10), (0.5, 120)):
        changed = np.rint(gain * pixels + offset).astype(np.uint8)
        assert quality.measure("a", "", changed, schema()).sharpness == pytest.approx(
            plain, abs=0.05
        )
    wide = (pixels * 256).astype(np.uint16)
    assert quality.measure("a", "", wide, schema()).sharpness == pytest.approx(plain, abs=0.02)


def test_shares_at_the_levels_are_counted(schema):
    pixels = np.full((30, 40), 100, np.uint16)
    pixels[:3], pixels[3:9] = 4000, 64
    measured = quality.measure("a", "", pixels, schema(black_level=64, white_level=4000))
    assert (measured.white, measured.black) == (pytest.approx(0.1), pytest.approx(0.2))
    flat = quality.measure("a", "", np.full((30, 40), 7, np.uint8), schema())
    assert flat.sharpness == pytest.approx(0.0, abs=1e-6)
    assert quality.measure("a", "", pixels[:10, :10], schema()).sharpness is None


def test_large_images_are_judged_by_spots(schema, monkeypatch):
    pixels = np.tile(texture(1), (20, 20))
    whole = quality.measure("a", "", pixels, schema()).sharpness
    monkeypatch.setattr(quality, "_WHOLE", 1000)
    assert quality.measure("a", "", pixels, schema()).sharpness == pytest.approx(whole, abs=0.1)


@pytest.mark.parametrize(
    "convert", [lambda p: p, lambda p: p.astype(np.uint16) * 16, lambda p: np.dstack([p] * 3)]
)
def test_a_blurred_image_is_found(tmp_path, build, mask, convert):
    pictures = sound()
    pictures[5] = cv2.GaussianBlur(pictures[5], (0, 0), 3)
    levels = {"white_level": 4095} if convert(pictures[0]).dtype == np.uint16 else {}
    data = write(tmp_path, build, mask, [convert(p) for p in pictures], **levels)
    (finding,) = found(data)
    assert (finding.kind, finding.file) == ("out_of_focus", "images/i05.png")
    assert not finding.is_problem
    assert "the median of the set is" in finding.message


@pytest.mark.parametrize(("value", "word"), [(255, "white"), (0, "black")])
def test_a_clipped_image_is_found(tmp_path, build, mask, value, word):
    pictures = sound()
    pictures[7][:10] = value
    (finding,) = found(write(tmp_path, build, mask, pictures))
    assert (finding.kind, finding.file) == ("badly_exposed", "images/i07.png")
    assert f"25 % of it is {word}" in finding.message


def test_sound_and_small_sets_have_none(tmp_path, build, mask):
    assert found(write(tmp_path / "sound", build, mask, sound())) == []
    few = sound(LEAST_IMAGES - 1)
    few[5] = cv2.GaussianBlur(few[5], (0, 0), 3)
    assert found(write(tmp_path / "few", build, mask, few)) == []


def test_views_are_judged_among_themselves(tmp_path, build, mask):
    """A view that is soft and bright as a rule is no outlier beside a sharp one."""
    soft = [cv2.GaussianBlur(texture(n + 50), (0, 0), 2) for n in range(22)]
    for pixels in soft:
        pixels[:12] = 255
    pictures = sound(22) + soft
    pictures[3] = cv2.GaussianBlur(pictures[3], (0, 0), 3)
    data = write(tmp_path, build, mask, pictures, lambda n: {"view": "sharp" if n < 22 else "soft"})
    (finding,) = found(data)
    assert finding.file == "images/i03.png"
    assert "the median of view sharp" in finding.message


def test_excluded_and_synthetic_images_are_not_judged(tmp_path, build, mask):
    pictures = sound()
    for number in (5, 6):
        pictures[number] = cv2.GaussianBlur(pictures[number], (0, 0), 3)
    fields = {5: {"excluded": "blurred"}, 6: {"source": "synthetic"}}
    assert found(write(tmp_path, build, mask, pictures, lambda n: fields.get(n, {}))) == []
