"""Frames and tiles of simulated cells: reproducible and labelled exactly."""

from collections import Counter

import cv2
import numpy as np
import pytest

from flawsmith.data.pouch import (
    TABLE_3,
    render_frame,
    render_tile,
    schema,
    tile_window,
)
from flawsmith.data.pouch.piece import make_camera, make_piece
from flawsmith.data.pouch.surface import render
from flawsmith.errors import FlawsmithError

DEFECTS = list(TABLE_3)
BODY, OUTSIDE = 0, 1


def test_schema_is_the_papers_and_says_simulated():
    pouch = schema()
    assert pouch.simulated
    assert [b.name for b in pouch.backgrounds] == ["body", "outside"]
    assert pouch.defect_names == DEFECTS
    assert [pouch.defect(letter).id for letter in "ABCDEF"] == [1, 2, 3, 4, 5, 6]
    assert pouch.defect("Protrusion").name == "folding"
    assert pouch.pixel_size_mm is not None
    assert (5400 * pouch.pixel_size_mm.x, 2000 * pouch.pixel_size_mm.y) == (2700, 1000)


def test_same_numbers_give_same_pixels_in_any_order():
    wanted = {(p, v): render_tile(7, p, v, "folding")[0] for p in (1, 2) for v in (0, 1)}
    for (part, view), image in reversed(wanted.items()):
        np.testing.assert_array_equal(render_tile(7, part, view, "folding")[0], image)
    different = [render_tile(8, 1, 0, "folding")[0], wanted[2, 0], wanted[1, 1]]
    assert all((image != wanted[1, 0]).mean() > 0.5 for image in different)


def test_tile_is_a_crop_of_its_frame():
    frame, found = render_frame(3, 5, 1, defects=["leakage"])
    assert frame.shape == (2000, 5400)
    assert frame.dtype == np.uint8
    top, left, size, _ = tile_window(3, 5, "leakage", 128)
    tile, labels = render_tile(3, 5, 1, "leakage", 128)
    crop = (slice(top, top + size), slice(left, left + size))
    # Equal but for the last bit of the single-precision sums.
    assert np.abs(frame[crop].astype(int) - tile).max() <= 1
    np.testing.assert_array_equal(found.defects[crop], labels.defects)
    np.testing.assert_array_equal(found.backgrounds[crop], labels.backgrounds)
    assert 60 < frame[found.backgrounds == BODY].mean() < 190
    assert ((frame == 0) | (frame == 255)).mean() < 0.01
    # The body fills the middle, the outside all four borders.
    assert (found.backgrounds[1000, 400:5000] == BODY).all()
    border = (found.backgrounds[[0, -1]], found.backgrounds[:, [0, -1]])
    assert all((edge == OUTSIDE).all() for edge in border)


def test_frame_shows_every_wanted_defect():
    _, found = render_frame(1, 4, 0, height=900, width=1200, defects=["A", "white_dot", "Spore"])
    assert set(np.unique(found.defects)) == {0, 1, 2, 5}


@pytest.mark.parametrize("defect", DEFECTS)
def test_views_share_the_piece_but_not_the_light(defect):
    for part in range(4):
        (image, found), (other, moved) = (render_tile(2, part, v, defect, 256) for v in (0, 1))
        areas = [int((labels.defects > 0).sum()) for labels in (found, moved)]
        # The piece lies a few pixels elsewhere, so only what crosses the border may differ.
        assert min(areas) > 0
        assert min(areas) / max(areas) > 0.9
        # The labels of one view, shifted, are those of the other.
        a, b = (np.pad(labels.defects, 12).astype(np.float32) for labels in (found, moved))
        overlap = cv2.matchTemplate(a, b[12:-12, 12:-12], cv2.TM_CCORR_NORMED)
        assert overlap.max() > 0.98
        assert (image != other).mean() > 0.5


@pytest.mark.parametrize("defect", DEFECTS)
def test_mask_is_on_the_body_and_is_where_the_image_changes(defect):
    label = schema().defect(defect).id
    inside, outside = [], []
    for part in range(8):
        top, left, size, _ = tile_window(6, part, defect)
        image, found = render_tile(6, part, 0, defect)
        mask = found.defects == label
        assert mask.any()
        assert set(np.unique(found.defects)) <= {0, label}
        if defect != "leakage":
            assert (found.backgrounds[mask] == BODY).all()
        without = _crop_without_defect(6, part, (top, left, size))
        change = np.abs(image.astype(int) - without)
        inside.append(np.sqrt((change[mask] ** 2).mean()))
        outside.append((change[~mask] > 4).sum() / mask.sum())
    assert min(inside) > 2.5
    assert np.median(inside) > 8
    assert np.mean(outside) < 0.1


def _crop_without_defect(seed, part, window):
    """The same place of the same piece without its defect, through the frame's own renderer."""
    top, left, size = window
    piece, camera = make_piece(seed, part, 2000, 5400), make_camera(seed, part, 0, 2000, 5400)
    return render(piece, camera, [], (top, left, size, size))[0].astype(int)


def test_leakage_can_run_off_the_cell():
    spilled = 0
    for part in range(40):
        _, found = render_tile(6, part, 0, "leakage")
        spilled += bool((found.backgrounds[found.defects > 0] == OUTSIDE).any())
    assert 1 <= spilled <= 25


def test_good_tiles_show_body_edge_and_outside():
    shares = []
    for part in range(60):
        image, found = render_tile(0, part)
        assert not found.defects.any()
        assert image.shape == (128, 128)
        shares.append((found.backgrounds == OUTSIDE).mean())
    kinds = Counter("body" if s == 0 else "outside" if s == 1 else "edge" for s in shares)
    assert kinds["body"] > 20
    assert kinds["edge"] > 8
    assert kinds["outside"] >= 1


def test_impossible_frames_are_explained():
    with pytest.raises(FlawsmithError, match="no view 4"):
        render_tile(0, 1, 4)
    with pytest.raises(FlawsmithError, match="no defect of"):
        render_tile(0, 1, 0, "crack")
    with pytest.raises(FlawsmithError, match="does not fit"):
        render_tile(0, 1, 0, None, 4096)
    with pytest.raises(FlawsmithError, match="too small"):
        render_frame(0, 1, height=300, width=900)
