"""Dropout that follows from seeds, so that a resumed run drops the same values."""

import numpy as np
import torch
from torch import Tensor

_LEVELS = 1 << 16


def seeded_dropout(x: Tensor, seeds: Tensor, share: float) -> Tensor:
    """Return N x ... values of which ``share`` is 0, the others scaled by 1 / (1 - share).

    Row i depends on seed i alone. Element by element, as Keras does it on convolutional maps.

    Args:
        x: N x ...
        seeds: N int64, not negative.
        share: of the values to drop, 0 to 1.
    """
    dropped = round(share * _LEVELS)
    rows = [
        np.random.default_rng(int(seed)).integers(_LEVELS, size=x[0].numel(), dtype=np.uint16)
        for seed in seeds
    ]
    kept = torch.from_numpy(np.stack(rows) >= dropped).to(x.device).view(x.shape)
    return x * kept / (1.0 - share)
