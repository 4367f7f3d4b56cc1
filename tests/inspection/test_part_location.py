import math
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.data.pouch import render_frame
from flawsmith.data.pouch.piece import make_camera, make_piece
from flawsmith.data.schema import PixelSize
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.part_edges import EdgeLocator, EdgeSettings
from flawsmith.inspection.part_location import (
    SQUARE,
    PartLocation,
    PartNotFoundError,
    SquareImage,
)
from flawsmith.inspection.part_template import TemplateLocator, TemplateSettings

HEIGHT, WIDTH, SEED = 700, 1200, 5


@cache
def _cell(part, view=0):
    return render_frame(SEED, part, view, height=HEIGHT, width=WIDTH)


def _moved(image, angle, shift, pixel_size=SQUARE, noise=3.0):
    """Return the image turned about its middle (in mm) and shifted (in pixels), and the 2 x 3 map.

    Brightness, contrast and noise change as well.
    """
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    scale = np.diag([pixel_size.x, pixel_size.y])
    turn = np.linalg.inv(scale) @ np.array([[c, -s], [s, c]]) @ scale
    middle = (np.array(image.shape[::-1]) - 1) / 2
    matrix = np.column_stack([turn, middle + shift - turn @ middle])
    size = image.shape[::-1]
    moved = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    moved = 0.8 * moved + 20 + np.random.default_rng(0).normal(0, noise, moved.shape)
    return np.clip(moved, 0, 255).astype(np.uint8), matrix


def _off(location, true_origin, true_angle):
    """Return how far origin (pixels) and angle (degrees) are from what they should be."""
    return math.dist(location.origin, true_origin), abs(location.angle - true_angle)


def _box_locator(part, **settings):
    left, top, right, bottom = make_piece(SEED, part, HEIGHT, WIDTH).box
    size = (right - left, bottom - top)
    return EdgeLocator(EdgeSettings(size=size, **settings), SQUARE, "px"), size


@given(
    st.floats(-180, 180), st.floats(-900, 900), st.floats(-900, 900), st.floats(0.05, 2),
    st.floats(0.05, 2),
)  # fmt: skip
def test_part_coordinates_there_and_back(angle, x, y, size_x, size_y):
    location = PartLocation(
        origin=(40, -7), angle=angle, unit="mm", pixel_size=PixelSize(x=size_x, y=size_y),
        confidence=1,
    )  # fmt: skip
    places = np.array([(x, y), (40, -7)])
    part = location.to_part(places)
    assert part[1] == pytest.approx((0, 0), abs=1e-9)
    # A similarity in mm: lengths stay.
    assert math.hypot(*part[0]) == pytest.approx(
        math.hypot((x - 40) * size_x, (y + 7) * size_y), abs=1e-6
    )
    assert location.to_image(part) == pytest.approx(places, abs=1e-6)


def test_a_quarter_turn_by_hand():
    location = PartLocation(
        origin=(10, 20), angle=90, unit="mm", pixel_size=PixelSize(x=0.5, y=0.25), confidence=1
    )
    # The part's x axis points down in the image, its y axis to the left.
    assert location.to_part(np.array([(10, 24), (8, 20)])) == pytest.approx(
        np.array([(1, 0), (0, 1)])
    )


def test_a_reduced_image_keeps_places():
    image = np.zeros((120, 90), np.uint8)
    image[60:66, 30:36] = 255
    reduced = SquareImage(image, PixelSize(x=1.0, y=0.5), 3.0)
    assert reduced.pixels.shape == (20, 30)
    y, x = np.unravel_index(int(reduced.pixels.argmax()), reduced.pixels.shape)
    (place,) = reduced.to_given(np.array([(x, y)], float))
    assert place == pytest.approx((31, 62.5), abs=1.6)
    assert reduced.from_given(place) == pytest.approx((x, y))


@pytest.mark.parametrize("part", [1, 3, 6, 9])
def test_edges_of_a_pouch_cell_are_those_of_its_label_map(part):
    image, found = _cell(part)
    locator, size = _box_locator(part)
    location = locator.locate(image)
    mask = np.where(found.backgrounds == 0, 200, 50).astype(np.uint8)
    true = locator.locate(mask)
    middles = [place.to_image(np.array([size]) / 2)[0] for place in (location, true)]
    assert math.dist(*middles) < 1.0
    assert abs(location.angle - true.angle) < 0.1
    # The cell's box, but for the tilt and wave of its edges.
    left, top, right, bottom = make_piece(SEED, part, HEIGHT, WIDTH).box
    down, across = make_camera(SEED, part, 0, HEIGHT, WIDTH).shift
    assert math.dist(middles[0], ((left + right) / 2 + across, (top + bottom) / 2 + down)) < 6


@pytest.mark.parametrize(("part", "angle", "shift"), [(3, 4.0, (25, -18)), (6, -6.5, (-9.3, 12.7))])
def test_edges_follow_a_moved_cell(part, angle, shift):
    image, _ = _cell(part)
    locator, _ = _box_locator(part)
    before = locator.locate(image)
    moved, matrix = _moved(image, angle, shift)
    after = locator.locate(moved)
    distance, turned = _off(after, matrix @ (*before.origin, 1), before.angle + angle)
    assert distance < 0.5
    assert turned < 0.05
    assert after.unit == "px"
    assert after.confidence > 0.9


