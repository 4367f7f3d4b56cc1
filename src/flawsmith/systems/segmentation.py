"""Training of an inspection model: per-pixel classes from real, or real and synthetic, tiles.

Bootstrapped cross-entropy (FC-HarDNet's own loss) plus Dice, AdamW; the seed paper gives only
the network, learning rate 0.001 and batch 16 (A34).
"""

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.losses.segmentation import bootstrapped_cross_entropy, dice_loss, rarity_weights
from flawsmith.models import NETWORKS
from flawsmith.models.settings import build_network, complete_settings
from flawsmith.systems.base import Batch
from flawsmith.systems.inspection_optimizer import InspectionOptimizer
from flawsmith.training.config import RunConfig
from flawsmith.training.engine import Engine, Losses


class SegmentationLoss(StrictModel):
    """Weights of the loss.

    Attributes:
        keep_share: least share of an image's pixels that the cross-entropy keeps.
        rarity: exponent of the weights of rare classes; 0: all pixels alike (D23).
    """

    weight_cross_entropy: float = Field(default=1.0, ge=0)
    weight_dice: float = Field(default=1.0, ge=0)
    keep_share: float = Field(default=1 / 256, gt=0, le=1)
    rarity: float = Field(default=0.0, ge=0, le=1)


class InspectionModelConfig(RunConfig):
    """Configuration of an inspection model; ``system`` names its network.

    Attributes:
        arm: name of the training mix in reports: real, dbs_gan, ...
        network: settings of the network; each has its own, listed in docs/models.md.
        overlap: pixels by which tiles overlap when whole images are inspected.
    """

    arm: str = "real"
    overlap: int = Field(default=32, ge=0)
    loss: SegmentationLoss = SegmentationLoss()
    optimizer: InspectionOptimizer = InspectionOptimizer()
    network: dict[str, Any] = {}

    @model_validator(mode="after")
    def _network_is_complete(self) -> Self:
        if self.system in NETWORKS:
            factory = NETWORKS.get(self.system)
            self.network.update(complete_settings(self.system, factory, self.network))
        return self


class SegmentationTraining:
    """One network, one loss, one optimiser.

    Args:
        config: of the run.
        schema: gives channels and classes.
        load: read pretrained weights; False where a checkpoint brings all weights.
    """

    def __init__(self, config: InspectionModelConfig, schema: Schema, *, load: bool = True) -> None:
        self.engine = Engine()
        self.config = config
        self.segmenter = build_network(
            NETWORKS.get(config.system),
            config.network,
            in_channels=schema.channels,
            num_classes=schema.num_defects + 1,
            load=load,
        )
        self.optimizer = config.optimizer.build(self.segmenter)

    def networks(self) -> dict[str, nn.Module]:
        """Return the segmenter."""
        return {"segmenter": self.segmenter}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the one optimiser."""
        return {"segmenter": self.optimizer}

    def averaged(self) -> list[str]:
        """The segmenter, where an average is configured."""
        return ["segmenter"]

    def step(self, batch: Batch) -> dict[str, float]:
        """Make one step on the batch."""
        self.segmenter.train()
        return self.engine.update(
            self.optimizer, batch, self.losses, max_norm=self.config.optimizer.max_norm
        )

    def losses(self, batch: Batch) -> Losses:
        """Return L = w_ce L_ce + w_dice L_dice on the label map; 255 never counts."""
        weights = self.config.loss
        logits: Tensor = self.segmenter(batch.images).float()
        rarity = rarity_weights(batch.defects, logits.shape[1], exponent=weights.rarity)
        cross_entropy = bootstrapped_cross_entropy(
            logits, batch.defects, keep_share=weights.keep_share, class_weights=rarity
        )
        dice = dice_loss(logits, batch.defects)
        total = weights.weight_cross_entropy * cross_entropy + weights.weight_dice * dice
        return {"s/cross_entropy": cross_entropy, "s/dice": dice, "s/total": total}
