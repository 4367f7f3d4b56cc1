"""A world whose truth is its grey value: a model that reads it can be worked out by hand."""

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.experiment.selection import SelectionRequest
from flawsmith.inspection.thresholds import Thresholds

SIZE = 64
SCHEMA = Schema(
    name="grey", backgrounds=make_backgrounds(["b"]), defects=make_defects(["crack", "stain"])
)


def read_grey(images):
    """Score 0.01 a grey level above 100 for a crack, the same below 100 for a stain."""
    values = [image.astype(np.float32) for image in images]
    return [
        np.stack([np.zeros_like(v), np.clip((v - 100) / 100, 0, 1), np.clip((100 - v) / 100, 0, 1)])
        for v in values
    ]


def draw(value, *, side=16, label=1, speck=None):
    pixels = np.full((SIZE, SIZE), 100, np.uint8)
    defects = np.zeros((SIZE, SIZE), np.uint8)
    pixels[:side, :side] = value
    defects[:side, :side] = label
    if speck is not None:
        pixels[40:60, 40:60] = speck
    return pixels, LabelMap(defects, np.zeros_like(defects))


@pytest.fixture
def world(tmp_path, write_settings):
    """Make a request from drawn images: (pixels, label map) of validation and synthetic ones."""

    def make(validation, synthetic, *, system="none", needs=frozenset(), parents=()):
        sets = []
        for name, drawn, fields in (
            ("data", validation, {"source": "real"}),
            ("made", synthetic, {"source": "synthetic", "system": system, "seed": 7, "run": "r",
                                 "parents": list(parents), "mask_source": "conditioning"}),
        ):  # fmt: skip
            with DatasetWriter(tmp_path / name, SCHEMA) as writer:
                for i, (pixels, label_map) in enumerate(drawn):
                    writer.add(f"{name}-{i}", pixels, label_map, part=f"{name}-{i}", **fields)
            sets.append(DefectDataset.open(tmp_path / name))
        write_settings(tmp_path / "made", plan={"crack": 90, "stain": 9}, system=system)
        return SelectionRequest(
            sets[1], sets[0], tmp_path / "run", 0, Thresholds(pixel=[0.5, 0.5]),
            made=sets[1].records, training=[], validation=sets[0].records, system=system,
            needs=needs,
        )  # fmt: skip

    return make
