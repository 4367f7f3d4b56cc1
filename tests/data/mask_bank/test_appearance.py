"""Pictures of defects: under the map of their mask, in its place, of the wanted size."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.mask_bank import MaskBank
from flawsmith.data.mask_bank.appearance import Surface
from flawsmith.data.mask_bank.sizes import SizeRange, parse_sizes
from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError

SCHEMA = Schema(
    name="plates", channels=3, backgrounds=make_backgrounds(["plate"]),
    defects=make_defects(["dot", "bar"]),
)  # fmt: skip
DEFECT, SURFACE = (200, 40, 10), (20, 90, 160)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DefectDataset:
    """Plates of one colour; a defect has another colour on exactly the pixels of its label."""
    root = tmp_path_factory.mktemp("plates")
    with DatasetWriter(root, SCHEMA) as writer:
        for index in range(10):
            defects = np.zeros((90, 90), np.uint8)
            cv2.circle(defects, (30, 30 + index), 8, 1, -1)
            cv2.rectangle(defects, (55, 60), (75, 66), 2, -1)
            image = np.empty((90, 90, 3), np.uint8)
            image[:] = SURFACE
            image[defects > 0] = DEFECT
            writer.add(f"{index}", image, LabelMap(defects, defects * 0), part=f"{index}")
    return DefectDataset.open(root)


@pytest.fixture(scope="module")
def bank(dataset: DefectDataset) -> MaskBank:
    return MaskBank.from_dataset(dataset, dataset, appearance=True)


@pytest.mark.parametrize("max_defects", [1, 3])
def test_picture_lies_where_the_mask_is(bank: MaskBank, max_defects: int) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drawn = bank.draw(rng, 1 + seed % 2, 64, 64, max_defects=max_defects)
        exemplar, mask = drawn.exemplar, drawn.label_map.defects > 0
        assert exemplar is not None
        assert exemplar.known[mask].mean() > 0.98
        image = np.rint(exemplar.image * 255).astype(int)
        inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        around = exemplar.known & (cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) == 0)
        reddish = image[..., 0] > 110  # half-way between both
        assert reddish[inside].mean() > 0.98
        assert reddish[around].mean() < 0.02
        assert around.sum() > 200, "a margin is shown too"
        assert (exemplar.image[~exemplar.known] == 0).all()


def test_what_is_connected_was_seen_on_one_surface(tmp_path: Path) -> None:
    tones = {1: 40, 2: 200}  # of the surfaces on which dots and bars were seen
    with DatasetWriter(tmp_path, SCHEMA) as writer:
        for index in range(8):
            defects, label = np.zeros((90, 90), np.uint8), 1 + index % 2
            cv2.circle(defects, (44, 40 + index), 6, label, -1)
            image = np.full((90, 90, 3), tones[label], np.uint8)
            writer.add(f"{index}", image, LabelMap(defects, defects * 0), part=f"{index}")
    plates = DefectDataset.open(tmp_path)
    bank = MaskBank.from_dataset(plates, plates, appearance=True)
    near = 0
    for seed in range(60):
        drawn = bank.draw(np.random.default_rng(seed), 1 + seed % 2, 64, 64, max_defects=4)
        assert drawn.exemplar is not None
        _, masks = cv2.connectedComponents((drawn.label_map.defects > 0).astype(np.uint8))
        count, regions = cv2.connectedComponents(drawn.exemplar.known.astype(np.uint8))
        for index in range(1, count):
            inside = (regions == index) & (masks > 0)
            assert len(np.unique(masks[inside])) <= 1, "one defect a region"
            levels = np.unique(np.rint(drawn.exemplar.image[regions == index] * 255))
            assert len(levels) == 1
            if inside.any():
                assert levels[0] == tones[int(drawn.label_map.defects[inside][0])]
                assert (regions == index).sum() > inside.sum(), "each keeps a margin"
        grown = cv2.dilate((masks > 0).astype(np.uint8), np.ones((13, 13), np.uint8))
        near += cv2.connectedComponents(grown)[0] <= masks.max()
    assert near > 5, "margins met"


def test_pictures_change_no_draw_of_places(dataset: DefectDataset, bank: MaskBank) -> None:
    plain = MaskBank.from_dataset(dataset, dataset)
    for seed in range(10):
        one = plain.draw(np.random.default_rng(seed), 2, 64, 64)
        two = bank.draw(np.random.default_rng(seed), 2, 64, 64)
        assert one.exemplar is None
        assert one.parents == two.parents


def test_neighbours_are_unknown(dataset: DefectDataset, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path, SCHEMA) as writer:
        defects = np.zeros((60, 60), np.uint8)
        defects[20:30, 20:30] = 1
        defects[20:30, 36:44] = 2
        image = np.zeros((60, 60, 3), np.uint8)
        image[defects == 2] = 255
        writer.add("pair", image, LabelMap(defects, defects * 0), part="pair")
    pair = DefectDataset.open(tmp_path)
    instance = MaskBank.from_dataset(pair, pair, appearance=True).instances[1][0]
    assert instance.appearance is not None
    assert instance.appearance.known.sum() < instance.appearance.known.size
    assert (instance.appearance.pixels[instance.appearance.known] == 0).all()


def test_like_surfaces_are_drawn_more_often(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path, SCHEMA) as writer:
        for index in range(10):
            defects = np.zeros((60, 60), np.uint8)
            defects[20:30, 20:30] = 1
            image = np.full((60, 60, 3), 60 + 140 * (index % 2), np.uint8)
            name = f"{'dark' if index % 2 == 0 else 'bright'}-{index}"
            writer.add(name, image, LabelMap(defects, defects * 0), part=name)
    plates = DefectDataset.open(tmp_path)
    bank = MaskBank.from_dataset(plates, plates, appearance=True)
    dark = Surface(60 / 255, 0.0)
    drawn = [bank.draw(np.random.default_rng(s), 1, 64, 64, surface=dark) for s in range(40)]
    assert all("dark" in d.parents[0] for d in drawn)
    assert len({d.parents[0] for d in drawn}) == 5
    every = [bank.draw(np.random.default_rng(s), 1, 64, 64) for s in range(40)]
    assert any("bright" in d.parents[0] for d in every)


def test_sizes_are_steered(bank: MaskBank) -> None:
    found = []
    for seed in range(40):
        drawn = bank.draw(np.random.default_rng(seed), 1, 64, 64, sizes=SizeRange(10, 30))
        found.append(float(np.sqrt(4 / np.pi * (drawn.label_map.defects > 0).sum())))
    assert 9.5 < min(found) < 12
    assert 26 < max(found) < 31


def test_size_out_of_reach_says_what_can_be_had(bank: MaskBank) -> None:
    expected = r"no real 'dot' can be made 40 to 50 px large: they are 1\d\.\d to 1\d\.\d px"
    with pytest.raises(FlawsmithError, match=expected):
        bank.draw(np.random.default_rng(0), 1, 64, 64, sizes=SizeRange(40, 50))


def test_sizes_as_the_user_gives_them() -> None:
    assert parse_sizes(None, None, SCHEMA) is None
    assert parse_sizes("10..40", None, SCHEMA) == SizeRange(10, 40)
    assert parse_sizes("12", None, SCHEMA) == SizeRange(12, 12)
    scan = SCHEMA.model_copy(update={"pixel_size_mm": PixelSize(x=0.1, y=0.4)})
    assert parse_sizes(None, "2..8", scan) == SizeRange(10, 40)


@pytest.mark.parametrize(
    ("pixels", "millimetres", "message"),
    [
        ("4..2", None, r"--size-px 4\.\.2: expected a range above 0"),
        ("0..2", None, "expected a range above 0"),
        ("large", None, "--size-px large: expected"),
        ("nan", None, "expected a range above 0"),
        ("1..2", "1..2", "say the same; give one of them"),
        (None, "1..2", "needs pixel_size_mm in dataset.toml"),
    ],
)
def test_wrong_sizes_are_clear_errors(
    pixels: str | None, millimetres: str | None, message: str
) -> None:
    with pytest.raises(FlawsmithError, match=message):
        parse_sizes(pixels, millimetres, SCHEMA)
