"""Score and place of the farthest patch; distances are made up, no graph is needed."""

import io

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from scipy.ndimage import label

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.findings import Novelty
from flawsmith.inspection.novelty import (
    REACH,
    NoveltyDetector,
    NoveltySettings,
    NoveltyTracker,
    farthest,
    parse_expected,
)
from flawsmith.inspection.patchcore import BANDS
from flawsmith.inspection.runtime import Runtime
from flawsmith.inspection.thresholds import Thresholds

SCHEMA = Schema(
    name="test", backgrounds=make_backgrounds(["body"]), defects=make_defects(["crack"])
)
RNG = np.random.default_rng(0)
TILE = 64


def settings(**changes):
    values = {
        "tile": TILE, "overlap": 16, "smoothing": 1.0,
        "limit": 2.0, "review_rate": 0.05, "good_parts": 19,
    }  # fmt: skip
    return NoveltySettings(**values | changes)


def detector(**changes):
    """Take the brightness of every fourth pixel for its distance; good images have 1 +- 2."""
    expected = np.array([[1.0], [2.0]], np.float32).repeat(BANDS**2, 1)
    return NoveltyDetector(
        lambda tiles: tiles[:, ::4, ::4, 0].astype(np.float32),
        settings(**changes),
        expected,
        SCHEMA,
    )


def test_score_is_the_excess_over_the_limit():
    for level, score in ((1, 0.0), (0, 0.0), (5, 1.0), (17, 4.0)):
        found = detector().inspect(np.full((90, 130), level, np.uint8))
        assert found.score == pytest.approx(score, abs=1e-5)
    assert detector(limit=4.0).inspect(np.full((9, 9), 17, np.uint8)).score == pytest.approx(2.0)


def test_nothing_above_good_parts_has_no_place():
    assert detector().inspect(np.zeros((40, 40), np.uint8)) == Novelty(score=0.0, box=None)


def test_box_is_around_the_stranger_and_nothing_else():
    image = np.full((150, 200), 1, np.uint8)
    image[100:116, 60:84] = 200
    image[20:28, 150:158] = 90  # a lesser one elsewhere
    found = detector().inspect(image)
    x, y, width, height = found.box
    assert (abs(x - 60) <= 4, abs(y - 100) <= 4) == (True, True)
    assert (abs(width - 24) <= 8, abs(height - 16) <= 8) == (True, True)


def expected_box(heat):
    """Find the same without cutting anything: components of at least half the peak."""
    numbers, _ = label(heat >= heat.max() / 2, structure=np.ones((3, 3)))
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    rows, columns = np.nonzero(numbers == numbers[y, x])
    low_y, low_x = rows.min(), columns.min()
    return low_x, low_y, columns.max() - low_x + 1, rows.max() - low_y + 1


@pytest.mark.parametrize("band", [1, 7, 64, 1000])
def test_any_bands_give_the_same_place(band):
    for _ in range(5):
        heat = RNG.random((700, 40)).astype(np.float32) ** 4
        y = int(RNG.integers(0, 690))
        heat[y : y + 9, 3:30] = 1.5
        heat[y + 2, 20] = 2.0
        tracker = NoveltyTracker()
        for start in range(0, len(heat), band):
            tracker.add(heat[start : start + band])
        found = tracker.finish()
        assert found.score == 2.0
        assert found.box == expected_box(heat) == farthest(heat).box


def test_box_of_an_endless_place_is_bounded():
    heat = np.ones((3 * REACH, 3 * REACH), np.float32)
    heat[500, 300] = 1.5
    assert farthest(heat).box == (300 - REACH, 500 - REACH, 2 * REACH + 1, 2 * REACH + 1)


def test_first_of_equal_places_wins():
    heat = np.zeros((20, 20), np.float32)
    heat[3, 4] = heat[15, 2] = 1.0
    assert farthest(heat).box == (4, 3, 1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_never_good(value):
    heat = np.zeros((20, 20), np.float32)
    heat[5, 5] = value
    with pytest.raises(FlawsmithError, match="not finite"):
        farthest(heat)


@pytest.mark.parametrize("rows", [1, 50, 300])
def test_stream_finds_what_the_heat_map_shows(rows):
    image = RNG.integers(0, 200, (300, 90), np.uint8)
    stream = detector().stream()
    blocks = [image[y : y + rows] for y in range(0, 300, rows)]
    assert all(a is b for a, b in zip(stream.watch(blocks), blocks, strict=True))
    found, expected = stream.finish(), farthest(detector().heat_map(image))
    assert found.score == pytest.approx(expected.score, rel=1e-4)
    assert found.box == expected.box
    whole = detector().inspect(image)
    assert whole.score == pytest.approx(expected.score, rel=1e-4)
    assert whole.box == expected.box


def test_an_image_without_rows_is_no_good_one():
    with pytest.raises(FlawsmithError, match="without a row"):
        detector().inspect(np.zeros((0, 8), np.uint8))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.uint16),  # nobody knows which eight bits
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_other_pixels_are_refused(pixels):
    with pytest.raises(FlawsmithError, match="grey"):
        detector().inspect(pixels)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_hides_everything_is_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        settings(limit=limit)


