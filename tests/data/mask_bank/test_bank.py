"""The mask bank: real masks only, varied, where they occur, never off the part."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.mask_bank import DrawnLabelMap, MaskBank
from flawsmith.data.mask_bank.instances import MaskInstance, measure_habit
from flawsmith.data.mask_bank.layouts import boundary_distance
from flawsmith.data.mask_bank.shapes import direction, heart, split_instances, trim
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError

BODY, OUTSIDE = 0, 1
DOT, LEAKAGE, SCRATCH = 1, 2, 3


def make_schema() -> Schema:
    return Schema(
        name="cell",
        backgrounds=[
            {"id": BODY, "name": "body", "colour": "#202020"},
            {"id": OUTSIDE, "name": "outside", "colour": "#606060"},
        ],
        defects=[
            {"id": DOT, "name": "dot", "colour": "#e69f00"},
            {"id": LEAKAGE, "name": "leakage", "colour": "#56b4e9"},
            {"id": SCRATCH, "name": "scratch", "colour": "#009e73"},
            {"id": 4, "name": "spore", "colour": "#f0e442"},
        ],
    )


def body_map(rng: np.random.Generator, height: int = 96, width: int = 120) -> np.ndarray:
    """A part whose left edge is somewhere in the first half of the image."""
    backgrounds = np.zeros((height, width), np.uint8)
    backgrounds[:, : int(rng.integers(20, width // 2))] = OUTSIDE
    return backgrounds


def draw_defect(class_id: int, backgrounds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dots anywhere on the body, leakage right at its edge, vertical scratches anywhere."""
    defects = np.zeros_like(backgrounds)
    height, width = defects.shape
    edge = int((backgrounds[0] == OUTSIDE).sum())
    y = int(rng.integers(12, height - 12))
    if class_id == LEAKAGE:
        cv2.ellipse(defects, (edge + 4, y), (3, 6), 0, 0, 360, class_id, -1)
    elif class_id == SCRATCH:
        x = int(rng.integers(edge + 8, width - 8))
        cv2.line(defects, (x, y - 11), (x + 2, y + 11), class_id, 2)
    else:
        cv2.circle(defects, (int(rng.integers(edge + 6, width - 6)), y), 3, class_id, -1)
    return defects


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    """Thirty-six parts with one defect each, in three folds, and one excluded image."""
    root = tmp_path_factory.mktemp("cells")
    rng = np.random.default_rng(7)
    with DatasetWriter(root, make_schema()) as writer:
        for index in range(36):
            backgrounds = body_map(rng)
            defects = draw_defect(1 + index % 3, backgrounds, rng)
            writer.add(
                f"cell-{index:02d}",
                np.full(defects.shape, 90, np.uint8),
                LabelMap(defects, backgrounds),
                part=f"part-{index}",
                fold=index // 3 % 3,
            )
        spore = np.full((8, 8), 4, np.uint8)
        writer.add("bad", spore, LabelMap(spore, spore * 0), part="bad", fold=1, excluded="blurred")
    return DefectDataset.open(root)


@pytest.fixture(scope="module")
def bank(dataset: DefectDataset) -> MaskBank:
    return MaskBank.from_dataset(dataset, [r for r in dataset if r.fold != 0])


def draws(bank: MaskBank, class_id: int, count: int, **options: object) -> list[DrawnLabelMap]:
    return [
        bank.draw(np.random.default_rng(seed), class_id, 64, 64, **options)  # type: ignore[arg-type]
        for seed in range(count)
    ]


def test_bank_uses_the_given_records_only(dataset: DefectDataset, bank: MaskBank) -> None:
    used = {i.file_name for instances in bank.instances.values() for i in instances}
    used |= {layout.file_name for layout in bank.layouts}
    assert used == {r.file_name for r in dataset if r.fold != 0 and r.excluded is None}
    assert bank.classes == [DOT, LEAKAGE, SCRATCH]


@pytest.mark.parametrize("class_id", [DOT, LEAKAGE, SCRATCH])
def test_drawn_defect_is_there_and_never_off_the_part(bank: MaskBank, class_id: int) -> None:
    for drawn in draws(bank, class_id, 80):
        defects, backgrounds = drawn.label_map.defects, drawn.label_map.backgrounds
        assert defects.shape == backgrounds.shape == (64, 64)
        assert defects.dtype == backgrounds.dtype == np.uint8
        assert set(np.unique(defects)) == {0, class_id}
        assert (backgrounds[defects > 0] == BODY).all()


def test_draws_are_deterministic_and_different(bank: MaskBank) -> None:
    first, again = draws(bank, DOT, 30), draws(bank, DOT, 30)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.label_map.defects, two.label_map.defects)
        np.testing.assert_array_equal(one.label_map.backgrounds, two.label_map.backgrounds)
        assert one.parents == two.parents
    assert len({d.label_map.defects.tobytes() for d in first}) == 30


