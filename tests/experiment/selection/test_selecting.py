"""The selection of drawn images by a model that reads grey values."""

import hashlib
import json
import re

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset, LabelMap
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.selection import select, write_selection
from flawsmith.experiment.selection.real_defects import cut_tiles

from .conftest import SIZE, draw, read_grey

REAL = [draw(value) for value in (160, 170, 180, 190, 200, 190)]
REAL += [draw(20, label=2), draw(30, label=2)]


def codes(result):
    return [[reason.code for reason in image.reasons] for image in result.images]


def test_each_image_is_judged_by_its_own_class(world):
    made = [
        draw(200), draw(160), draw(159), draw(0), draw(200, speck=150),
        draw(20, label=2), draw(180, label=2),
    ]  # fmt: skip
    request = world(REAL, made)
    result = select(request, copies=False, predict=read_grey)
    assert codes(result) == [
        [], [], ["not_recognised"], ["not_recognised", "other_class"], ["outside"],
        [], ["not_recognised", "other_class"],
    ]  # fmt: skip
    crack, stain = result.classes
    assert crack.limits.probability == pytest.approx(0.6)
    assert (crack.accepted.count, crack.accepted.total) == (2, 5)
    assert crack.reasons == {"not_recognised": 2, "other_class": 1, "outside": 1}
    assert crack.real_failing.count == 0
    assert crack.median_real == pytest.approx(0.85)
    assert stain.limits.pooled
    assert "stain: fewer than 5 real validation defects" in " ".join(result.warnings)


def test_a_failing_generator_and_a_blind_model_are_told(world):
    made = [draw(140) for _ in range(6)]
    result = select(world(REAL, made), copies=False, predict=read_grey)
    assert any("crack: only 0 % (0 of 6) accepted" in text for text in result.warnings)

    def blind(images):
        return [0.01 * scores for scores in read_grey(images)]

    result = select(world_again(world, made), copies=False, predict=blind)
    assert any("crack: the model gives a real validation" in text for text in result.warnings)


def world_again(world, made):
    request = world([], [])
    assert len(request.made) == len(made), "the folder keeps what was written"
    return request


def test_real_surfaces_are_compared_bit_for_bit(world):
    changed = draw(200, speck=150)
    surface = draw(100, speck=150)
    surface[1].defects[:] = 0
    request = world(
        [*REAL, surface], [draw(200), changed, draw(200, speck=151)],
        system="dbs_gan_real", needs=frozenset({"background_images"}),
        parents=["images/data-0.png", f"images/data-{len(REAL)}.png"],
    )  # fmt: skip
    result = select(request, copies=False, predict=read_grey)
    assert [image.untouched for image in result.images] == [True, True, False]
    # What looks like a defect is on the real surface as well: no artefact.
    assert codes(result) == [[], [], ["outside"]]
    assert any(text.startswith("1 images differ from every parent") for text in result.warnings)


def test_written_sets_keep_pixels_and_origin(world, tmp_path):
    request = world(REAL, [draw(200), draw(120), draw(20, label=2), draw(190)])
    result = select(request, copies=False, predict=read_grey)
    page = write_selection(request, result, tmp_path / "out")
    accepted = DefectDataset.open(tmp_path / "out" / "accepted")
    rejected = DefectDataset.open(tmp_path / "out" / "rejected")
    names = [[r.file_name for r in s] for s in (accepted, rejected)]
    assert names == [[f"images/made-{i}.png" for i in (0, 2, 3)], ["images/made-1.png"]]
    before = {record.file_name: record for record in request.made}
    for dataset in (accepted, rejected):
        for record in dataset:
            assert record == before[record.file_name]
            data = dataset.path(record.file_name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == record.sha256
            given = request.synthetic.label_map(before[record.file_name])
            assert np.array_equal(dataset.label_map(record).defects, given.defects)
    settings = json.loads((tmp_path / "out" / "accepted" / "synthesis.json").read_text())
    before = json.loads((request.synthetic.root / "synthesis.json").read_text())
    assert settings == before | {"plan": {"crack": 2, "stain": 1}}
    assert before["plan"] == {"crack": 90, "stain": 9}
    text = page.read_text()
    assert "75 % (3 of 4) of the synthetic images are accepted" in text
    assert "not recognised (crack): 0.200, below 0.600" in text
    assert re.search(r"(src|href)=\"(?!data:)", text) is None
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert len(numbers["images"]) == 4
    with pytest.raises(FlawsmithError, match="out"):
        write_selection(request, result, tmp_path / "out")


def test_quantile_and_scores_are_checked(world):
    request = world(REAL, [draw(200)])
    for quantile in (0.0, 0.5, -1.0, float("nan")):
        with pytest.raises(FlawsmithError, match="--quantile"):
            select(request, quantile=quantile, copies=False, predict=read_grey)
    for wrong in (lambda scores: scores[:2], lambda scores: scores * np.float32("nan")):
        with pytest.raises(FlawsmithError, match="gives scores of the shape"):
            select(
                request, copies=False,
                predict=lambda images, wrong=wrong: [wrong(s) for s in read_grey(images)],
            )  # fmt: skip


def test_every_real_defect_is_in_a_tile_of_its_class(world):
    rng = np.random.default_rng(0)
    defects = np.zeros((200, 300), np.uint8)
    for _ in range(25):
        y, x = rng.integers(0, (190, 280))
        defects[y : y + rng.integers(1, 9), x : x + rng.integers(1, 19)] = rng.integers(1, 3)
    defects[100, 10:290] = 1  # longer than a tile
    label_map = LabelMap(defects, np.zeros_like(defects))
    request = world([(rng.integers(0, 255, (200, 300)).astype(np.uint8), label_map)], [draw(200)])
    [record] = request.data.records
    tiles = list(cut_tiles(request.data, record, SIZE))
    covered = {1: np.zeros_like(defects, bool), 2: np.zeros_like(defects, bool)}
    for tile in tiles:
        w = tile.window
        assert (w.height, w.width) == (SIZE, SIZE) == tile.image.shape
        rows, columns = slice(w.top, w.top + SIZE), slice(w.left, w.left + SIZE)
        assert np.array_equal(tile.defects, defects[rows, columns])
        assert (tile.defects == tile.class_id).any()
        covered[tile.class_id][rows, columns] = True
    assert covered[2][defects == 2].all()
    assert (covered[1] & (defects == 1)).sum() > 0.5 * (defects == 1).sum()
    assert len(tiles) < 27
