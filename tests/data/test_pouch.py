"""The pouch simulator: reproducible, labelled exactly, and not to be solved by brightness."""

from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flawsmith.config import validate
from flawsmith.data.pouch import (
    TABLE_3,
    PouchSettings,
    defect_sequence,
    render_frame,
    render_tile,
    schema,
    tile_window,
    write_pouch,
)
from flawsmith.data.pouch_noise import Lattice, bank, cut, spline_basis
from flawsmith.data.pouch_piece import make_camera, make_piece
from flawsmith.data.pouch_surface import render
from flawsmith.data.schema import IGNORE
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


@pytest.fixture(scope="module")
def brightness():
    """Class, mean, standard deviation and mean minus surroundings of the pixels in the mask."""
    rows, classes = [], []
    for label, defect in enumerate(DEFECTS, start=1):
        for part in range(45):
            image, found = render_tile(11, 100 * label + part, part % 2, defect)
            mask = found.defects == label
            near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            near &= ~mask & (found.backgrounds == BODY)
            values = image[mask].astype(float)
            around = np.median(image[near]) if near.any() else values.mean()
            rows.append([values.mean(), values.std(), values.mean() - around])
            classes.append(label)
    return np.array(classes), np.array(rows)


@pytest.mark.parametrize(("columns", "bound"), [(2, 0.45), (3, 0.55)])
def test_brightness_does_not_tell_the_defects_apart(brightness, columns, bound):
    # Chance is 0.17. White and black dots differ in sign by definition, so the contrast to the
    # surroundings separates those two; with four further classes that overlap both, knowing two
    # classes fully and nothing else of the rest would give (2 + 4/4) / 6 = 0.5. Shape and
    # brightness together reach about 0.86.
    classes, rows = brightness
    for classifier in (
        RandomForestClassifier(100, min_samples_leaf=3, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    ):
        guess = cross_val_predict(classifier, rows[:, :columns], classes, cv=5)
        assert balanced_accuracy_score(classes, guess) < bound


def test_dots_overlap_the_other_defects_in_brightness(brightness):
    classes, rows = brightness
    contrast = rows[:, 2]
    others = contrast[np.isin(classes, [1, 2, 3, 4])]
    white, black = contrast[classes == 5], contrast[classes == 6]
    assert np.percentile(others, 90) > np.percentile(white, 25)
    assert np.percentile(others, 10) < np.percentile(black, 75)


@pytest.mark.parametrize(("defect", "sign"), [("white_dot", 1.0), ("black_dot", -1.0)])
def test_a_threshold_does_not_find_dots(defect, sign):
    scores, truth = [], []
    for part in range(30):
        image, found = render_tile(12, part, part % 2, defect)
        local = image.astype(np.float32) - cv2.medianBlur(image, 31)
        scores.append(sign * local.ravel())
        truth.append(found.defects.ravel() > 0)
    assert average_precision_score(np.concatenate(truth), np.concatenate(scores)) < 0.45


def test_ratio_is_table_3_and_longer_lists_begin_with_shorter_ones():
    hundred = defect_sequence(PouchSettings(defective_parts=100))
    assert Counter(hundred) == {name: int(share) for name, share in TABLE_3.items()}
    assert defect_sequence(PouchSettings(defective_parts=37)) == hundred[:37]
    few = PouchSettings(defective_parts=100, min_parts_per_class=6)
    counts = Counter(defect_sequence(few))
    assert min(counts.values()) == 6
    assert sum(counts.values()) == 100
    assert counts["leakage"] > counts["folding"] >= counts["groove"] > 15


def test_impossible_settings_are_explained():
    with pytest.raises(FlawsmithError, match="needs 30 defective parts"):
        validate(PouchSettings, {"defective_parts": 10, "min_parts_per_class": 5}, source="demo")
    with pytest.raises(FlawsmithError, match="crack"):
        validate(PouchSettings, {"ratio": {"crack": 1.0}}, source="demo")
    with pytest.raises(FlawsmithError, match="no view 4"):
        render_tile(0, 1, 4)
    with pytest.raises(FlawsmithError, match="no defect of"):
        render_tile(0, 1, 0, "crack")
    with pytest.raises(FlawsmithError, match="does not fit"):
        render_tile(0, 1, 0, None, 4096)
    with pytest.raises(FlawsmithError, match="too small"):
        render_frame(0, 1, height=300, width=900)


def test_written_data_set_is_what_was_rendered(tmp_path):
    settings = PouchSettings(good_parts=3, defective_parts=8, min_parts_per_class=1, seed=5)
    calls = []
    data = write_pouch(tmp_path / "pouch", settings, progress=lambda *done: calls.append(done))
    assert calls[-1] == (22, 22)
    assert len(data) == len(calls) == 22
    assert data.schema == schema()
    parts = data.parts()
    assert len(parts) == 11
    assert sum(views[0].is_good for views in parts.values()) == 3
    for name, views in parts.items():
        assert [record.view for record in views] == ["left-light", "right-light"]
        assert views[0].labels == views[1].labels
        defect = views[0].labels[0] if views[0].labels else None
        for number, record in enumerate(views):
            image, found = render_tile(5, int(name.removeprefix("cell-")), number, defect)
            np.testing.assert_array_equal(data.image(record), image)
            stored = data.label_map(record)
            np.testing.assert_array_equal(stored.defects, found.defects)
            np.testing.assert_array_equal(stored.backgrounds, found.backgrounds)
            assert not (stored.defects == IGNORE).any()


def test_larger_data_set_contains_the_smaller_one(tmp_path):
    sizes = [(1, 2), (2, 3)]
    sets = [
        write_pouch(tmp_path / str(g), PouchSettings(good_parts=g, defective_parts=d, views=1))
        for g, d in sizes
    ]
    small, large = ({r.file_name: r.sha256 for r in data} for data in sets)
    assert small.items() < large.items()


def test_spline_weights_sum_to_one_and_slope_is_the_derivative():
    coords = np.arange(0, 40, 0.25, dtype=np.float32)
    first, value, slope = spline_basis(coords, 7.0)
    assert first == 0
    np.testing.assert_allclose(value.sum(axis=1), 1, atol=1e-6)
    knots = np.random.default_rng(0).standard_normal(value.shape[1])
    numeric = np.gradient(value @ knots, 0.25)
    np.testing.assert_allclose(numeric[1:-1], (slope @ knots)[1:-1], atol=1e-3)


def test_noise_is_a_function_of_place():
    surface = Lattice.random(np.random.default_rng(1), (400, 600), (30.0, 50.0), 0.02)
    ys, xs = np.arange(300, dtype=np.float32), np.arange(500, dtype=np.float32)
    whole, part = surface.slopes(ys, xs), surface.slopes(ys[70:90], xs[200:260])
    for all_of_it, piece in zip(whole, part, strict=True):
        np.testing.assert_allclose(all_of_it[70:90, 200:260], piece, atol=1e-6)
    assert 0.005 < whole[0].std() < 0.06
    texture = bank().noise
    wrapped = cut(texture, 1020, -3, 8, 6)
    np.testing.assert_array_equal(wrapped[4:, 3:], texture[:4, :3])
    np.testing.assert_array_equal(wrapped[:4, :3], texture[-4:, -3:])
