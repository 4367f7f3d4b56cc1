"""StarGAN (Choi et al. 2018): one generator for all domains, here normal and every defect.

The generator gets an image and the domain that it shall have; the discriminator says whether an
image is real and of which domain it is. Masks are where image and surface differ.
"""

from dataclasses import replace
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.losses.adversarial import GanObjective
from flawsmith.losses.gradient_penalty import gradient_penalty
from flawsmith.models.stargan import StarGanDiscriminator, StarGanGenerator
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest, Samples
from flawsmith.systems.difference_masks import sample_difference
from flawsmith.systems.translation import (
    NEXT_DRAW,
    NORMAL,
    TranslationConfig,
    TranslationSystem,
    planes,
    require_halvings,
    surface_noise,
)
from flawsmith.training.engine import Losses


class StarGanNetwork(StrictModel):
    """Widths and inputs of the networks.

    Attributes:
        blocks: residual blocks of the generator.
        discriminator_layers: halvings; the tile size must be a multiple of 2^these.
        noise_channels: noise beside the image, so that a surface has more than one image of a
            domain; 0 as in the paper.
    """

    generator_channels: int = Field(default=64, ge=1)
    blocks: int = Field(default=6, ge=1)
    discriminator_channels: int = Field(default=64, ge=1)
    discriminator_layers: int = Field(default=6, ge=1)
    noise_channels: int = Field(default=0, ge=0)


class StarGanLoss(StrictModel):
    """Weights of the loss terms, and how often the discriminator is updated for each generator.

    Attributes:
        critic_steps: updates of the discriminator a step, each with new targets for the same tiles.
    """

    weight_class: float = Field(default=1.0, ge=0)
    weight_rec: float = Field(default=10.0, ge=0)
    weight_gp: float = Field(default=10.0, ge=0)
    critic_steps: int = Field(default=5, ge=1)


class StarGanConfig(TranslationConfig):
    """Configuration of a StarGAN run."""

    network: StarGanNetwork = StarGanNetwork()
    loss: StarGanLoss = StarGanLoss()

    @model_validator(mode="after")
    def _halves(self) -> Self:
        require_halvings(self.training.tile_size, self.network.discriminator_layers)
        return self


@SYSTEMS.register("stargan")
class StarGan(TranslationSystem):
    """StarGAN: one generator from any class to any other; its masks are differences.

    Attributes:
        fixed_size: the discriminator fits ``training.tile_size`` alone.
    """

    config_class = StarGanConfig
    size_multiple = 4
    fixed_size: ClassVar[bool] = True

    def __init__(self, config: StarGanConfig, schema: Schema) -> None:
        super().__init__(config, schema)
        self.config = config
        network = config.network
        self.domains = schema.num_defects + 1
        self.generator = StarGanGenerator(
            image_channels=schema.channels,
            condition_channels=self.domains + network.noise_channels,
            base_channels=network.generator_channels,
            num_blocks=network.blocks,
        )
        self.discriminator = StarGanDiscriminator(
            image_channels=schema.channels,
            num_domains=self.domains,
            image_size=config.training.tile_size,
            base_channels=network.discriminator_channels,
            num_layers=network.discriminator_layers,
        )
        self.objective = GanObjective("wgan")
        self.optimize(generators=self.generator, discriminators=self.discriminator)

    def networks(self) -> dict[str, nn.Module]:
        """Return generator, discriminator and how far the run is."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "seen": self.seen,
        }

    def averaged(self) -> list[str]:
        """Return what samples."""
        return ["generator"]

    def step(self, batch: Batch) -> dict[str, float]:
        """Update the discriminator a few times, each with other targets; then the generator."""
        batch = self.begin(batch)
        generators, discriminators = self.optimizers().values()
        d: dict[str, float] = {}
        for turn in range(self.config.loss.critic_steps):
            drawn = replace(batch, seeds=batch.seeds + turn * NEXT_DRAW)
            d = self.engine.update(discriminators, drawn, self.discriminator_losses)
        return {**self.engine.update(generators, batch, self.generator_losses), **d}

    def discriminator_losses(self, batch: Batch) -> Losses:
        """L_D = -E D(x) + E D(G(x, c')) + CE(D_cls(x), c) + 10 (norm of the gradient - 1)^2."""
        weights, real = self.config.loss, batch.images
        with torch.no_grad():
            fake = self.translate(real, self.wanted(batch), batch.seeds)
        source, domain = self.discriminator(real)
        adv = self.objective.discriminator(source, self.discriminator(fake)[0])
        named = F.cross_entropy(domain.float(), batch.labels)
        penalty = gradient_penalty(
            lambda image: self.discriminator(image)[0], real, fake, batch.seeds
        )
        total = adv + weights.weight_class * named + weights.weight_gp * penalty
        return {"d/adv": adv, "d/class": named, "d/gp": penalty, "d/total": total}

    def generator_losses(self, batch: Batch) -> Losses:
        """L_G = -E D(G(x, c')) + CE(D_cls(G(x, c')), c') + 10 |x - G(G(x, c'), c)|."""
        weights, real, wanted = self.config.loss, batch.images, self.wanted(batch)
        fake = self.translate(real, wanted, batch.seeds)
        source, domain = self.discriminator(fake)
        adv = self.objective.generator(source)
        named = F.cross_entropy(domain.float(), wanted)
        back = self.translate(fake, batch.labels, batch.seeds + 1)
        rec = (back - real).abs().mean()
        total = adv + weights.weight_class * named + weights.weight_rec * rec
        return {"g/adv": adv, "g/class": named, "g/rec": rec, "g/total": total}

    def wanted(self, batch: Batch) -> Tensor:
        """Return the domains that the tiles shall get: normal and every class equally often."""
        return self.targets(batch.seeds, [NORMAL, *self.classes])

    def translate(self, images: Tensor, domains: Tensor, seeds: Tensor) -> Tensor:
        """Return G(x, c): the images as ones of their domains, N x C x H x W float32."""
        size, noise = images.shape[-2:], self.config.network.noise_channels
        condition = [planes(domains, self.domains, size, first=NORMAL)]
        if noise:
            condition.append(surface_noise(seeds, noise, size))
        image: Tensor = self.generator(images, torch.cat(condition, dim=1))
        return image.float()

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a request, with the mask of what the generator changed."""
        return sample_difference(self.translate, request, seeds)
