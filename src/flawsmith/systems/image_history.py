"""The history of synthetic images that a discriminator sees (Shrivastava et al. 2017, section 2.3).

A discriminator that only sees the newest images forgets what the generator did before, and both
run in circles.
"""

import torch
from torch import Tensor, nn


class ImageHistory(nn.Module):
    """Keeps the last images; nothing in it is trained, but a run that goes on needs it.

    Until it is full it gives back what it is given. Then it gives each image back with probability
    one half; else a kept one, which the new one replaces.

    Args:
        size: number of images; 0: every image is given back.
        channels: of an image.
        tile_size: height and width.
    """

    images: Tensor
    labels: Tensor
    count: Tensor

    def __init__(self, *, size: int, channels: int, tile_size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, channels, tile_size, tile_size))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def exchange(self, images: Tensor, labels: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Return as many images and labels, some of them older ones, and keep new ones.

        Args:
            images: N x C x H x W, detached.
            labels: N, kept with them.
            seeds: N; what becomes of image i is drawn from seed i.
        """
        if not self.size:
            return images, labels
        given, names = images.clone(), labels.clone()
        for row, seed in enumerate(seeds.tolist()):
            generator = torch.Generator().manual_seed(seed)
            place = int(self.count)
            if place < self.size:
                self.count += 1
            elif torch.rand((), generator=generator) < 0.5:
                place = int(torch.randint(self.size, (), generator=generator))
                given[row], names[row] = self.images[place], self.labels[place]
            else:
                continue
            self.images[place], self.labels[place] = images[row], labels[row]
        return given, names