@pytest.mark.parametrize("damage", ["empty", "torn", "shape", "nan", "zero", "pickled"])
def test_damaged_files_are_explained(damage):
    table, stream = np.ones((2, BANDS**2)), io.BytesIO()
    if damage == "pickled":
        np.savez(stream, expected=np.array([{}], object))
    elif damage not in ("empty", "torn"):
        table = table[:, 1:] if damage == "shape" else table
        table[1, 3] = {"nan": np.nan, "zero": 0.0}.get(damage, 1.0)
        np.savez(stream, expected=table)
    data = b"PK\x03\x04 torn" if damage == "torn" else stream.getvalue()
    with pytest.raises(FlawsmithError, match="export the model again"):
        parse_expected(data)


@pytest.mark.parametrize("graph", [b"", b"<net>"])
def test_a_broken_graph_is_explained(graph):
    stream = io.BytesIO()
    np.savez(stream, expected=np.ones((2, BANDS**2)))
    files = {"novelty.npz": stream.getvalue(), "novelty.xml": graph, "novelty.bin": b""}
    with pytest.raises(FlawsmithError, match=r"novelty\.xml .* export the model again"):
        NoveltyDetector.from_files(files.__getitem__, settings(), SCHEMA)


@pytest.mark.parametrize(
    ("novelty", "message"),
    [(None, "--novelty PATCHCORE_RUN"), ({"tile": 64}, r"table 'novelty' of .*model\.json")],
)
def test_a_model_without_settings_is_explained(tmp_path, novelty, message):
    card = ModelCard(
        name="m", backend="openvino", precision="fp32", schema=SCHEMA,
        thresholds=Thresholds(pixel=[0.5]), tile=64, overlap=32, window=(64, 64), multiple=32,
        novelty=novelty, code_version="0",
    )  # fmt: skip
    with pytest.raises(FlawsmithError, match=message):
        NoveltyDetector.load(ExportedModel(tmp_path, card, "0" * 64))


def write_novelty(folder):
    """Write files whose distances are the brightness over blocks of 8 x 8 pixels."""
    image = ops.parameter([1, TILE, TILE, 1], np.uint8, name="tiles")
    planes = ops.transpose(ops.convert(image, "f32"), np.array([0, 3, 1, 2]))
    mean = ops.avg_pool(planes, [8, 8], [0, 0], [0, 0], [8, 8], True)
    model = openvino.Model([ops.result(ops.squeeze(mean, np.array([1])))], [image], "brightness")
    openvino.save_model(model, folder / "novelty.xml", compress_to_fp16=False)
    expected = np.array([[100.0], [10.0]], np.float32).repeat(BANDS**2, 1)
    np.savez(folder / "novelty.npz", expected=expected)


@pytest.fixture
def runtime(make_model):
    exported = make_model(novelty=settings().model_dump())
    write_novelty(exported.folder)
    return Runtime(ExportedModel.write(exported.folder, exported.card), threads=1)


def test_runtime_finds_novelty_beside_regions(runtime):
    image = np.full((200, 300), 120, np.uint8)
    found = runtime.inspect(image)
    assert found.novelty.score == pytest.approx(1.0)  # two deviations, which is the limit
    image[80:120, 150:200] = 180
    found = runtime.inspect(image)
    assert found.novelty.score == pytest.approx(4.0, rel=0.02)
    x, y, width, height = found.novelty.box
    assert 140 < x < x + width < 210
    assert 70 < y < y + height < 130
    assert set(found.seconds) == {"tiles", "network", "regions", "novelty"}

    stream = runtime.novelty.stream()
    blocks = (image[y : y + 30] for y in range(0, 200, 30))
    regions = list(runtime.inspect_rows(stream.watch(blocks)))
    assert len(regions) == len(found.regions)
    assert stream.finish().box == found.novelty.box


def test_changed_files_are_refused(runtime):
    folder = runtime.exported.folder
    for name in ("novelty.npz", "novelty.xml"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1])
        with pytest.raises(FlawsmithError, match=rf"{name} has been changed"):
            ExportedModel.load(folder)
        with pytest.raises(FlawsmithError, match=rf"{name} has been changed"):
            Runtime(runtime.exported)
        (folder / name).write_bytes(content)
