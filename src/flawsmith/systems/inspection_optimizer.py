"""AdamW of the inspection models, with a learning rate of its own for a pretrained encoder."""

from typing import Any

import torch
from pydantic import Field
from torch import nn

from flawsmith.config import StrictModel

ENCODERS = ("encoder.", "network.encoder.")
"""How the parameters of an encoder begin: of our networks, and of those behind an adapter."""


class InspectionOptimizer(StrictModel):
    """AdamW.

    Attributes:
        encoder_share: a pretrained encoder's learning rate as a share of ``learning_rate``.
    """

    learning_rate: float = Field(default=1e-3, gt=0)
    encoder_share: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    max_norm: float | None = Field(default=5.0, gt=0)

    def build(self, network: nn.Module) -> torch.optim.AdamW:
        """Return the optimiser of what is trained in a network."""
        encoder: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                (encoder if name.startswith(ENCODERS) else rest).append(parameter)
        groups: list[dict[str, Any]] = [{"params": rest}]
        if encoder:
            groups.append({"params": encoder, "lr": self.learning_rate * self.encoder_share})
        return torch.optim.AdamW(groups, lr=self.learning_rate, weight_decay=self.weight_decay)
