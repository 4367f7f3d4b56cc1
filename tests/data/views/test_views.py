"""Views of one part among simulated surfaces, found by content alone."""

import cv2
import numpy as np
import pytest

from flawsmith.data.images import write_image
from flawsmith.data.pouch import render_tile
from flawsmith.data.views import STEPS_AN_IMAGE, ViewImage, find_views
from flawsmith.errors import FlawsmithError


def altered(image: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return copies of each kind; the generator only chooses places and angles."""
    rng = np.random.default_rng(seed)
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(10, 350), 1.0)
    gradient = np.linspace(0.5, 1.1, width)
    gamma = 255 * (image / 255) ** 1.5
    other = np.flipud(render_tile(6, seed, 0, None, height)[0])
    copies = {
        "turned": cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT),
        "quarter": np.rot90(image, 1 + seed % 3),
        "mirrored": image[:, ::-1],
        "cropped": image[seed * 8 : seed * 8 + 150, 100 - seed * 8 : 250 - seed * 8],
        "scaled": cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA),
        "blended": 0.65 * image + 0.35 * other,
        "relit": gamma * gradient,
        "noisy": cv2.GaussianBlur(image, (0, 0), 1.0) + rng.normal(0, 3, image.shape),
    }
    return {name: np.clip(copy, 0, 255).astype(np.uint8) for name, copy in copies.items()}


def test_all_altered_copies_are_found_and_nothing_else(search, surfaces):
    images = {}
    for number, image in enumerate(surfaces):
        images |= {f"{number}-{name}": copy for name, copy in altered(image, number).items()}
        images[f"{number}-base"] = image
    views = search(images)
    expected = [sorted(name for name in images if name[0] == str(n)) for n in range(10)]
    assert views.groups() == expected
    assert views.skipped == []
    by_names = {(pair.first, pair.second): pair for pair in views.pairs}
    assert by_names["0-base", "0-mirrored"].mirrored
    assert by_names["0-base", "0-mirrored"].kind == "mirrored"
    assert by_names["1-base", "1-scaled"].kind == "scaled"
    assert by_names["1-base", "1-scaled"].scale == pytest.approx(0.7, abs=0.01)
    assert by_names["1-base", "1-cropped"].kind == "crop"
    assert by_names["2-base", "2-relit"].kind == "exposure"
    quarter = by_names["0-base", "0-quarter"]
    assert quarter.kind == "rotated"
    assert quarter.turned_degrees == pytest.approx(-90, abs=0.5)  # rot90 turns to the left


def test_parts_in_one_holder_are_not_joined(search):
    holder = render_tile(3, 999, 0, None, 256)[0]
    rng = np.random.default_rng(0)
    images = {}
    for part in range(30):
        surface = render_tile(4, part, 0, None, 170)[0]
        for view in range(2 if part < 3 else 1):
            image = holder.astype(float)
            image[43:213, 43:213] = surface * (0.8 if view else 1.0)
            noisy = image + rng.normal(0, 3, image.shape)
            images[f"{part:02d}-{view}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    assert search(images).groups() == [[f"{part:02d}-0", f"{part:02d}-1"] for part in range(3)]


def test_parts_without_texture_in_one_holder_are_not_joined(search):
    holder = render_tile(3, 999, 0, None, 256)[0]
    rng = np.random.default_rng(1)
    images = {}
    for part in range(20):
        image = holder.astype(float)
        image[43:213, 43:213] = 120
        noisy = image + rng.normal(0, 3, image.shape)
        images[f"{part:02d}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    views = search(images)
    assert views.pairs == []
    assert views.alike == sorted(images)


def test_many_scaled_and_mirrored_copies_are_no_fixture(search, surfaces):
    images = {}
    for number, image in enumerate(surfaces[:2]):
        for copy in range(14):
            zoom = 0.5 + 0.07 * copy
            pixels = cv2.resize(image[:, :: 1 - 2 * (copy % 2)], None, fx=zoom, fy=zoom)
            images[f"{number}-{copy:02d}"] = pixels
    assert [len(names) for names in search(images).groups()] == [14, 14]


def test_images_without_texture_give_no_pairs(search):
    rng = np.random.default_rng(2)
    light = 160 - 60 * (np.mgrid[-1:1:160j, -1:1:200j] ** 2).sum(0)
    images = {f"flat-{n}": np.full((160, 200), 90 + n % 2, np.uint8) for n in range(4)}
    for n in range(8):
        noisy = light + rng.normal(0, 2, light.shape)
        images[f"noise-{n}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    assert search(images).pairs == []


def test_cloudy_images_are_compared_when_small(search):
    rng = np.random.default_rng(4)
    clouds = [cv2.GaussianBlur(rng.normal(0, 1, (160, 200)), (0, 0), 24) for _ in range(4)]
    clouds = [(60 + 30 * cloud / cloud.std()).clip(0, 120).astype(np.uint8) for cloud in clouds]
    images = {str(n): cloud for n, cloud in enumerate(clouds)}
    views = search(images | {"view": clouds[2][:, ::-1] + 100})
    assert [(p.first, p.second, p.mirrored, p.kind) for p in views.pairs] == [
        ("2", "view", True, "same when small")
    ]


def test_equal_pixels_are_a_pair_whatever_they_show(search):
    noise = np.random.default_rng(3).integers(100, 110, (40, 40)).astype(np.uint8)
    views = search({"b": noise, "a": noise, "c": noise[::-1] // 2})
    assert [(p.first, p.second) for p in views.pairs if p.kind == "same file pixels"] == [
        ("a", "b")
    ]


def test_16_bit_and_colour_views_are_found(search, surfaces):
    deep = surfaces[0].astype(np.uint16) * 13 + 40  # 12 bits in use
    colour = np.stack([surfaces[1], surfaces[1] // 2, surfaces[1] // 3], axis=2)
    images = {"a": surfaces[0], "b": deep[:, ::-1].copy(), "c": surfaces[1], "d": colour}
    assert search(images).groups() == [["a", "b"], ["c", "d"]]


def test_result_does_not_depend_on_the_order_of_images(tmp_path, surfaces):
    images = []
    for number, image in enumerate(surfaces[:5]):
        for name, copy in [("base", image), ("turned", altered(image, number)["turned"])]:
            images.append(ViewImage(f"{name}-{number}", tmp_path / f"{name}-{number}.png"))
            write_image(images[-1].path, copy)
    first = find_views(images)
    assert find_views(images[::-1]) == first
    assert find_views(images) == first
    assert len(first.groups()) == 5


def test_unreadable_images_are_named_and_the_rest_is_compared(tmp_path, surfaces):
    write_image(tmp_path / "a.png", surfaces[0])
    write_image(tmp_path / "d.png", surfaces[0][::-1].copy())
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    images = [ViewImage(name, tmp_path / f"{name}.png") for name in "abcd"]
    steps = []
    views = find_views(images, progress=steps.append)
    assert views.groups() == [["a", "d"]]
    assert [image.name for image in views.skipped] == ["b", "c"]
    assert "truncated" in views.skipped[0].reason
    assert "there is no image" in views.skipped[1].reason
    assert sum(steps) == STEPS_AN_IMAGE * 4


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(search, surfaces, count):
    views = search({str(n): surfaces[n] for n in range(count)})
    assert (views.pairs, views.groups(), views.skipped) == ([], [], [])


def test_names_must_be_unique(tmp_path):
    images = [ViewImage("a", tmp_path / "1.png"), ViewImage("a", tmp_path / "2.png")]
    with pytest.raises(FlawsmithError, match="two images are named a"):
        find_views(images)
