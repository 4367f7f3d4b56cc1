"""Pictures with outlined labels, against pixels that are known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects, rgb
from flawsmith.data.thumbnails import displayed, fitted, outlined, picture, to_jpeg
from flawsmith.errors import FlawsmithError


def make_schema(**fields) -> Schema:
    names = {"backgrounds": make_backgrounds(["body"]), "defects": make_defects(["pit", "crack"])}
    return Schema(name="test", **{**names, **fields})


def write(folder: Path, image: np.ndarray, defects: np.ndarray, **fields) -> DefectDataset:
    with DatasetWriter(folder, make_schema(**fields)) as writer:
        writer.add("a", image, LabelMap(defects, np.zeros_like(defects)), part="p")
    return DefectDataset.open(folder)


def square(side: int, *, low: int, high: int, value: int = 1) -> np.ndarray:
    defects = np.zeros((side, side), np.uint8)
    defects[low:high, low:high] = value
    return defects


def test_outline_surrounds_the_defect_and_leaves_it_visible(tmp_path: Path) -> None:
    defects = square(100, low=30, high=60)
    shown = outlined(np.full((100, 100, 3), 90, np.uint8), defects, make_schema())
    assert (shown[30:60, 30:60] == 90).all()
    ring = cv2.dilate(defects, np.ones((3, 3), np.uint8)).astype(bool) & (defects == 0)
    coloured = (shown == rgb(make_schema().defects[0].colour)).all(axis=2)
    assert coloured[29, 30:60].all()
    assert coloured[30:60, 60].all()
    assert not (coloured & ~ring).any()
    assert (shown[:27] == 90).all()


def test_each_class_has_its_colour() -> None:
    defects = square(100, low=10, high=30) + square(100, low=50, high=80, value=2)
    shown = outlined(np.zeros((100, 100, 3), np.uint8), defects, make_schema())
    for place, defect in ((9, make_schema().defects[0]), (49, make_schema().defects[1])):
        assert tuple(shown[place, place + 5]) == rgb(defect.colour)


@pytest.mark.parametrize("side", [1, 40])
def test_one_labelled_pixel_of_a_large_image_gets_a_ring(tmp_path: Path, side: int) -> None:
    defects = np.zeros((2000, 3000), np.uint8)
    defects[1500 : 1500 + side, 600 : 600 + side] = 2
    dataset = write(tmp_path, np.full((2000, 3000), 128, np.uint8), defects)
    shown = picture(dataset, dataset.records[0], 150)
    assert shown.shape == (100, 150, 3)
    ring = (shown == rgb(dataset.schema.defects[1].colour)).all(axis=2)
    rows, columns = np.nonzero(ring)
    assert abs(rows.mean() - 75) < 2
    assert abs(columns.mean() - 30) < 2
    assert 12 <= np.ptp(rows) <= 18
    assert (shown[75, 30] == 128).all()


def test_ignored_region_is_dashed_white_not_a_class() -> None:
    shown = outlined(
        np.full((60, 60, 3), 90, np.uint8), square(60, low=10, high=50, value=255), make_schema()
    )
    edge = shown[10, 10:50]
    assert set(np.unique(edge)) == {40, 255}
    assert (shown[12:48, 12:48] == 90).all()


def test_sixteen_bits_span_black_to_white_level(tmp_path: Path) -> None:
    image = np.array([[100, 1100], [2100, 4000]], np.uint16)
    dataset = write(
        tmp_path, image, np.zeros((2, 2), np.uint8), bit_depth=16, black_level=100, white_level=2100
    )
    assert picture(dataset, dataset.records[0], 2)[..., 0].tolist() == [[0, 128], [255, 255]]


def test_depth_that_the_schema_does_not_have_is_shown_over_its_own_range() -> None:
    schema = make_schema(bit_depth=16, white_level=4095)
    assert displayed(np.array([[0, 255]], np.uint8), schema)[0, :, 0].tolist() == [0, 255]
    grey = np.array([[0, 65535]], np.uint16)
    assert displayed(grey, make_schema())[0, :, 0].tolist() == [0, 255]


def test_colours_stay_in_a_grey_set() -> None:
    image = np.array([[[255, 0, 10]]], np.uint8)
    assert displayed(image, make_schema(channels=1)).tolist() == image.tolist()


def test_region_shows_native_pixels_enlarged_by_whole_numbers(tmp_path: Path) -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    dataset = write(tmp_path, image, np.zeros((10, 10), np.uint8))
    shown = picture(dataset, dataset.records[0], 13, region=(8, 2, 20, 5))
    assert shown.shape == (12, 8, 3)
    assert (shown[::4, ::4, 0] == image[2:5, 8:10]).all()
    with pytest.raises(FlawsmithError, match=r"region \(10, 0, 12, 5\) .* no pixel .* 10 x 10"):
        picture(dataset, dataset.records[0], 13, region=(10, 0, 12, 5))


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (7, 7), (128, 127), (129, 300)])
def test_picture_never_exceeds_its_size(shape: tuple[int, int]) -> None:
    small = fitted(np.zeros(shape, np.uint8), 128)
    assert 1 <= min(small.shape)
    assert 64 < max(small.shape) <= 128


@pytest.mark.parametrize("fault", ["gone", "size", "value", "damaged"])
def test_unusable_mask_leaves_the_bare_image(tmp_path: Path, fault: str) -> None:
    dataset = write(tmp_path, np.full((40, 40), 70, np.uint8), square(40, low=5, high=20))
    mask = tmp_path / "masks" / "a.png"
    mask.unlink()
    if fault == "damaged":
        mask.write_bytes(b"nothing")
    elif fault != "gone":
        side = 30 if fault == "size" else 40
        cv2.imwrite(str(mask), square(side, low=5, high=20, value=9))
    assert (picture(dataset, dataset.records[0], 40) == 70).all()


def test_unreadable_image_is_an_error(tmp_path: Path) -> None:
    dataset = write(tmp_path, np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    (tmp_path / "images" / "a.png").write_bytes(b"nothing")
    with pytest.raises(FlawsmithError, match=r"a\.png is not a readable image"):
        picture(dataset, dataset.records[0], 10)


def test_jpeg_keeps_the_colour_of_a_thin_line() -> None:
    shown = np.full((64, 64, 3), 120, np.uint8)
    shown[:, 32] = (230, 159, 0)
    decoded = cv2.imdecode(np.frombuffer(to_jpeg(shown), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(decoded[:, 32].astype(int) - (230, 159, 0)).max() < 40
