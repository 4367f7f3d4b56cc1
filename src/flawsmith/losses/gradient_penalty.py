"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, Eq. 3)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Mixing = Literal["uniform", "normal"]


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    seeds: Tensor,
    *,
    mixing: Mixing = "uniform",
) -> Tensor:
    """Return the mean over images of (norm of d critic / d x - 1)^2 on mixtures of real and fake.

    The norm is over all channels and pixels of an image. Scores of several patches of an image are
    summed, as StarGAN does. In float32 also under autocast.

    Args:
        critic: N x C x H x W to N x ... scores; image i must not change the scores of another one.
        real: N x C x H x W.
        fake: the same, detached here.
        seeds: N; the share of mixture i follows from seed i alone.
        mixing: share of the real image from U(0, 1), or from N(0, 1), which leaves the segment.
    """
    draw = torch.rand if mixing == "uniform" else torch.randn
    shares = [draw((), generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    share = torch.stack(shares).to(real.device)[:, None, None, None]
    with torch.autocast(real.device.type, enabled=False):
        mixed = share * real.detach().float() + (1 - share) * fake.detach().float()
        mixed.requires_grad_()
        (gradient,) = torch.autograd.grad(critic(mixed).float().sum(), mixed, create_graph=True)
        # The root has no slope at 0, where an untrained critic may be.
        norm = (gradient.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
        return (norm - 1).square().mean()
