"""Every system on what a user may have: two classes, eight images of one, colour, odd sizes."""

import re
from collections import Counter

import numpy as np
import pytest

from flawsmith.data.dataset import (
    METADATA_FILE,
    DatasetWriter,
    DefectDataset,
    LabelMap,
    write_metadata,
)
from flawsmith.data.folds import split_folds
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.synthesis import synthesize
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.systems import SYSTEMS
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.loop import Hooks

HEIGHT, WIDTH = 75, 37
"""Pixels: no power of two, and narrower than a tile."""
TILE = 40
IMAGES = {None: 6, "crack": 8, "pore": 12}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "colour"
    schema = Schema(
        name="colour", channels=3, backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(["crack", "pore"]),
    )  # fmt: skip
    generator = np.random.default_rng(0)
    with DatasetWriter(folder, schema) as writer:
        for name, count in IMAGES.items():
            for number in range(count):
                image = generator.integers(90, 160, (HEIGHT, WIDTH, 3)).astype(np.uint8)
                defects = np.zeros((HEIGHT, WIDTH), np.uint8)
                top, left = generator.integers(2, 15, 2)
                if name == "crack":
                    defects[top : top + 3, left : left + 20] = 1
                elif name == "pore":
                    defects[top : top + 8, left : left + 8] = 2
                image[defects > 0] = (200, 40, 30)
                part = f"{name or 'good'}{number}"
                writer.add(part, image, LabelMap(defects, np.zeros_like(defects)), part=part)
    dataset = DefectDataset.open(folder)
    write_metadata(folder / METADATA_FILE, split_folds(dataset, k=2))
    return folder


def configured(name, data):
    """Return a short run at `TILE` px, or at the next size that the refusal of it names."""
    images = [] if issubclass(SYSTEMS.get(name), UntrainedSystem) else ["training.total_images=8"]

    def of(size):
        overrides = [f"training.tile_size={size}", *images]
        return configure(name, "tiny", data, fold=0, overrides=overrides)

    try:
        return of(TILE)
    except FlawsmithError as error:
        (multiple,) = re.findall(r"multiple of (\d+)", str(error))
    return of(-(-TILE // int(multiple)) * int(multiple))


@pytest.mark.parametrize("name", SYSTEMS.names())
def test_trains_and_makes_images_of_both_classes(name, data, tmp_path):
    config = configured(name, data)
    train_synthesizer(config, tmp_path / "run", Hooks(), resume=False)
    plan = {"crack": 3, "pore": 2}
    synthesize(tmp_path / "run", DefectDataset.open(data), tmp_path / "out", plan=plan)
    made = DefectDataset.open(tmp_path / "out")
    side = config.training.tile_size
    assert [made.image(record).shape for record in made] == 5 * [(side, side, 3)]
    shown = Counter(name for record in made for name in record.labels)
    joint = {record.mask_source for record in made} == {"joint"}  # so soon they are noise
    assert joint or shown == plan
