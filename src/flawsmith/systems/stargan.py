"""StarGAN (Choi et al. 2018): one generator for all domains, here normal and every defect.

The generator gets an image and the domain that it shall have; the discriminator says whether an
image is real and of which domain it is. Masks are where image and surface differ.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from flawsmith.data.schema import Schema
from flawsmith.models.stargan import StarGanGenerator
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest, Samples
from flawsmith.systems.critic_translation import (
    CriticConfig,
    CriticLoss,
    CriticNetwork,
    CriticTranslation,
    naming_loss,
)
from flawsmith.systems.difference_masks import sample_difference
from flawsmith.systems.translation import NORMAL, surface_noise
from flawsmith.training.engine import Losses


class StarGanNetwork(CriticNetwork):
    """Widths and inputs of the networks.

    Attributes:
        noise_channels: noise beside the image, so that a surface has more than one image of a
            domain; 0 as in the paper.
    """

    noise_channels: int = Field(default=0, ge=0)


class StarGanLoss(CriticLoss):
    """Weights of the loss terms."""

    weight_class: float = Field(default=1.0, ge=0)


class StarGanConfig(CriticConfig):
    """Configuration of a StarGAN run."""

    network: StarGanNetwork = StarGanNetwork()
    loss: StarGanLoss = StarGanLoss()


@SYSTEMS.register("stargan")
class StarGan(CriticTranslation):
    """StarGAN: one generator from any class to any other; its masks are differences.

    Attributes:
        exclusive: no training image shows several classes.
    """

    config_class = StarGanConfig

    def __init__(self, config: StarGanConfig, schema: Schema) -> None:
        network = config.network
        generator = StarGanGenerator(
            image_channels=schema.channels,
            condition_channels=schema.num_defects + 1 + network.noise_channels,
            base_channels=network.generator_channels,
            num_blocks=network.blocks,
        )
        super().__init__(config, schema, generator)
        self.config: StarGanConfig = config
        self.exclusive = True

    def look_at(self, batch: Batch) -> None:
        """See too whether an image shows several classes."""
        super().look_at(batch)
        self.exclusive = batch.present is None or bool((batch.present.sum(dim=1) <= 1).all())

    def discriminator_losses(self, batch: Batch) -> Losses:
        """L_D = -E D(x) + E D(G(x, c')) + CE(D_cls(x), c) + 10 (norm of the gradient - 1)^2."""
        weights, real = self.config.loss, batch.images
        with torch.no_grad():
            fake = self.translate(real, self.wanted(batch), batch.seeds)
        source, domains = self.discriminator(real)
        adv = self.objective.discriminator(source, self.discriminator(fake)[0])
        named = self.class_loss(domains, self.shown(batch))
        penalty = self.penalty(batch, fake)
        total = adv + weights.weight_class * named + weights.weight_gp * penalty
        return {"d/adv": adv, "d/class": named, "d/gp": penalty, "d/total": total}

    def generator_losses(self, batch: Batch) -> Losses:
        """L_G = -E D(G(x, c')) + CE(D_cls(G(x, c')), c') + 10 |x - G(G(x, c'), c)|."""
        weights, real, wanted = self.config.loss, batch.images, self.wanted(batch)
        fake = self.translate(real, wanted, batch.seeds)
        source, domains = self.discriminator(fake)
        adv = self.objective.generator(source)
        named = self.class_loss(domains, wanted)
        back = self.translate(fake, self.shown(batch), batch.seeds + 1)
        rec = (back - real).abs().mean()
        total = adv + weights.weight_class * named + weights.weight_rec * rec
        return {"g/adv": adv, "g/class": named, "g/rec": rec, "g/total": total}

    def class_loss(self, logits: Tensor, shown: Tensor) -> Tensor:
        """Return the cross-entropy of exclusive domains; else that of each domain, summed."""
        if self.exclusive:
            return F.cross_entropy(logits.float(), shown)
        return naming_loss(logits, shown)

    def shown(self, batch: Batch) -> Tensor:
        """Return the domains of the tiles: N x (K + 1) of 0 and 1, the first for normal."""
        domains = F.one_hot(batch.labels, self.domains).float()
        if not self.exclusive and batch.present is not None:
            domains[:, 1:] = torch.maximum(domains[:, 1:], batch.present)
        return domains

    def wanted(self, batch: Batch) -> Tensor:
        """Return the domains that the tiles shall get: normal and every class equally often."""
        drawn = self.targets(batch.seeds, [NORMAL, *self.classes])
        return F.one_hot(drawn, self.domains).float()

    def translate(self, images: Tensor, domains: Tensor, seeds: Tensor) -> Tensor:
        """Return G(x, c): the images as ones of their domains, N x C x H x W float32.

        Args:
            images: N x C x H x W.
            domains: N x (K + 1) of 0 and 1.
            seeds: N.
        """
        size, noise = images.shape[-2:], self.config.network.noise_channels
        condition = [domains[:, :, None, None].expand(-1, -1, *size)]
        if noise:
            condition.append(surface_noise(seeds, noise, size))
        image: Tensor = self.generator(images, torch.cat(condition, dim=1))
        return image.float()

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a request, with the mask of what the generator changed."""

        def into(surface: Tensor, classes: Tensor, seeds: Tensor) -> Tensor:
            return self.translate(surface, F.one_hot(classes, self.domains).float(), seeds)

        return sample_difference(into, request, seeds, masks=not self.whole)
