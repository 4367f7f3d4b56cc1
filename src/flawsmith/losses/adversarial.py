"""The adversarial objectives of all systems, on logits."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["lsgan", "hinge", "non_saturating", "wgan"]


class GanObjective:
    """One adversarial objective: what D and G minimise, as means over images and patches.

    With r = D(real), f = D(fake), both logits without a sigmoid:

    =============== ================================== ================= =======================
    kind            D                                  G                 source
    =============== ================================== ================= =======================
    lsgan           1/2 E (r - 1)^2 + 1/2 E f^2        E (f - 1)^2       Mao et al. 2017
    hinge           E max(0, 1 - r) + E max(0, 1 + f)  -E f              Lim and Ye 2017
    non_saturating  E softplus(-r) + E softplus(f)     E softplus(-f)    Goodfellow et al. 2014
    wgan            -E r + E f                         -E f              Arjovsky et al. 2017
    =============== ================================== ================= =======================

    A ``weight``, of the logits' shape and with mean 1, says how much each patch counts.

    Raises:
        ValueError: for an unknown kind.
    """

    def __init__(self, kind: GanLoss) -> None:
        if kind not in ("lsgan", "hinge", "non_saturating", "wgan"):
            raise ValueError(f"no adversarial objective is called {kind!r}")
        self.kind = kind

    def real(self, logits: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the discriminator's term of real images."""
        r = logits.float()
        match self.kind:
            case "lsgan":
                return _mean(0.5 * (r - 1).square(), weight)
            case "hinge":
                return _mean(F.relu(1 - r), weight)
            case "non_saturating":
                return _mean(F.softplus(-r), weight)
            case "wgan":
                return _mean(-r, weight)

    def fake(self, logits: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the discriminator's term of synthetic images, detached from their generator."""
        f = logits.float()
        match self.kind:
            case "lsgan":
                return _mean(0.5 * f.square(), weight)
            case "hinge":
                return _mean(F.relu(1 + f), weight)
            case "non_saturating":
                return _mean(F.softplus(f), weight)
            case "wgan":
                return _mean(f, weight)

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Return what the discriminator minimises: the sum of ``real`` and ``fake``."""
        return self.real(real_logits, weight) + self.fake(fake_logits, weight)

    def generator(self, fake_logits: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return what the generator minimises."""
        f = fake_logits.float()
        match self.kind:
            case "lsgan":
                return _mean((f - 1).square(), weight)
            case "non_saturating":
                return _mean(F.softplus(-f), weight)
            case "hinge" | "wgan":
                return _mean(-f, weight)


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    return values.mean() if weight is None else (values * weight).mean()
