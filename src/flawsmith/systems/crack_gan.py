"""The pavement-crack GAN of Xu and Liu 2022, reconstructed from the abstract of their paper.

What is known: few images, high frequencies kept. This is an unconditional WGAN-GP whose generator
enlarges by copying pixels. See docs/systems/crack_gan.md.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.losses.adversarial import GanObjective
from flawsmith.losses.gradient_penalty import gradient_penalty
from flawsmith.models.crack_gan import (
    CrackGanDiscriminator,
    CrackGanGenerator,
    DiscriminatorNorm,
)
from flawsmith.systems.base import SYSTEMS, Batch, seeded_noise
from flawsmith.systems.joint_gan import JointConfig, JointGan, JointNetwork
from flawsmith.systems.repeated_updates import update_repeatedly
from flawsmith.training.engine import Losses

MIXTURE = 1
"""Added to a seed: the mixture of a penalty is independent of the noise."""


class CrackGanNetwork(JointNetwork):
    """Widths of the networks.

    Attributes:
        max_channels: no layer of either is wider.
    """

    generator_channels: int = Field(default=32, ge=1)
    discriminator_channels: int = Field(default=64, ge=1)
    max_channels: int = Field(default=512, ge=1)
    stages: int = Field(default=5, ge=1)
    discriminator_norm: DiscriminatorNorm = "none"


class CrackGanLoss(StrictModel):
    """WGAN-GP (Gulrajani et al. 2017).

    Attributes:
        discriminator_updates: for each of the generator, on the same real images.
    """

    weight_gp: float = Field(default=10.0, ge=0)
    discriminator_updates: int = Field(default=5, ge=1)


class CrackGanOptimizer(StrictModel):
    """Adam for both networks."""

    learning_rate: float = Field(default=1e-4, gt=0)
    beta1: float = Field(default=0.0, ge=0, lt=1)
    beta2: float = Field(default=0.9, ge=0, lt=1)


class CrackGanConfig(JointConfig):
    """Configuration of a run."""

    network: CrackGanNetwork = CrackGanNetwork()
    loss: CrackGanLoss = CrackGanLoss()
    optimizer: CrackGanOptimizer = CrackGanOptimizer()


@SYSTEMS.register("crack_gan")
class CrackGan(JointGan):
    """A crack GAN, reconstructed from an abstract: WGAN-GP on the image and its masks."""

    config_class = CrackGanConfig
    size_multiple = 2
    conditional = False

    def __init__(self, config: CrackGanConfig, schema: Schema) -> None:
        super().__init__()
        self.config: CrackGanConfig = config
        self.schema = schema
        network, size = config.network, config.training.tile_size
        self.generator: CrackGanGenerator = CrackGanGenerator(
            out_channels=self.joint_channels,
            image_size=size,
            latent_size=network.latent_size,
            base_channels=network.generator_channels,
            max_channels=network.max_channels,
            stages=network.stages,
        )
        self.discriminator = CrackGanDiscriminator(
            in_channels=self.joint_channels,
            image_size=size,
            base_channels=network.discriminator_channels,
            max_channels=network.max_channels,
            stages=network.stages,
            norm=network.discriminator_norm,
        )
        self.objective = GanObjective("wgan")
        adam = config.optimizer
        self._optimizers = {
            name: torch.optim.Adam(
                net.parameters(), lr=adam.learning_rate, betas=(adam.beta1, adam.beta2)
            )
            for name, net in self.networks().items()
        }

    def networks(self) -> dict[str, nn.Module]:
        """Return both."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return one Adam each."""
        return dict(self._optimizers)

    def step(self, batch: Batch) -> dict[str, float]:
        """Update the discriminator several times, then the generator."""
        d = update_repeatedly(
            self.engine,
            self._optimizers["discriminator"],
            batch,
            self.discriminator_losses,
            times=self.config.loss.discriminator_updates,
        )
        g = self.engine.update(self._optimizers["generator"], batch, self.generator_losses)
        return {**d, **g}

    def discriminator_losses(self, batch: Batch) -> Losses:
        """L_D = E D(G(z)) - E D(x) + w_gp E (|grad D(x_hat)| - 1)^2, x_hat between x and G(z)."""
        real = self.joint(batch)
        with torch.no_grad():
            fake = self.make(batch.seeds, batch.labels)
        distance = self.objective.discriminator(self.discriminator(real), self.discriminator(fake))
        penalty = gradient_penalty(self.discriminator, real, fake, batch.seeds + MIXTURE)
        total = distance + self.config.loss.weight_gp * penalty
        return {"d/distance": distance, "d/gp": penalty, "d/total": total}

    def generator_losses(self, batch: Batch) -> Losses:
        """L_G = -E D(G(z))."""
        fake = self.make(batch.seeds, batch.labels)
        return {"g/total": self.objective.generator(self.discriminator(fake))}

    def make(self, seeds: Tensor, classes: Tensor) -> Tensor:
        """Return G(z), whatever the class."""
        noise = seeded_noise(seeds, (self.config.network.latent_size,))
        image: Tensor = self.generator(noise)
        return image
