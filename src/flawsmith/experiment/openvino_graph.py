"""A torch module as an OpenVINO graph, on this machine alone.

``openvino.convert_model`` reports every conversion to its maker over the network, in a forked copy
of this process for each event. The front end that it calls does not.
"""

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import openvino


def to_openvino(module: nn.Module, example: Tensor | tuple[Tensor, ...]) -> "openvino.Model":
    """Return the graph of a module in evaluation mode.

    Args:
        module: what it computes from sizes in Python is fixed to those of the example.
        example: its input, or inputs.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of values taken from shapes
        decoder = TorchScriptPythonDecoder(module, example_input=example)
        front_end = FrontEndManager().load_by_framework("pytorch")
        return front_end.convert(front_end.load(decoder))
