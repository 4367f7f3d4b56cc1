"""Quantisation of an exported network to 8 bits, calibrated on training tiles (NNCF)."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.experiment.export_check import as_schema_says
from flawsmith.inspection.exported import Backend
from flawsmith.inspection.moving_grid import padded
from flawsmith.inspection.network import INPUTS

CALIBRATION_TILES = 128
"""Tiles whose activations set the ranges; NNCF's own default is 300."""

NEUTRAL_LIMIT = 0.5

AnyArray = NDArray[np.generic]

if TYPE_CHECKING:
    import onnx
    import openvino


def quantise(
    folder: Path, backend: Backend, dataset: DefectDataset, schema: Schema, tile: int, *, seed: int
) -> None:
    """Replace ``network.*`` in a folder by its 8-bit form, calibrated on training tiles.

    Args:
        folder: of the exported model.
        backend: of the network.
        dataset: its training records alone; the test fold and validation are not among them.
        schema: of the network's input.
        tile: side of the tiles.
        seed: of the draw of tiles.
    """
    limits = np.full(schema.num_defects, NEUTRAL_LIMIT, np.float32)
    tiles = calibration_tiles(dataset, schema, tile, seed)
    quantise_graph(
        folder, backend, [dict(zip(INPUTS, (pixels, limits), strict=True)) for pixels in tiles]
    )


def quantise_graph(folder: Path, backend: Backend, inputs: list[dict[str, AnyArray]]) -> None:
    """Replace ``network.*`` in a folder by its 8-bit form, with ranges from these inputs.

    The first, the last and all depthwise convolutions stay in float: they are a small share of the
    work and the usual place where 8 bits cost most (decision D79). A range holds everything that
    the inputs gave; NNCF's own, the mean of the tiles' extremes, cuts off what only the tiles of a
    rare class reach (decision D89).
    """
    # NNCF would report each use to its maker over the network.
    os.environ.setdefault("NNCF_CI", "1")
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    logging.getLogger("nncf").setLevel(logging.ERROR)
    small = partial(
        nncf.quantize,
        calibration_dataset=nncf.Dataset(inputs),
        subset_size=len(inputs),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        ),
    )
    if backend == "openvino":
        import openvino

        path = folder / "network.xml"
        core = openvino.Core()
        # From memory: the file that is read would be the one that is written.
        model = core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
        kept = nncf.IgnoredScope(names=_sensitive(_openvino_convolutions(model)))
        openvino.save_model(small(model, ignored_scope=kept), path, compress_to_fp16=False)
    else:
        import onnx

        path = folder / "network.onnx"
        model = onnx.load(str(path))
        kept = nncf.IgnoredScope(names=_sensitive(_onnx_convolutions(model)))
        onnx.save(small(model, ignored_scope=kept), str(path))


def _sensitive(convolutions: Sequence[tuple[str, bool]]) -> list[str]:
    """Return the layers that stay in float: the first, the last and every depthwise one.

    Args:
        convolutions: name, and whether it is depthwise, in the order of computation.
    """
    ends = {convolutions[0][0], convolutions[-1][0]}
    return [name for name, depthwise in convolutions if depthwise or name in ends]


def _openvino_convolutions(model: "openvino.Model") -> list[tuple[str, bool]]:
    kinds = {"Convolution": False, "GroupConvolution": True}
    return [
        (layer.get_friendly_name(), kinds[layer.get_type_name()])
        for layer in model.get_ordered_ops()
        if layer.get_type_name() in kinds
    ]


def _onnx_convolutions(model: "onnx.ModelProto") -> list[tuple[str, bool]]:
    """Return them as the graph lists them, which ONNX wants in the order of computation."""
    return [
        (node.name, any(a.name == "group" and a.i > 1 for a in node.attribute))
        for node in model.graph.node
        if node.op_type == "Conv"
    ]


def calibration_tiles(
    dataset: DefectDataset, schema: Schema, tile: int, seed: int
) -> Iterator[ImageArray]:
    """Yield up to `CALIBRATION_TILES` tiles 1 x tile x tile x C of real training images.

    Good images and images of each class take turns; a tile of a defective image shows a pixel of
    its defect.
    """
    rng = np.random.default_rng(seed)
    groups: dict[tuple[str, ...], list[ImageRecord]] = {}
    for record in dataset.usable():
        if record.source == "real":
            groups.setdefault(tuple(record.labels), []).append(record)
    orders = [[group[i] for i in rng.permutation(len(group))] for group in groups.values()]
    longest = max(map(len, orders), default=0)
    turns = [order[k] for k in range(longest) for order in orders if k < len(order)]
    for record in turns[:CALIBRATION_TILES]:
        image = as_schema_says(dataset.image(record), schema)
        image = image.reshape(*image.shape[:2], schema.channels)
        defects = dataset.label_map(record).defects
        y, x = _corner(defects, tile, rng)
        yield padded(image[y : y + tile, x : x + tile], tile, tile)[None]


def _corner(defects: NDArray[np.uint8], tile: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return the upper left corner of a tile around a drawn defect pixel, or anywhere."""
    rows, columns = np.nonzero((defects > 0) & (defects != IGNORE))
    highest = [max(side - tile, 0) for side in defects.shape]
    if not len(rows):
        y, x = (int(rng.integers(high + 1)) for high in highest)
        return y, x
    place = int(rng.integers(len(rows)))
    y, x = (int(v) - int(rng.integers(tile)) for v in (rows[place], columns[place]))
    return min(max(y, 0), highest[0]), min(max(x, 0), highest[1])
