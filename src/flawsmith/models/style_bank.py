"""Styles of real tiles, kept with the generator that was trained on them."""

import torch
from torch import Tensor, nn


class StyleBank(nn.Module):
    """Rows of numbers, each with the class that it was seen with; nothing in it is trained.

    Args:
        size: number of styles.
        length: numbers of a style.
    """

    styles: Tensor
    labels: Tensor

    def __init__(self, *, size: int, length: int) -> None:
        super().__init__()
        self.register_buffer("styles", torch.zeros(size, length))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.long))

    def fill(self, styles: Tensor, labels: Tensor) -> None:
        """Keep these styles (size x length) and their classes (size)."""
        self.styles.copy_(styles)
        self.labels.copy_(labels)

    def forward(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """Return N x length styles: for each class and seed one that was seen with the class.

        A class that no style was seen with takes any. Row i depends on label and seed i alone.
        """
        rows = []
        for label, seed in zip(labels.tolist(), seeds.tolist(), strict=True):
            fitting = torch.nonzero(self.labels == label).flatten()
            number = len(fitting) or len(self.styles)
            generator = torch.Generator().manual_seed(seed)
            pick = int(torch.randint(number, (1,), generator=generator))
            rows.append(self.styles[fitting[pick] if len(fitting) else pick])
        return torch.stack(rows)
