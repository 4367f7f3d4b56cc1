"""A count of images that a checkpoint keeps."""

import torch
from torch import Tensor, nn


class ImageCounter(nn.Module):
    """Images that a system has seen, for systems whose step changes with its progress."""

    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros((), dtype=torch.long))

    def __int__(self) -> int:
        """Return the images so far."""
        return int(self.images)

    def add(self, images: int) -> None:
        """Count further images."""
        self.images += images