@pytest.mark.parametrize(("part", "angle", "shift"), [(1, 3.7, (21, -16)), (12, -2.2, (-7.4, 9.6))])
def test_template_follows_a_moved_cell(part, angle, shift):
    image, _ = _cell(part)
    left, top, *_ = (int(value) for value in make_piece(SEED, part, HEIGHT, WIDTH).box)
    corner = image[top - 30 : top + 170, left - 30 : left + 230]
    settings = TemplateSettings(image="corner.png", origin=(30, 30))
    locator = TemplateLocator(settings, corner, SQUARE, "px")
    moved, matrix = _moved(image, angle, shift)
    location = locator.locate(moved)
    distance, turned = _off(location, matrix @ (left, top, 1), angle)
    assert distance < 0.3
    assert turned < 0.1
    assert location.confidence > 0.9


def test_both_find_a_part_in_mm_where_the_scales_differ():
    size = PixelSize(x=0.5, y=0.25)
    image = np.full((600, 500), 60, np.uint8)
    image[150:450, 100:400] = 180  # 150 x 75 mm
    image[180:240, 130:170] = 120
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    moved, matrix = _moved(image, 3.0, (12, -20), size)
    moved_colour = np.repeat(moved[..., None], 3, axis=2)
    edges = EdgeLocator(EdgeSettings(size=(150, 75)), size, "mm")
    settings = TemplateSettings(image="a.png", origin=(-0.5, -0.5))
    template = TemplateLocator(settings, image[150:260, 100:200], size, "mm")
    for locator, seen in ((edges, moved), (edges, moved_colour), (template, moved)):
        location = locator.locate(seen)
        distance, turned = _off(location, matrix @ (99.5, 149.5, 1), 3.0)
        assert distance < 0.6
        assert turned < 0.15
        assert location.to_part((matrix @ (249.5, 299.5, 1))[None])[0] == pytest.approx(
            (75, 37.5), abs=0.4
        )


def _bright(height, width, angle=0.0):
    image = np.full((400, 600), 40, np.uint8)
    box = cv2.boxPoints(((300.0, 200.0), (width, height), angle))
    return cv2.fillPoly(image, [np.rint(box).astype(np.int32)], 200)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((400, 600), 90, np.uint8), "all of one brightness"),
        (_bright(200, 380), r"3\d\d.* px; expected 300 x 200"),
        (_bright(200, 300, 20.0), r"turned by (19|20)\.\d degrees"),
        (_bright(390, 700), "reaches the border"),
        (255 - _bright(200, 300), "reaches the border"),
        (
            cv2.ellipse(_bright(1, 1), (300, 200), (162, 108), 0, 0, 360, 200, -1),
            "no rectangle",
        ),
    ],
)
def test_edges_of_something_else_are_not_the_part(image, message):
    locator = EdgeLocator(EdgeSettings(size=(300, 200)), SQUARE, "px")
    assert locator.locate(_bright(200, 300)).origin == pytest.approx((149.5, 99.5), abs=1)
    with pytest.raises(PartNotFoundError, match=f"part not found: .*({message})"):
        locator.locate(image)


def test_the_border_of_the_image_is_no_edge():
    image = np.full((300, 400), 120, np.uint8)
    image[8:292, 6:395] = 180
    locator = EdgeLocator(EdgeSettings(size=(389, 284)), SQUARE, "px")
    assert locator.locate(image).origin == pytest.approx((5.5, 7.5), abs=0.6)


def test_a_dark_part_is_found_if_so_told():
    locator = EdgeLocator(EdgeSettings(part="dark", size=(300, 200)), SQUARE, "px")
    assert locator.locate(255 - _bright(200, 300)).angle == pytest.approx(0, abs=0.05)


def test_a_template_that_is_not_there_or_there_twice_is_not_found():
    generator = np.random.default_rng(3)
    template = cv2.GaussianBlur(generator.integers(0, 255, (64, 80)).astype(np.uint8), (0, 0), 2)
    locator = TemplateLocator(TemplateSettings(image="a"), template, SQUARE, "px")
    image = np.full((300, 400), 128, np.uint8)
    with pytest.raises(PartNotFoundError, match="part not found"):
        locator.locate(image)
    image[50:114, 30:110] = template
    assert locator.locate(image).origin == pytest.approx((30, 50), abs=0.1)
    image[200:264, 250:330] = template
    with pytest.raises(PartNotFoundError, match="in two places alike"):
        locator.locate(image)
    other = cv2.GaussianBlur(generator.integers(0, 255, (300, 400)).astype(np.uint8), (0, 0), 2)
    with pytest.raises(PartNotFoundError, match=r"alike|correlates with 0\.\d+ at best; 0\.7"):
        locator.locate(other)
    with pytest.raises(PartNotFoundError, match="smaller than the template"):
        locator.locate(template[:40])


def test_a_template_without_contrast_is_refused():
    with pytest.raises(FlawsmithError, match="and contrast"):
        TemplateLocator(TemplateSettings(image="a"), np.full((40, 40), 7, np.uint8), SQUARE, "px")
    with pytest.raises(FlawsmithError, match="16 pixels a side"):
        TemplateLocator(TemplateSettings(image="a"), np.eye(9, dtype=np.uint8), SQUARE, "px")


def test_sixteen_bits_are_found_as_eight_are():
    image, _ = _cell(3)
    locator, _ = _box_locator(3)
    low, high = locator.locate(image), locator.locate(image.astype(np.uint16) * 16)
    assert high.origin == pytest.approx(low.origin, abs=0.05)