def test_parents_are_the_images_of_mask_and_layout(dataset: DefectDataset, bank: MaskBank) -> None:
    labels = {r.file_name: r.labels for r in dataset if r.fold != 0}
    seen = set()
    for drawn in draws(bank, LEAKAGE, 60):
        assert 1 <= len(drawn.parents) <= 2
        assert labels[drawn.parents[0]] == ["leakage"]
        assert set(drawn.parents) <= set(labels)
        seen |= set(drawn.parents)
    assert any(labels[name] != ["leakage"] for name in seen), "layouts of other images too"


def test_leakage_keeps_to_the_edge_and_dots_go_anywhere(bank: MaskBank) -> None:
    assert bank.habits[LEAKAGE].keeps_boundary
    assert not bank.habits[DOT].keeps_boundary

    def distances(class_id: int) -> np.ndarray:
        found = []
        for drawn in draws(bank, class_id, 100):
            label_map = drawn.label_map
            if (label_map.backgrounds == OUTSIDE).any():  # else the edge is out of the tile
                y, x = heart(label_map.defects > 0)
                found.append(boundary_distance(label_map.backgrounds)[y, x])
        return np.array(found)

    leakage, dots = distances(LEAKAGE), distances(DOT)
    assert len(leakage) > 40
    assert np.percentile(leakage, 90) < 12
    assert np.median(dots) > 2 * np.median(leakage)


def test_scratches_keep_their_direction(bank: MaskBank) -> None:
    assert bank.habits[SCRATCH].keeps_direction
    assert not bank.habits[DOT].keeps_direction
    found = [direction(d.label_map.defects > 0) for d in draws(bank, SCRATCH, 40)]
    assert np.mean(found).real < -0.8


def lines(degrees: list[float], parts: int) -> list[MaskInstance]:
    """Return a line at each of these angles, shared out over so many parts."""
    found = []
    for number, angle in enumerate(degrees):
        canvas = np.zeros((65, 65), np.uint8)
        along = 30 * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        ends = [tuple(round(32 + sign * v) for v in along) for sign in (-1, 1)]
        cv2.line(canvas, *ends, 1, 1)
        part = f"part {number * parts // len(degrees)}"
        place = {"position": (0.5, 0.5), "covers": frozenset({0}), "background": 0}
        found.append(
            MaskInstance(DOT, trim(canvas > 0).mask, part, part, boundary_distance=9.0, **place)
        )
    return found


@pytest.mark.parametrize(
    ("widest", "parts", "kept"),
    [(10, 12, True), (50, 12, True), (60, 24, False), (50, 5, False), (10, 5, True)],
)
def test_a_direction_is_kept_that_is_preferred_beyond_chance(widest, parts, kept) -> None:
    """Axes spread evenly over +-50 degrees have a resultant of 0.56, on few parts by luck."""
    degrees = np.linspace(-widest, widest, 24, endpoint=False).tolist()
    assert measure_habit(lines(degrees, parts), []).keeps_direction is kept


def test_many_defects_of_one_part_are_no_direction() -> None:
    """Twelve parallel scratches of one part, and one in any direction on each of nine others."""
    parallel = [replace(line, part="scratched") for line in lines([0.0] * 12, 1)]
    others = lines(np.linspace(0, 180, 9, endpoint=False).tolist(), 9)
    assert not measure_habit([*parallel, *others], []).keeps_direction


def test_position_that_is_characteristic_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with DatasetWriter(tmp_path, make_schema()) as writer:
        for index in range(12):
            defects = np.zeros((80, 200), np.uint8)
            cv2.circle(defects, (int(rng.integers(10, 190)), int(rng.integers(8, 13))), 3, DOT, -1)
            label_map = LabelMap(defects, np.zeros_like(defects))
            writer.add(str(index), defects, label_map, part=str(index))
    dataset = DefectDataset.open(tmp_path)
    bank = MaskBank.from_dataset(dataset, dataset)
    assert bank.habits[DOT].keeps_height
    assert not bank.habits[DOT].keeps_width
    places = np.array(
        [
            heart(bank.draw(np.random.default_rng(s), DOT, 80, 200).label_map.defects > 0)
            for s in range(80)
        ]
    )
    assert places[:, 0].max() < 30
    counts, _ = np.histogram(places[:, 1], bins=4, range=(0, 200))
    assert counts.min() >= 8, "20 expected in each quarter of the width"
    # One part photographed twelve times tells nothing of where the class occurs.
    same = [r.model_copy(update={"part": "one"}) for r in dataset]
    assert not MaskBank.from_dataset(dataset, same).habits[DOT].keeps_height


