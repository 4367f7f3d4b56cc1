"""Training of a classification model: which defects an image shows, each a yes or no of its own.

A sigmoid and a binary cross-entropy for each class, since an image can show several defects; a
good image shows none.
"""

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.models.classifiers import CLASSIFIERS, MapClassifier
from flawsmith.models.settings import build_network, complete_settings
from flawsmith.systems.base import Batch
from flawsmith.systems.inspection_optimizer import InspectionOptimizer
from flawsmith.training.config import RunConfig
from flawsmith.training.engine import Engine, Losses


class ClassificationLoss(StrictModel):
    """The loss.

    Attributes:
        smoothing: how far the targets 0 and 1 are moved towards one half (label smoothing).
    """

    smoothing: float = Field(default=0.0, ge=0, lt=1)


class ClassificationConfig(RunConfig):
    """Configuration of a classification model; ``system`` names its network.

    Attributes:
        arm: name of the training mix in reports: real, bagan_gp, ...
        network: settings of the network; each has its own, listed in docs/models.md.
    """

    arm: str = "real"
    loss: ClassificationLoss = ClassificationLoss()
    optimizer: InspectionOptimizer = InspectionOptimizer()
    network: dict[str, Any] = {}

    @model_validator(mode="after")
    def _network_is_complete(self) -> Self:
        if self.data.labels != "image":
            raise ValueError("a classification model needs data.labels = image")
        factory = CLASSIFIERS.get(self.system)
        self.network.update(complete_settings(self.system, factory, self.network))
        return self


class ClassificationTraining:
    """One network, one loss, one optimiser.

    Args:
        config: of the run.
        schema: gives channels and classes.
        load: read pretrained weights; False where a checkpoint brings all weights.
    """

    def __init__(self, config: ClassificationConfig, schema: Schema, *, load: bool = True) -> None:
        self.engine = Engine()
        self.config = config
        network = build_network(
            CLASSIFIERS.get(config.system),
            config.network,
            in_channels=schema.channels,
            num_classes=schema.num_defects,
            load=load,
        )
        assert isinstance(network, MapClassifier)
        self.classifier = network
        self.optimizer = config.optimizer.build(network)

    def networks(self) -> dict[str, nn.Module]:
        """Return the classifier."""
        return {"classifier": self.classifier}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the one optimiser."""
        return {"classifier": self.optimizer}

    def averaged(self) -> list[str]:
        """The classifier, where an average is configured."""
        return ["classifier"]

    def step(self, batch: Batch) -> dict[str, float]:
        """Make one step on the batch."""
        self.classifier.train()
        return self.engine.update(
            self.optimizer, batch, self.losses, max_norm=self.config.optimizer.max_norm
        )

    def losses(self, batch: Batch) -> Losses:
        """Return L = -mean(y log p + (1 - y) log(1 - p)) over images and classes, p = sigmoid."""
        if batch.present is None:
            raise FlawsmithError(
                "a classification model was given crops with labels of pixels; expected labels of "
                "whole images: set data.labels = image"
            )
        smoothing = self.config.loss.smoothing
        targets = batch.present * (1.0 - smoothing) + 0.5 * smoothing
        logits = self.classifier(batch.images)
        total = F.binary_cross_entropy_with_logits(logits, targets)
        return {"c/total": total}
