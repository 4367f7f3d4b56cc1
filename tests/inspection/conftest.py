"""Exported models made by hand, whose answers are known without any training."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.inspection.exported import Calibration, ExportedModel, ModelCard
from flawsmith.inspection.thresholds import Thresholds

NOTHING_THAT_TRAINS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "lightning", "safetensors", "sklearn"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
"""Begins a program as on a line PC, where what trains is not installed."""


def schema(**changes: Any) -> Schema:
    usual = {"name": "strips", "backgrounds": make_backgrounds(["metal"]),
             "defects": make_defects(["dark", "bright"])}  # fmt: skip
    return Schema(**(usual | changes))


def calibration(*, valid_until: datetime.date = datetime.date(2999, 1, 1)) -> Calibration:
    return Calibration(
        mm_per_pixel=PixelSize(x=0.1, y=0.2), relative_uncertainty=0.01,
        date=datetime.date(2020, 1, 1), valid_until=valid_until,
    )  # fmt: skip


def real(values: Any) -> openvino.Node:
    return ops.constant(np.asarray(values, np.float32))


def write_network(folder: Path, schema: Schema, *, blur: int = 1, bias: float = 0.0) -> None:
    """Write a graph: class 1 scores how dark a pixel is, class 2 how bright, both from 0 to 1.

    Args:
        blur: side of a square mean over the pixels that are there.
        bias: added to both scores.
    """
    kind = np.uint8 if schema.bit_depth == 8 else np.uint16
    image = ops.parameter([-1, -1, -1, schema.channels], kind, name="image")
    limits = ops.parameter([2], np.float32, name="limits")
    values = ops.transpose(ops.convert(image, "f32"), np.array([0, 3, 1, 2]))
    grey = ops.reduce_mean(values, np.array([1]), keep_dims=True)
    unit = (grey - real(schema.black_level)) / real(schema.white_level - schema.black_level)
    for kernel in ([1, blur], [blur, 1]) if blur > 1 else ():
        pads = [side // 2 for side in kernel]
        unit = ops.avg_pool(unit, [1, 1], pads, pads, kernel, True)
    bright = unit * real(2) - real(1)
    scores = ops.clamp(ops.concat([ops.negative(bright), bright], 1), 0.0, 1.0) + real(bias)
    relative = scores / ops.reshape(limits, np.array([1, 2, 1, 1]), False)
    best = ops.reduce_max(relative, np.array([1]), keep_dims=True)
    first, second = (ops.gather(relative, np.array([k]), np.array(1)) for k in (0, 1))
    winner = ops.select(ops.greater(second, first), real(2), real(1))
    reached = ops.select(ops.greater_equal(best, real(1)), winner, real(0))
    index = ops.squeeze(ops.convert(reached, "u8"), np.array([1]))
    confidence = ops.squeeze(ops.reduce_max(scores, np.array([1]), keep_dims=True), np.array([1]))
    results = []
    for node, name in ((index, "index"), (confidence, "confidence"), (scores, "scores")):
        node.output(0).get_tensor().set_names({name})
        results.append(ops.result(node))
    for node, name in ((image, "image"), (limits, "limits")):
        node.output(0).get_tensor().set_names({name})
    model = openvino.Model(results, [image, limits], "threshold")
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)


@pytest.fixture
def strip_schema() -> Callable[..., Schema]:
    """Return the schema of `make_model`, with changes."""
    return schema


@pytest.fixture
def strip_calibration() -> Callable[..., Calibration]:
    """Return a calibration of 0.1 mm across and 0.2 mm along a strip."""
    return calibration


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., ExportedModel]:
    """Write an exported model that calls dark pixels class 1 and bright ones class 2."""

    def make(
        name: str = "model", *, blur: int = 1, bias: float = 0.0, **changes: Any
    ) -> ExportedModel:
        folder = tmp_path / name
        folder.mkdir()
        usual: dict[str, Any] = {
            "name": "threshold", "backend": "openvino", "precision": "fp32",
            "defect_schema": schema(),
            "thresholds": Thresholds(pixel=[0.5, 0.5], region=0.6), "tile": 64, "overlap": 32,
            "window": (128, 128), "multiple": 32, "code_version": "0",
        }  # fmt: skip
        card = ModelCard(**(usual | changes))
        write_network(folder, card.defect_schema, blur=blur, bias=bias)
        return ExportedModel.write(folder, card)

    return make
