"""The background bank: no defect, the wanted backgrounds, the same region for the same seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.background_bank import CLEARANCE, BackgroundBank
from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import IGNORE, Schema, make_defects
from flawsmith.errors import FlawsmithError

SCHEMA = Schema(
    name="cells",
    backgrounds=[
        {"id": 0, "name": "body", "colour": "#202020"},
        {"id": 1, "name": "outside", "colour": "#606060"},
    ],
    defects=make_defects(["dot"]),
)

Maker = Callable[..., DefectDataset]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return a function that writes images whose pixels tell their column; a defect reads 255."""

    def write(count: int = 1, *, size: int = 96, box: tuple[slice, slice] | None = None,
              value: int = 1, edge: int = 0, **fields: object) -> DefectDataset:  # fmt: skip
        root = tmp_path / "data"
        with DatasetWriter(root, SCHEMA) as writer:
            for _ in range(count):
                defects = np.zeros((size, size), np.uint8)
                if box is not None:
                    defects[box] = value
                image = np.tile(np.arange(size, dtype=np.uint8), (size, 1))
                image[defects > 0] = 255
                backgrounds = np.zeros_like(defects)
                backgrounds[:, :edge] = 1
                name = f"cell-{len(writer):02d}"
                values = {"part": name} | fields
                writer.add(name, image, LabelMap(defects, backgrounds), **values)
        return DefectDataset.open(root)

    return write


def bank_of(dataset: DefectDataset, **options: int) -> BackgroundBank:
    return BackgroundBank.from_dataset(dataset, dataset, **options)


def draw(bank: BackgroundBank, seed: int = 0, size: int = 32, **options: frozenset[int]):  # type: ignore[no-untyped-def]
    return bank.draw(np.random.default_rng(seed), size, size, **options)


@pytest.mark.parametrize("value", [1, IGNORE])
def test_region_is_native_and_keeps_clear_of_labels(make: Maker, value: int) -> None:
    bank = bank_of(make(box=(slice(40, 50), slice(40, 50)), value=value))
    for seed in range(60):
        image = draw(bank, seed).image
        assert image.shape == (32, 32, 1)
        assert image.dtype == np.float32
        columns = np.rint(image[0, :, 0] * 255).astype(int)
        assert (np.diff(columns) == 1).all(), "one pixel of the image is one of the region"
        assert image.max() < 1.0
    blocked = bank._load(0).blocked
    assert blocked is not None
    assert blocked[40 - CLEARANCE, 45]
    assert not blocked[40 - CLEARANCE - 1, 45]


def test_good_images_come_first_if_they_are_enough(make: Maker) -> None:
    make(3, box=(slice(0, 4), slice(0, 4)))
    few = bank_of(make(2))
    assert {draw(few, seed).part for seed in range(80)} == {f"cell-{i:02d}" for i in range(5)}
    many = bank_of(make(8))
    assert {draw(many, s).part for s in range(80)} == {f"cell-{i:02d}" for i in range(3, 13)}


def test_excluded_synthetic_and_weakly_labelled_images_are_never_used(make: Maker) -> None:
    box = (slice(0, 4), slice(0, 4))
    make(1, excluded="blurred")
    make(1, source="synthetic")
    make(1, box=box, weak_labels=["dot"])
    make(1, labels=["dot"], weak_labels=["dot"])
    bank = bank_of(make(1))
    assert {draw(bank, seed).part for seed in range(30)} == {"cell-04"}


def test_needed_backgrounds_are_shown(make: Maker) -> None:
    make(3)
    bank = bank_of(make(1, size=200, edge=10))
    for seed in range(20):
        drawn = draw(bank, seed, needed=frozenset({0, 1}))
        assert drawn.part == "cell-03"
        assert set(np.unique(drawn.backgrounds)) == {0, 1}
        assert drawn.image[0, 0, 0] * 255 < 4  # else fewer than a fifth of 32 columns


def test_only_free_window_is_found(make: Maker) -> None:
    box = (slice(0, 96), slice(0, 56))  # with the clearance, 32 columns are left
    drawn = draw(bank_of(make(1, box=box)), size=32)
    assert round(float(drawn.image[0, 0, 0]) * 255) == 64


def test_small_image_is_continued_by_reflection_and_says_so(make: Maker) -> None:
    drawn = draw(bank_of(make(1, size=20, edge=5)), size=32)
    assert drawn.is_continued
    expected = [*range(20), *range(18, 6, -1)]
    assert np.rint(drawn.image[7, :, 0] * 255).astype(int).tolist() == expected
    assert drawn.backgrounds[7].tolist() == [int(x < 5) for x in expected]
    assert not draw(bank_of(make(1, size=32)), size=16).is_continued


def test_a_region_follows_from_the_generator_whatever_was_drawn_before(make: Maker) -> None:
    make(6, box=(slice(20, 70), slice(20, 70)))  # no room for 32 pixels: found out on the way
    dataset = make(3, box=(slice(0, 4), slice(0, 4)))
    used = bank_of(dataset)
    later = [draw(used, seed) for seed in (*range(20), *range(20))][20:]
    for seed, drawn in enumerate(later):
        fresh = draw(bank_of(dataset, max_bytes=1), seed)
        np.testing.assert_array_equal(fresh.image, drawn.image)
        assert fresh.file_name == drawn.file_name
    assert len({d.image.tobytes() for d in later}) > 10


def test_memory_is_bounded(make: Maker) -> None:
    bank = bank_of(make(12), max_bytes=4 * 96 * 96)
    for seed in range(40):
        draw(bank, seed)
        assert bank._cached_bytes <= 4 * 96 * 96
    assert len(bank._cache) == 2


@pytest.mark.parametrize(
    ("options", "needed", "message"),
    [
        ({"box": (slice(30, 60), slice(30, 60))}, frozenset(), "no region of 64 x 64 pixels"),
        ({}, frozenset({1}), r"without defect that shows outside in 1 images \(1 of them good\)"),
        ({"excluded": "blurred"}, frozenset(), r"in 0 images \(0 of them good\); add good images"),
    ],
)
def test_nothing_found_is_one_clear_error(
    make: Maker, options: dict[str, object], needed: frozenset[int], message: str
) -> None:
    bank = bank_of(make(1, **options))
    with pytest.raises(FlawsmithError, match=message):
        draw(bank, size=64, needed=needed)


@pytest.mark.parametrize(
    ("edges", "column"),
    [((50, 3, 45, 92), 3), ((50, 90, 45, 5), 90), ((20, 20, 200, 200), None)],
)
def test_a_place_keeps_its_distance_to_the_edge(
    make: Maker, edges: tuple[int, int, int, int], column: int | None
) -> None:
    bank = bank_of(make(3))
    rows, columns = set(), set()
    for seed in range(20):
        drawn = draw(bank, seed, edges=edges)
        assert drawn.anchor is not None
        y, x = drawn.anchor
        assert 0 <= y < 32
        assert 0 <= x < 32
        shown = round(float(drawn.image[y, x, 0]) * 255)  # the pixels tell their column
        columns.add(shown)
        rows.add(y)
    if column is not None:
        assert columns == {column}  # 3 or 5 pixels from the left or right edge
        assert len(rows) > 5
    else:
        assert len(columns) > 10  # far from all edges: anywhere


def test_without_a_place_there_is_no_anchor(make: Maker) -> None:
    assert draw(bank_of(make())).anchor is None
