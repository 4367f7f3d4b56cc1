import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.bands import Columns
from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.moving_grid import Grid, RowBuffer, row_starts
from flawsmith.inspection.network import Answer
from flawsmith.inspection.regions import find_regions
from flawsmith.inspection.runtime import Runtime
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.inspection.tiling import predict_tiled, tile_grid

from .conftest import NOTHING_THAT_TRAINS

STRIPS = Schema(
    name="a", backgrounds=make_backgrounds(["b"]), defects=make_defects(["dark", "bright"])
)


def surface(height, width, seed=0, dtype=np.uint8, white=255):
    """Return a noisy surface with dark and bright blobs that cross every seam."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 7)
    unit = np.clip(0.5 + 0.25 * smooth / (smooth.std() + 1e-6), 0, 1)
    return np.rint(unit * white).astype(dtype)


def ordered(regions):
    """Return regions in an order that no rounding of a score changes."""
    return sorted(regions, key=lambda region: (region.box, region.class_id, region.area_px))


def assert_same(found, expected):
    """Compare regions; scores of two libraries differ by a rounding of float32."""
    found, expected = ordered(found), ordered(expected)
    scores = [[region.score for region in regions] for regions in (found, expected)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    assert [r.model_copy(update={"score": 0.0}) for r in found] == [
        r.model_copy(update={"score": 0.0}) for r in expected
    ]


def whole_scores(image, white=255):
    unit = image.astype(np.float32) / np.float32(white)
    bright = unit * np.float32(2) - np.float32(1)
    return np.stack([0 * unit, np.clip(-bright, 0, 1), np.clip(bright, 0, 1)])


def whole_regions(image, exported, white=255):
    """Return what the offline code finds in the whole map."""
    scores = whole_scores(image, white)
    index = classify(scores, exported.thresholds)
    return find_regions(index, scores, exported.schema)


@pytest.mark.parametrize("size", [(300, 500), (128, 128), (129, 1000), (40, 30), (64, 700), (1, 1)])
def test_regions_are_those_of_the_whole_map(make_model, size):
    exported = make_model()
    image = surface(*size)
    findings = Runtime(exported, threads=1).inspect(image)
    assert_same(findings.regions, whole_regions(image, exported))
    scores = [region.score for region in findings.regions]
    assert scores == sorted(scores, reverse=True)
    assert (findings.height, findings.width) == size
    assert findings.warnings == []
    assert set(findings.seconds) == {"tiles", "network", "regions"}
    assert size == (1, 1) or findings.regions


def test_windows_of_one_image_share_requests(make_model):
    exported = make_model(window=(64, 64))
    image = surface(64, 2000)
    sizes = []

    class Spy:
        requests, description = 1, "spy"

        def __init__(self):
            self.network = Runtime(exported, threads=1).network

        def infer(self, windows, limits):
            sizes.append(len(windows))
            return self.network.infer(windows, limits)

    found = Runtime(exported, network=Spy()).inspect(image).regions
    assert_same(found, whole_regions(image, exported))
    assert sizes[0] > 1


@given(st.integers(1, 900), st.lists(st.integers(0, 150), min_size=1, max_size=20))
def test_bands_are_where_the_tile_grid_puts_them(side, heights):
    side = side // 32 * 32 + 64
    total = sum(heights)
    schema = Schema(name="a", backgrounds=make_backgrounds(["b"]))
    buffer = RowBuffer(iter([np.zeros((h, 3), np.uint8) for h in heights]), schema)
    if total < side:
        assert not buffer.reach(side)
    found = list(row_starts(buffer, side, 32))
    expected = [y for y, x in tile_grid(total, 3, side, 32) if x == 0]
    assert found == expected


@given(st.integers(1, 6000), st.sampled_from([64, 128, 512, 1024]), st.sampled_from([32, 48]))
def test_columns_cover_everything_with_weights_of_one(width, window, overlap):
    grid = Grid(64 if overlap == 32 else 96, overlap, (window + 64, window + 64), 32)
    side, starts = grid.columns(width)
    assert side <= window + 64
    assert side % 32 == 0
    columns = Columns(starts, side, width, overlap)
    total, count = np.zeros(width), np.zeros(width, int)
    for start, weights in zip(starts, columns.weights, strict=True):
        total[start : start + side] += weights
        count[start : start + side] += 1
    np.testing.assert_allclose(total, 1, atol=1e-6)
    seams = [column for low, high in columns.seams for column in range(low, high)]
    np.testing.assert_array_equal(seams, np.flatnonzero(count > 1))


class Moody:
    """A network whose scores of a pixel depend on the window that it sees it in."""

    requests, description = 2, "moody"

    def scores(self, windows):
        unit = windows.astype(np.float32) / np.float32(255)
        mood = unit.mean(axis=(1, 2), keepdims=True)
        bright = unit * np.float32(2) - np.float32(1) + (mood - np.float32(0.5)) * np.float32(3)
        return np.stack([np.clip(-bright, 0, 1), np.clip(bright, 0, 1)], axis=1)

    def infer(self, windows, limits):
        scores = self.scores(windows[..., 0])
        ratios = scores / limits[:, None, None]
        index = np.where(ratios.max(axis=1) >= 1, ratios.argmax(axis=1) + 1, 0)
        winner = ratios.argmax(axis=1)[:, None]
        confidence = np.take_along_axis(scores, winner, axis=1)[:, 0]
        return Answer(index.astype(np.uint8), confidence, scores)

    def predict(self, windows):
        scores = self.scores(windows)
        return np.concatenate([1 - scores.max(axis=1, keepdims=True), scores], axis=1)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 5), st.sampled_from([32, 40, 48]))
def test_windows_are_blended_as_in_the_test_of_a_run(
    tmp_path_factory, height, width, seed, overlap
):
    card = ModelCard(
        name="moody", backend="openvino", precision="fp32", defect_schema=STRIPS,
        thresholds=Thresholds(pixel=[0.2, 0.3]), tile=96, overlap=overlap, window=(96, 96),
        multiple=32, code_version="0",
    )  # fmt: skip
    exported = ExportedModel(tmp_path_factory.getbasetemp(), card, "0" * 64)
    network, image = Moody(), surface(height, width, seed)
    found = Runtime(exported, network=network).maps(image)
    scores = predict_tiled(image, network.predict, 96, overlap, batch_size=4)
    ratios = np.sort(scores[1:] / np.array([0.2, 0.3])[:, None, None], axis=0)
    # Where both classes, or a score and its threshold, are equal, rounding may decide.
    clear = (np.abs(ratios[-1] - 1) > 1e-4) & (ratios[1] - ratios[0] > 1e-4)
    expected = classify(scores, card.thresholds)
    np.testing.assert_array_equal(found.index[clear], expected[clear])
    winning = np.take_along_axis(scores, expected[None].astype(int), axis=0)[0]
    chosen = clear & (expected > 0)
    np.testing.assert_allclose(found.confidence[chosen], winning[chosen], atol=1e-5)


def test_the_same_image_gives_the_same_bits(make_model):
    exported = make_model(blur=31, window=(64, 64))
    image = surface(300, 501)
    first, second = (Runtime(exported, threads=2).maps(image) for _ in range(2))
    np.testing.assert_array_equal(first.confidence, second.confidence)
    np.testing.assert_array_equal(first.index, second.index)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_defect_at_every_offset_has_the_same_type_and_length(make_model, axis):
    exported = make_model(blur=3, window=(64, 64), thresholds=Thresholds(pixel=[0.3, 0.3]))
    runtime = Runtime(exported, threads=1)
    lengths, types, counts = [], set(), set()
    step = exported.card.window[0] - exported.card.overlap
    for offset in range(20, 20 + step):
        image = np.full((60, 220), 128, np.uint8)
        image[28:32, offset : offset + 90] = 0
        findings = runtime.inspect(image if axis else np.ascontiguousarray(image.T))
        counts.add(len(findings.regions))
        lengths.append(findings.regions[0].length_px)
        types.add(findings.regions[0].class_name)
    assert counts == {1}
    assert types == {"dark"}
    assert max(lengths) <= 1.05 * min(lengths)
    assert 85 <= min(lengths) <= 95


@pytest.mark.parametrize("cuts_at", [[100], [1, 2, 3, 299], list(range(7, 500, 7)), [500]])
def test_streaming_equals_whole(make_model, cuts_at):
    exported = make_model(blur=5)
    runtime = Runtime(exported, threads=2)
    image = surface(500, 300)
    streamed = list(runtime.inspect_rows(iter(np.split(image, cuts_at))))
    whole = runtime.inspect(image).regions
    assert len(whole) > 20
    assert ordered(streamed) == ordered(whole)


def test_regions_of_a_strip_come_before_its_end(make_model):
    exported = make_model()
    given_rows = 0

    def rows():
        nonlocal given_rows
        for seed in range(40):
            given_rows += 50
            yield surface(50, 200, seed)

    first = next(iter(Runtime(exported, threads=1).inspect_rows(rows())))
    assert first.box[1] < 128
    assert given_rows < 600


@pytest.mark.parametrize("depth", [12, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_deep_and_coloured_images(make_model, depth, channels, strip_schema):
    white = (1 << depth) - 1
    exported = make_model(
        defect_schema=strip_schema(bit_depth=depth, white_level=white, channels=channels)
    )
    image = surface(150, 200, dtype=np.uint16, white=white)
    given_image = np.repeat(image[..., None], 3, axis=2) if channels == 3 else image
    found = Runtime(exported, threads=1).inspect(given_image).regions
    expected = whole_regions(image, exported, white)
    assert [r.box for r in ordered(found)] == [r.box for r in ordered(expected)]


def test_thresholds_change_without_a_new_export(make_model):
    exported = make_model()
    image = surface(200, 200)
    strict = Thresholds(pixel=[0.9, 1.0])
    found = Runtime(exported, threads=1, thresholds=strict).maps(image).index
    np.testing.assert_array_equal(found, classify(whole_scores(image), strict))
    with pytest.raises(FlawsmithError, match="3 pixel thresholds for the 2 defect classes"):
        Runtime(exported, thresholds=Thresholds(pixel=[0.5, 0.5, 0.5]))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((50, 50, 3), np.uint8), "a RGB image of uint8; this model takes grey of uint8"),
        (np.zeros((50, 50), np.uint16), "a grey image of uint16; this model takes grey of uint8"),
        (np.zeros((50, 50), np.float32), "grey image of float32"),
        (np.zeros((50, 50, 4), np.uint8), "shape"),
        (np.zeros(50, np.uint8), "shape"),
        (np.zeros((0, 50), np.uint8), "cannot be inspected"),
        (np.zeros((50, 0), np.uint8), "cannot be inspected"),
    ],
)  # fmt: skip
def test_wrong_images_are_errors(make_model, image, message):
    runtime = Runtime(make_model(), threads=1)
    with pytest.raises(FlawsmithError, match=message):
        runtime.inspect(image)
    assert runtime.inspect(surface(64, 64)).height == 64  # the runtime lives on


def test_rows_of_changing_width_are_an_error(make_model):
    blocks = [np.zeros((200, 64), np.uint8), np.zeros((200, 65), np.uint8)]
    with pytest.raises(FlawsmithError, match="rows of 65 pixels follow rows of 64"):
        list(Runtime(make_model(), threads=1).inspect_rows(blocks))


@pytest.mark.parametrize("bias", [float("nan"), 2.0, -2.0])
def test_impossible_confidence_never_passes(make_model, bias):
    runtime = Runtime(make_model(bias=bias), threads=1)
    with pytest.raises(FlawsmithError, match="expected 0 to 1"):
        runtime.inspect(np.full((64, 64), 128, np.uint8))


@pytest.mark.parametrize("answer", ["short", "class", "nan"])
def test_impossible_answers_never_pass(make_model, answer):
    class Liar:
        requests, description = 1, "liar"

        def infer(self, windows, limits):
            shape = (1, 3, 3) if answer == "short" else windows.shape[:3]
            scores = np.zeros((shape[0], 2, *shape[1:]), np.float32)
            confidence = scores[:, 0].copy()
            scores[..., -1] = np.nan if answer == "nan" else 0
            index = np.full(shape, 3 if answer == "class" else 0, np.uint8)
            return Answer(index, confidence, scores)

    with pytest.raises(FlawsmithError, match="export again"):
        Runtime(make_model(), network=Liar()).maps(surface(64, 64))


def test_error_in_the_network_ends_the_image_only(make_model):
    exported = make_model()

    class Failing:
        requests, description = 2, "failing"
        fails = True

        def infer(self, windows, limits):
            if self.fails:
                raise FlawsmithError("the device is gone")
            count, rows, columns, _ = windows.shape
            scores = np.zeros((count, 2, rows, columns), np.float32)
            return Answer(np.zeros((count, rows, columns), np.uint8), scores[:, 0], scores)

    network = Failing()
    runtime = Runtime(exported, network=network)
    with pytest.raises(FlawsmithError, match="the device is gone"):
        runtime.inspect(surface(500, 500))
    network.fails = False
    assert runtime.inspect(surface(500, 500)).regions == []


def test_runtime_works_without_torch(make_model, tmp_path):
    exported = make_model()
    image = surface(200, 300)
    np.save(tmp_path / "image.npy", image)
    code = f"""{NOTHING_THAT_TRAINS}