def test_position_without_a_habit_is_spread_over_the_background(bank: MaskBank) -> None:
    half = np.zeros((64, 64), np.uint8)
    half[:32] = OUTSIDE
    ys, xs = np.array(
        [heart(d.label_map.defects > 0) for d in draws(bank, DOT, 200, background_map=half)]
    ).T
    assert ys.min() >= 32
    counts, _, _ = np.histogram2d(ys, xs, bins=2, range=((32, 64), (0, 64)))
    assert counts.min() >= 25, "50 expected in each quarter"


def test_defect_is_cut_where_it_does_not_fit_the_part(bank: MaskBank) -> None:
    strip = np.full((64, 64), OUTSIDE, np.uint8)
    strip[40:43, 20:60] = BODY
    for drawn in draws(bank, SCRATCH, 30, background_map=strip):
        assert drawn.label_map.defects.any()
        assert (strip[drawn.label_map.defects > 0] == BODY).all()
        np.testing.assert_array_equal(drawn.label_map.backgrounds, strip)
        assert len(drawn.parents) == 1, "the given background is no parent"


def test_only_place_that_fits_is_found(bank: MaskBank) -> None:
    hole = np.full((64, 64), OUTSIDE, np.uint8)
    hole[30:46, 9:25] = BODY
    for drawn in draws(bank, DOT, 30, background_map=hole):
        assert drawn.label_map.defects.sum() >= 9, "whole dots, not clipped ones"


def test_layout_smaller_than_the_tile_is_continued(bank: MaskBank) -> None:
    for seed in range(20):
        drawn = bank.draw(np.random.default_rng(seed), LEAKAGE, 160, 144)
        assert drawn.label_map.defects.shape == (160, 144)
        assert drawn.label_map.defects.any()
        assert (drawn.label_map.backgrounds[drawn.label_map.defects > 0] == BODY).all()


def test_several_defects_do_not_touch(bank: MaskBank) -> None:
    numbers, mixed = [], 0
    for drawn in draws(bank, DOT, 80, max_defects=3):
        defects = drawn.label_map.defects
        assert (defects == DOT).any()
        assert (drawn.label_map.backgrounds[defects > 0] == BODY).all()
        regions, labels = cv2.connectedComponents((defects > 0).astype(np.uint8), connectivity=8)
        assert all(len(np.unique(defects[labels == i])) == 1 for i in range(1, regions))
        pieces = sum(len(list(split_instances(defects == c))) for c in np.unique(defects)[1:])
        numbers.append(pieces)
        mixed += len(np.unique(defects)) > 2
        assert len(drawn.parents) <= 4
    assert set(numbers) == {1, 2, 3}
    assert mixed > 10


def test_images_are_drawn_evenly_and_specks_rarely(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path, make_schema()) as writer:
        for name in ("splash", "single"):
            defects = np.zeros((60, 60), np.uint8)
            cv2.circle(defects, (20, 20), 10, DOT, -1)
            if name == "splash":
                defects[40:56:8, 4:56:8] = DOT  # fourteen specks of one pixel
            writer.add(name, defects, LabelMap(defects, defects * 0), part=name)
    dataset = DefectDataset.open(tmp_path)
    bank = MaskBank.from_dataset(dataset, dataset)
    assert len(bank.instances[DOT]) == 16
    drawn = draws(bank, DOT, 300)
    assert 120 < sum(d.parents == ("images/splash.png",) for d in drawn) < 180
    assert sum(d.label_map.defects.sum() < 20 for d in drawn) < 20, "7 expected of 150"


def test_class_without_a_mask_is_a_clear_error(bank: MaskBank) -> None:
    expected = r"no training image has a mask of 'spore' \(there are masks of: dot, leakage, scr"
    with pytest.raises(FlawsmithError, match=expected):
        bank.draw(np.random.default_rng(0), 4, 64, 64)


def test_background_that_the_class_never_occurs_on_is_a_clear_error(bank: MaskBank) -> None:
    outside = np.full((64, 64), OUTSIDE, np.uint8)
    with pytest.raises(FlawsmithError, match="'dot' occurs on body only"):
        bank.draw(np.random.default_rng(0), DOT, 64, 64, background_map=outside)


def test_memory_is_bounded_by_a_random_sample(dataset: DefectDataset) -> None:
    limit = 3 * (96 * 120 + 20 * 360)  # about three layouts; each class keeps a mask or more
    small = MaskBank.from_dataset(dataset, dataset, max_bytes=limit)
    assert 1 <= len(small.layouts) <= 3
    assert sum(layout.size_bytes for layout in small.layouts) <= limit
    tiny = MaskBank.from_dataset(dataset, dataset, max_bytes=1)
    assert {c: len(found) for c, found in tiny.instances.items()} == {
        DOT: 1,
        LEAKAGE: 1,
        SCRATCH: 1,
    }
    assert len(tiny.layouts) == 1
    kept = {
        MaskBank.from_dataset(dataset, dataset, max_bytes=1, seed=s).layouts[0].file_name
        for s in range(12)
    }
    assert len(kept) > 4, "not always the first or the last image"
