"""DCGAN in the form of TensorFlow's tutorial: the baseline that the weld study compares with.

Unconditional: noise to image and masks. To get a class, sampling tries noise until the mask shows
it; or the run is trained on one class alone, as the weld study does. See docs/systems/dcgan.md.
"""

from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.data.tiles import GOOD
from flawsmith.losses.adversarial import GanObjective
from flawsmith.models.dcgan import DcganDiscriminator, DcganGenerator
from flawsmith.nn.keras import ADAM_EPSILON
from flawsmith.systems.adversarial import AdversarialSystem
from flawsmith.systems.base import SYSTEMS, Batch, seeded_noise
from flawsmith.systems.joint_gan import JointConfig, JointGan, JointNetwork
from flawsmith.training.engine import Losses

GOOD_NAME = "good"

FAKE_DROPOUT = 1 << 20
"""Between the seeds of what is dropped from a real image and from the synthetic one beside it."""


class DcganNetwork(JointNetwork):
    """Widths of the networks; the defaults are the tutorial's.

    Attributes:
        dropout: share of the discriminator's values that is dropped behind each layer.
        norm_momentum: share of a batch in the running statistics that sample; Keras's 0.01 wants
            some 400 steps before it has forgotten how it began.
    """

    latent_size: int = Field(default=100, ge=1)
    base_channels: int = Field(default=64, ge=1)
    stages: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    norm_momentum: float = Field(default=0.01, gt=0, le=1)


class DcganOptimizer(StrictModel):
    """Adam for both networks; the defaults are the tutorial's."""

    learning_rate: float = Field(default=1e-4, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)


class DcganConfig(JointConfig):
    """Configuration of a DCGAN run.

    Attributes:
        only: name of the one defect whose images train it, or "good"; None: all of them. The
            others pass and do not count as real, so of the images seen only that share is used.
    """

    only: str | None = None
    network: DcganNetwork = DcganNetwork()
    optimizer: DcganOptimizer = DcganOptimizer()

    @model_validator(mode="after")
    def _has_good_crops(self) -> Self:
        if self.only == GOOD_NAME and self.data.good_share == 0.0:
            raise ValueError(
                "only = good without good crops trains on nothing: set data.good_share, such as 0.5"
            )
        return self


@SYSTEMS.register("dcgan")
class Dcgan(JointGan, AdversarialSystem):
    """DCGAN on the image and its masks.

    Both updates come from one forward pass, as in the tutorial: the generator learns from the
    discriminator before its update, which then sees the images from before the generator's.
    """

    config_class = DcganConfig
    size_multiple = 2
    conditional = False

    def __init__(self, config: DcganConfig, schema: Schema) -> None:
        super().__init__()
        self.config: DcganConfig = config
        self.schema = schema
        self.only = None if config.only is None else _class_id(schema, config.only)
        network, size = config.network, config.training.tile_size
        self.generator: DcganGenerator = DcganGenerator(
            out_channels=self.joint_channels,
            image_size=size,
            latent_size=network.latent_size,
            base_channels=network.base_channels,
            stages=network.stages,
            norm_momentum=network.norm_momentum,
        )
        self.discriminator = DcganDiscriminator(
            in_channels=self.joint_channels,
            image_size=size,
            base_channels=network.base_channels,
            stages=network.stages,
            dropout=network.dropout,
        )
        self.objective = GanObjective("non_saturating")
        adam = config.optimizer
        self.optimize(
            {name: (net, adam.learning_rate) for name, net in self.networks().items()},
            betas=(adam.beta1, adam.beta2),
        )
        for optimizer in self.optimizers().values():
            optimizer.param_groups[0]["eps"] = ADAM_EPSILON

    def networks(self) -> dict[str, nn.Module]:
        """Return both."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def generator_losses(self, batch: Batch, fakes: list[Tensor]) -> Losses:
        """L_G = BCE(D(G(z)), 1); appends G(z), detached."""
        fake = self.make(batch.seeds, batch.labels)
        fakes.append(fake.detach())
        return {"g/total": self.objective.generator(self._judge_fake(fake, batch.seeds))}

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> Losses:
        """L_D = BCE(D(x), 1) + BCE(D(G(z)), 0), a sum."""
        logits = self.discriminator(self.joint(batch), batch.seeds)
        real = self.objective.real(logits, self._counts(batch))
        fake_term = self.objective.fake(self._judge_fake(fake, batch.seeds))
        return {"d/real": real, "d/fake": fake_term, "d/total": real + fake_term}

    def make(self, seeds: Tensor, classes: Tensor) -> Tensor:
        """Return G(z), whatever the class."""
        noise = seeded_noise(seeds, (self.config.network.latent_size,))
        image: Tensor = self.generator(noise)
        return image

    def _judge_fake(self, fake: Tensor, seeds: Tensor) -> Tensor:
        """Return the logits, which drop the same values in the updates of both networks."""
        logits: Tensor = self.discriminator(fake, seeds + FAKE_DROPOUT)
        return logits

    def _counts(self, batch: Batch) -> Tensor | None:
        """Return what each real image counts, mean 1, if one class alone trains the system."""
        if self.only is None:
            return None
        wanted = (batch.labels == self.only).float()
        if self.only != GOOD and batch.present is not None:
            wanted = batch.present[:, self.only - 1]  # it may also show what it was drawn for
        return wanted / wanted.mean().clamp_min(1e-6)


def _class_id(schema: Schema, name: str) -> int:
    return GOOD if name == GOOD_NAME else schema.defect(name).id