import numpy as np
from pathlib import Path
from flawsmith.inspection.exported import ExportedModel
from flawsmith.inspection.runtime import Runtime
runtime = Runtime(ExportedModel.load(Path(sys.argv[1])), threads=1)
findings = runtime.inspect(np.load(sys.argv[2]))
assert "torch" not in sys.modules
print(len(findings.regions))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported.folder), str(tmp_path / "image.npy")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(whole_regions(image, exported)) > 0


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from flawsmith.inspection.exported import ExportedModel
from flawsmith.inspection.network import Answer
from flawsmith.inspection.runtime import Runtime
class Black:
    requests, description = 2, "black is a defect"
    def infer(self, windows, limits):
        index = (windows[..., 0] == 0).astype(np.uint8)
        scores = np.stack([index, index * 0], axis=1).astype(np.float32)
        return Answer(index, scores[:, 0], scores)
runtime = Runtime(ExportedModel.load(Path(sys.argv[1])), network=Black())
block = np.full((250, 5400), 128, np.uint8)
block[100:120, 1000:1300] = 0
def rows(count):
    for _ in range(count // 250):
        yield block.copy()
def peak():
    # getrusage would give the peak of the process that started this one, if it was higher.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
found = sum(1 for _ in runtime.inspect_rows(rows(2500)))
before = peak()
found += sum(1 for _ in runtime.inspect_rows(rows(20000)))
print(found, before, peak())
"""


def test_memory_does_not_grow_with_a_strip(make_model):
    exported = make_model(tile=512, window=(512, 512))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(exported.folder)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, before, after = (int(word) for word in done.stdout.split())
    assert found == 10 + 80
    assert after < 1.1 * before  # in KiB; the strip alone has 103 MiB
