"""The graph of an exported model: camera pixels in; class, confidence and scores out."""

import copy
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from flawsmith.data.schema import Schema
from flawsmith.experiment.openvino_graph import to_openvino
from flawsmith.inspection.exported import Backend
from flawsmith.inspection.network import INPUTS, OUTPUTS

ONNX_OPSET = 17


class InspectionGraph(nn.Module):
    """N x H x W x C pixels and D limits to N x H x W classes and confidences, and all scores.

    The same as `to_unit`, the segmenter, softmax and `thresholds.classify` one after another.
    H and W are multiples of 32: what a network decides from its input's size is written down as it
    is for the example, and is the same for all of these.
    """

    def __init__(self, segmenter: nn.Module, schema: Schema) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.black = float(schema.black_level)
        self.span = float(schema.white_level - schema.black_level)

    def forward(self, image: Tensor, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return index (uint8, 0 = no defect), confidence (the winner's score) and D scores."""
        unit = ((image.permute(0, 3, 1, 2).float() - self.black) / self.span).clamp(0.0, 1.0)
        scores = self.segmenter(unit * 2.0 - 1.0).softmax(dim=1)[:, 1:]
        ratio, winner = (scores / limits.reshape(1, -1, 1, 1)).max(dim=1)
        index = torch.where(ratio >= 1.0, winner + 1, torch.zeros_like(winner))
        # Not gathered from the scores: where the ratio reaches 1, this reaches the limit for sure.
        return index.to(torch.uint8), ratio * limits[winner], scores


def write_graph(
    segmenter: nn.Module, schema: Schema, folder: Path, *, backend: Backend, tile: int
) -> None:
    """Write ``network.*`` into an existing folder.

    Args:
        segmenter: N x C x H x W in [-1, 1] to logits N x (1 + D) x H x W.
        schema: of the pixels and the classes.
        folder: of the exported model.
        backend: whose format.
        tile: side of the example input.
    """
    graph = InspectionGraph(copy.deepcopy(segmenter), schema).eval().cpu()
    # Not every exporter knows uint16; the input gets its type once the graph is there.
    image = torch.zeros(1, tile, tile, schema.channels, dtype=torch.int32)
    example = (image, torch.full((schema.num_defects,), 0.5))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of values taken from shapes, see InspectionGraph
        if backend == "openvino":
            _write_openvino(graph, example, schema, folder / "network.xml")
        else:
            _write_onnx(graph, example, schema, folder / "network.onnx")


def _write_openvino(
    graph: nn.Module, example: tuple[Tensor, Tensor], schema: Schema, path: Path
) -> None:
    import openvino

    model = to_openvino(graph, example)
    kind = openvino.Type.u8 if schema.bit_depth == 8 else openvino.Type.u16
    for port, name in zip(model.inputs, INPUTS, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, OUTPUTS, strict=True):
        port.get_tensor().set_names({name})
    pixels, limits = model.get_parameters()
    pixels.set_element_type(kind)
    pixels.set_partial_shape(openvino.PartialShape([-1, -1, -1, schema.channels]))
    limits.set_partial_shape(openvino.PartialShape([schema.num_defects]))
    model.validate_nodes_and_infer_types()
    openvino.save_model(model, path, compress_to_fp16=False)


def _write_onnx(
    graph: nn.Module, example: tuple[Tensor, Tensor], schema: Schema, path: Path
) -> None:
    import onnx

    batch = {0: "n", 1: "rows", 2: "columns"}
    sizes = {"image": batch, "index": batch, "confidence": batch}
    torch.onnx.export(
        graph,
        example,
        str(path),
        input_names=list(INPUTS),
        output_names=list(OUTPUTS),
        dynamic_axes=sizes | {"scores": {0: "n", 2: "rows", 3: "columns"}},
        opset_version=ONNX_OPSET,
        dynamo=False,  # its successor needs a further package and fixes the sizes it has seen
    )
    model = onnx.load(str(path))
    kind = onnx.TensorProto.UINT8 if schema.bit_depth == 8 else onnx.TensorProto.UINT16
    model.graph.input[0].type.tensor_type.elem_type = kind
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
