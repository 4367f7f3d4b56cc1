"""Whether a surface is a real one, for surfaces that were cut from one or not."""

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.selection.surroundings import Surroundings


def images(channels):
    rng = np.random.default_rng(1)
    shape = (90, 120) if channels == 1 else (90, 120, 3)
    return rng.integers(90, 96, shape).astype(np.uint8)


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def surroundings(request, tmp_path):
    schema = Schema(name="s", channels=request.param, backgrounds=make_backgrounds(["b"]),
                    defects=make_defects(["crack"]))  # fmt: skip
    parent = images(request.param)
    empty = np.zeros((90, 120), np.uint8)
    with DatasetWriter(tmp_path, schema) as writer:
        writer.add("a", parent, LabelMap(empty, empty), part="a")
        writer.add("flat", np.full_like(parent, 7), LabelMap(empty, empty), part="b")
    return Surroundings(DefectDataset.open(tmp_path)), parent


def test_a_cut_region_is_found_whatever_the_defect_shows(surroundings):
    finder, parent = surroundings
    away = np.ones((32, 32), bool)
    away[10:25, 5:30] = False
    made = parent[41:73, 88:120].copy()
    made[~away] = 255
    assert finder.untouched(made, away, ["images/flat.png", "images/a.png"])
    assert not finder.untouched(made, away, ["images/flat.png"])
    made[0, 0] += 1
    assert not finder.untouched(made, away, ["images/flat.png", "images/a.png"])


def test_few_pixels_and_none_and_flat_surfaces(surroundings):
    finder, parent = surroundings
    made = parent[3:35, 4:36].copy()
    away = np.zeros((32, 32), bool)
    assert finder.untouched(made, away, [])
    away[[0, 31, 5], [0, 31, 9]] = True
    assert finder.untouched(made, away, ["images/a.png"])
    flat = np.full_like(made, 7)
    assert finder.untouched(flat, ~away, ["images/flat.png"])
    flat[0, 1] = 8
    assert not finder.untouched(flat, ~away, ["images/flat.png"])


def test_a_parent_that_is_too_small_is_continued(surroundings):
    finder, parent = surroundings
    pad = ((0, 10), (0, 0), (0, 0))[: parent.ndim]
    made = np.pad(parent, pad, mode="reflect")[:, 20:120]
    away = np.ones(made.shape[:2], bool)
    assert finder.untouched(made, away, ["images/a.png"])
