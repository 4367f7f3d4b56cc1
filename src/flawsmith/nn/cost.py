"""What a network costs, known before it runs."""

import copy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def macs(network: nn.Module, *inputs: Tensor | None) -> int:
    """Return the multiply-accumulates of one forward pass over ``inputs``, as given.

    Convolutions, transposed convolutions and matrix products count, as operations and not as
    modules; element-wise work does not. Shapes alone are passed on (``meta`` device), so it takes
    milliseconds for any size, and neither the network nor its statistics change.
    """
    memo: dict[int, object] = {
        id(tensor): nn.Parameter(torch.empty_like(tensor, device="meta"), requires_grad=False)
        if isinstance(tensor, nn.Parameter)
        else torch.empty_like(tensor, device="meta")
        for tensor in chain(network.parameters(), network.buffers())
    }
    shadow = copy.deepcopy(network, memo).eval()
    shapes = [None if value is None else value.to("meta") for value in inputs]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(*shapes)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition as two


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
