"""Distance of two images in the eyes of a pretrained network (Johnson et al. 2016; LPIPS)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from flawsmith.models.efficientnet_lite0 import load_pretrained, to_rgb

MAPS = 3
"""Maps that are compared, from the finest: strides 2, 4 and 8."""


class PerceptualDistance:
    """Squared distance of unit feature vectors of EfficientNet-Lite0, as LPIPS without its weights.

    LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1) scales each channel by a learned weight;
    here all are 1, for its weights were learned for other networks. The network is frozen.

    Raises:
        FlawsmithError: if the ImageNet weights are not installed.
    """

    def __init__(self) -> None:
        self._network = load_pretrained().requires_grad_(False)

    def __call__(self, image: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean over places, then over maps and images; 0 to 4.

        Args:
            image: N x C x H x W in [-1, 1], grey or RGB.
            target: the same; no gradient reaches it.
            weight: N x H x W in [0, 1], where they are compared. An image without any counts 0.
        """
        self._network.to(image.device)
        with torch.no_grad():
            wanted = self._maps(target)
        terms = []
        for found, known in zip(self._maps(image), wanted, strict=True):
            near = F.adaptive_max_pool2d(weight.float().unsqueeze(1), found.shape[-2:])
            off = (found - known).square().sum(dim=1, keepdim=True)
            total = near.sum(dim=(1, 2, 3))
            terms.append(((off * near).sum(dim=(1, 2, 3)) / total.where(total > 0, 1.0)).mean())
        return torch.stack(terms).mean()

    def _maps(self, image: Tensor) -> list[Tensor]:
        # In bf16 the distance of nearly equal images would be that of their rounding.
        with torch.autocast(image.device.type, enabled=False):
            maps = self._network(to_rgb(image.float()))[:MAPS]
        return [F.normalize(m, dim=1) for m in maps]
