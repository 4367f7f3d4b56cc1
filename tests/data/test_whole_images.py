"""Whole images as tiles: what is resized, what is drawn, what is known of it."""

from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.data.tiles import DataConfig
from flawsmith.data.transforms import AugmentationConfig
from flawsmith.data.whole_images import WholeImageSource, fit, kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.systems.base import stack_tiles

LABELS = [[], [], ["scratch"], ["scratch"], ["scratch"], ["dent"], ["dent", "scratch"]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data set of 7 images of 20 x 30 pixels, the brightness of each its number."""
    names = enumerate(("dent", "scratch"), start=1)
    defects = [{"id": id, "name": name, "colour": "#ff0000"} for id, name in names]
    surface = {"id": 0, "name": "surface", "colour": "#202020"}
    schema = Schema(name="cases", backgrounds=[surface], defects=defects)
    with DatasetWriter(tmp_path / "data", schema) as writer:
        for number, labels in enumerate(LABELS):
            image = np.full((20, 30), 30 * number, np.uint8)
            nothing = np.zeros((20, 30), np.uint8)
            fields = {"labels": labels, "weak_labels": labels, "part": f"p{number}"}
            writer.add(f"i{number}", image, LabelMap(nothing, nothing), **fields)
    return tmp_path / "data"


def source(data: Path, *, clean: bool = False, **settings: float) -> WholeImageSource:
    """Return the tiles of the data set at 16 pixels, not augmented."""
    return WholeImageSource(
        [DefectDataset.open(data)],
        tile_size=16,
        data=DataConfig(path=str(data), labels="image", **settings),
        augmentation=AugmentationConfig(),
        seed=3,
        clean=clean,
    )


def test_a_tile_is_a_whole_image_with_all_that_it_shows(data: Path) -> None:
    """The brightness tells which image it is; its classes follow, its label is one of them."""
    tiles = source(data, good_share=0.3)
    seen = set()
    for index in range(60):
        tile = tiles[index]
        number = round(float(tile.image.mean()) * 255 / 30)
        shown = [name in LABELS[number] for name in ("dent", "scratch")]
        assert tile.present.tolist() == shown
        assert tile.image.shape == (16, 16, 1)
        assert np.ptp(tile.image) < 1e-6
        assert shown[tile.label - 1] if tile.label else not any(shown)
        expected = IGNORE if any(shown) else 0
        assert (tile.label_map.defects == expected).all()
        seen.add(number)
    assert seen == set(range(7))


def test_a_rare_class_is_drawn_as_often_as_a_common_one(data: Path) -> None:
    """Of 600 tiles about half are drawn for each class: within five standard deviations."""
    tiles = source(data)
    dents = sum(tiles[index].label == 1 for index in range(600))
    assert abs(dents - 300) < 5 * np.sqrt(600 / 4)


def test_a_batch_carries_what_each_image_shows(data: Path) -> None:
    """One row an image, one column a defect; crops carry none."""
    tiles = [source(data)[index] for index in range(5)]
    batch = stack_tiles(tiles)
    assert batch.present.tolist() == [tile.present.tolist() for tile in tiles]
    assert [len(piece.present) for piece in batch.split(5)] == [1] * 5


def test_fit_shrinks_by_averaging_and_keeps_what_has_the_size() -> None:
    """Blocks of 2 x 3 pixels become their mean; an image of the size stays bit for bit."""
    rng = np.random.default_rng(0)
    image = rng.random((8, 12, 3)).astype(np.float32)
    means = image.reshape(4, 2, 4, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fit(image, 4), means, atol=1e-6)
    square = rng.random((8, 8, 1)).astype(np.float32)
    assert (fit(square, 8) == square).all()


def test_fit_enlarges_between_the_values() -> None:
    """A constant stays constant, and nothing overshoots, also where one side shrinks."""
    image = np.random.default_rng(1).random((4, 20, 1)).astype(np.float32)
    large = fit(image, 10)
    assert large.shape == (10, 10, 1)
    assert image.min() <= large.min()
    assert large.max() <= image.max()
    assert (fit(np.full((3, 5, 1), 0.25, np.float32), 9) == 0.25).all()


def test_kind_of_labels(
    data: Path, pouch_folder: Path, labels_only_folder: Path, tmp_path: Path
) -> None:
    """Masks make it pixel; labels alone image; a folder that is no data set is left to others."""
    assert kind_of_labels(data) == "image"
    assert kind_of_labels(labels_only_folder) == "image"
    assert kind_of_labels(pouch_folder) == "pixel"
    assert kind_of_labels(tmp_path / "nothing") == "pixel"


def test_no_surface_without_its_defects(data: Path) -> None:
    """Nobody knows where to remove them."""
    with pytest.raises(FlawsmithError, match="labels of whole images do not say where"):
        source(data, clean=True)
