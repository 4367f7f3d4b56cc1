import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection import machine_vision
from flawsmith.inspection.blobs import difference_from_background, find_blobs
from flawsmith.inspection.machine_vision import BlobRule, MachineVision
from flawsmith.metrics.segmentation import class_counts, confusion, iou

SCHEMA = Schema(
    name="discs and scratches",
    backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["dark_disc", "bright_scratch", "never"]),
)


def _picture(seed, kind):
    """A noisy surface with a gradient of light and one defect (0: none)."""
    generator = np.random.default_rng(seed)
    light = np.linspace(90, 150, 160)[None] + generator.normal(0, 3, size=(100, 160))
    mask = np.zeros((100, 160), np.uint8)
    x, y = int(generator.integers(25, 135)), int(generator.integers(25, 75))
    if kind == 1:
        cv2.circle(mask, (x, y), int(generator.integers(4, 8)), 1, -1)
    elif kind == 2:
        angle = generator.uniform(0, math.pi)
        ends = (int(x + 20 * math.cos(angle)), int(y + 20 * math.sin(angle)))
        cv2.line(mask, (x, y), ends, 2, 2)
    image = light - 45.0 * (mask == 1) + 45.0 * (mask == 2)
    return np.clip(image, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("vision") / "set"
    with DatasetWriter(root, SCHEMA) as writer:
        for i in range(15):
            image, mask = _picture(i, i % 3)
            writer.add(f"{i:03}", image, LabelMap(mask, mask * 0), part=f"p{i}")
    return DefectDataset.open(root)


@pytest.fixture(scope="module")
def fitted(dataset):
    steps = []
    model = MachineVision.fit(dataset, dataset.records, steps.append)
    assert sum(steps) == MachineVision.FIT_STEPS
    return model


def test_fit_finds_simple_defects_in_images_it_has_not_seen(fitted):
    matrix = np.zeros((4, 4), np.int64)
    for seed in range(100, 118):
        image, mask = _picture(seed, seed % 3)
        scores = fitted.predict(image)
        assert scores.shape == (4, 100, 160)
        assert scores.dtype == np.float32
        assert scores.min() >= 0
        assert scores.max() <= 1
        np.testing.assert_allclose(scores[0], 1 - scores[1:].max(axis=0))
        guess = np.where(scores[1:].max(axis=0) > 0, scores[1:].argmax(axis=0) + 1, 0)
        matrix += confusion(mask, guess.astype(np.uint8), 3)
    values = iou(class_counts(matrix))
    assert values[0] > 0.6
    assert values[1] > 0.4
    assert [rule.class_id for rule in fitted.rules] == [1, 2]
    assert [rule.polarity for rule in fitted.rules] == ["dark", "bright"]


def test_fit_iou_is_what_painting_gives(dataset, fitted):
    # The fit scores blobs from a table; this paints them and counts pixels.
    matrix = np.zeros((4, 4), np.int64)
    for record in dataset:
        scores = fitted.predict(dataset.image(record))
        guess = np.where(scores[1:].max(axis=0) >= 0.5, scores[1:].argmax(axis=0) + 1, 0)
        matrix += confusion(dataset.label_map(record).defects, guess.astype(np.uint8), 3)
    assert fitted.fit_iou == pytest.approx(np.nanmean(iou(class_counts(matrix))), abs=1e-6)


def test_fit_is_deterministic_whatever_the_order_and_survives_a_file(dataset, fitted, tmp_path):
    again = MachineVision.fit(dataset, dataset.records[::-1])
    assert again == fitted
    path = tmp_path / "machine_vision.toml"
    fitted.save(path)
    loaded = MachineVision.load(path)
    assert loaded == fitted
    image, _ = _picture(7, 1)
    assert (loaded.predict(image) == fitted.predict(image)).all()


def test_a_wrong_file_is_told(tmp_path):
    path = tmp_path / "machine_vision.toml"
    path.write_text("num_defect = 2\n")
    with pytest.raises(FlawsmithError, match="did you mean 'num_defects'"):
        MachineVision.load(path)


def test_fit_needs_a_labelled_defect(dataset):
    with pytest.raises(FlawsmithError, match="none of 5 training images"):
        MachineVision.fit(dataset, [r for r in dataset if r.is_good])


def test_sample_is_bounded_skips_what_has_no_mask_and_takes_every_class(dataset, monkeypatch):
    records = [
        r.model_copy(update={"mask_file_name": None}) if r.file_name == "images/001.png" else r
        for r in dataset
    ]
    records[0] = records[0].model_copy(update={"excluded": "blurred"})
    every = machine_vision._choose(records)
    assert len(every) == 13
    monkeypatch.setattr(machine_vision, "MAX_FIT_PIXELS", 4 * 100 * 160)
    few = machine_vision._choose(records)
    assert len(few) == 4
    assert {tuple(r.labels) for r in few} == {(), ("dark_disc",), ("bright_scratch",)}


def test_crop_of_a_large_image_holds_a_defect():
    truth = np.zeros((2000, 5400), np.uint8)
    truth[1990:1995, 5390:5399] = 1
    window = truth[machine_vision._crop(truth)]
    assert window.shape == (768, 768)
    assert window.any()
    assert truth[:300, :200][machine_vision._crop(truth[:300, :200])].shape == (300, 200)


def test_blobs_of_known_shapes_have_known_features():
    difference = np.zeros((60, 80), np.float32)
    difference[5:15, 5:45] = -0.25  # 10 x 40 bar
    difference[30:50, 10:30] = 0.5  # an L: a 20 x 20 square without its 10 x 10 corner
    difference[30:40, 20:30] = 0.0
    difference[55, 70] = 0.3
    blobs = find_blobs(difference, dark=0.2, bright=0.25, opening=1, closing=1)
    assert blobs.polarity.tolist() == [-1, 1, 1]
    area, elongation, solidity, contrast, texture = blobs.features.T
    assert area.tolist() == [400, 300, 1]
    # A bar's moments are w^2 / 12 and h^2 / 12.
    assert elongation == pytest.approx([4, elongation[1], 1])
    assert solidity == pytest.approx([1, 300 / 350, 1])
    assert contrast == pytest.approx([0.25, 0.5, 0.3])
    assert texture == pytest.approx([0, 0, 0], abs=1e-6)


def test_opening_removes_specks_and_closing_joins_pieces():
    difference = np.zeros((30, 30), np.float32)
    difference[5:10, 5:10] = difference[5:10, 12:17] = 1
    difference[20, 20] = 1
    count = {
        (o, c): len(find_blobs(difference, dark=0.5, bright=0.5, opening=o, closing=c))
        for o in (1, 3)
        for c in (1, 5)
    }
    assert count == {(1, 1): 3, (3, 1): 2, (1, 5): 2, (3, 5): 1}


def test_difference_ignores_slow_light_and_keeps_small_defects():
    image, mask = _picture(3, 1)
    difference = difference_from_background(image.astype(np.float32) / 255, 31)
    assert difference[mask == 1].mean() == pytest.approx(-45 / 255, abs=0.03)
    assert abs(difference[mask == 0].mean()) < 0.01
    flat = difference_from_background(np.full((9, 9), 0.25, np.float32), 0)
    assert (flat == 0).all()
    noise = np.random.default_rng(0).normal(0.5, 0.02, size=(80, 80)).astype(np.float32)
    quiet = difference_from_background(noise, 31, blur=2.0)
    # White noise after a Gaussian of sigma s keeps 1 / (2 s sqrt(pi)) of its deviation.
    expected = 0.02 / (4 * math.sqrt(math.pi))
    assert quiet[10:-10, 10:-10].std() == pytest.approx(expected, rel=0.3)


def test_confidence_is_one_in_the_middle_half_at_the_edge_and_zero_for_the_wrong_polarity():
    rule = BlobRule(
        class_id=1,
        polarity="dark",
        area=(10, 1000),
        elongation=(1, 4),
        solidity=(0.6, 1.0),
        contrast=(0.1, 0.3),
        texture=(0.0, 0.1),
    )
    middle = [100, 2, 0.8, 0.2, 0.05]
    rows = np.array(
        [middle, [1000, *middle[1:]], [*middle[:3], 0.4, 0.05], middle, [1e5, *middle]][:4]
    )
    blobs = SimpleNamespace(features=rows, polarity=np.array([-1, -1, -1, 1]))
    assert rule.confidence(blobs) == pytest.approx([1, 0.5, 0, 0])


def test_plain_image_and_colour_image_are_predicted(fitted):
    plain = fitted.predict(np.full((50, 60), 120, np.uint8))
    assert (plain[0] == 1).all()
    assert (plain[1:] == 0).all()
    image, _ = _picture(7, 1)
    colour = np.repeat(image[..., None], 3, axis=2)
    assert (fitted.predict(colour) == fitted.predict(image)).all()
