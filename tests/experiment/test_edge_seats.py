"""Classes that keep to the edge of the image are drawn at the edge of real surfaces."""

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.drawing import Banks

SIZE, TILE = 160, 64


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Chips at the lower edge, dots anywhere; every pixel tells its row."""
    root = tmp_path_factory.mktemp("edges") / "data"
    schema = Schema(
        name="plates",
        backgrounds=make_backgrounds(["plate"]),
        defects=make_defects(["chip", "dot"]),
    )
    rng = np.random.default_rng(0)
    image = np.tile(np.arange(SIZE, dtype=np.uint8)[:, None], (1, SIZE))
    with DatasetWriter(root, schema) as writer:
        for i in range(36):
            defects = np.zeros((SIZE, SIZE), np.uint8)
            x = int(rng.integers(10, SIZE - 30))
            if i < 12:
                defects[SIZE - 8 :, x : x + 20] = 1
            elif i < 24:
                y = int(rng.integers(10, SIZE - 30))
                defects[y : y + 6, x : x + 6] = 2
            writer.add(f"p{i}", image, LabelMap(defects, np.zeros_like(defects)), part=f"p{i}")
    return DefectDataset.open(root)


@pytest.mark.parametrize("needs", [{"background_images"}, {"background_images", "exemplars"}])
def test_chips_lie_at_the_lower_edge_and_dots_anywhere(dataset, needs):
    banks = Banks.from_dataset(dataset, dataset.records, frozenset(needs))
    assert banks.masks.habits[1].keeps_edge
    assert not banks.masks.habits[2].keeps_edge
    rows = {1: [], 2: []}
    for class_id in rows:
        for seed in range(25):
            drawn = banks.draw(seed, class_id, TILE)
            ys, xs = np.nonzero(drawn.label_map.defects == class_id)
            assert len(ys)
            middle = drawn.background.image[ys, xs, 0] * 255  # rows of the image under the defect
            rows[class_id].append(float(middle.mean()))
            if class_id == 1:  # its upper side is still up: it is wider at no other place
                assert np.ptp(xs) > np.ptp(ys)
    assert min(rows[1]) > SIZE - 14
    assert np.std(rows[2]) > 20


def test_what_is_at_the_edge_follows_from_the_seed(dataset):
    banks = Banks.from_dataset(dataset, dataset.records, frozenset({"background_images"}))
    first, again = (banks.draw(7, 1, TILE) for _ in range(2))
    assert np.array_equal(first.label_map.defects, again.label_map.defects)
    assert first.parents == again.parents
    assert first.parents[-1] == first.background.file_name
