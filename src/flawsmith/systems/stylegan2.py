"""StyleGAN2 with adaptive augmentation, conditional on the class, its masks made with the image.

Karras et al. 2019 (arXiv 1812.04948: mapping, style mixing), 2020a (arXiv 1912.04958: modulated
convolutions, lazy regularisation, path length) and 2020b (arXiv 2006.06676: augmentation). Written
from the papers; what is different is in docs/systems/stylegan2.md.
"""

import math
from enum import IntEnum
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.losses.adversarial import GanObjective
from flawsmith.models.stylegan2 import StyleGan2Discriminator, StyleGan2Generator
from flawsmith.models.stylegan2_layers import float32
from flawsmith.systems.adaptive_augmentation import (
    AdaptiveAugmentation,
    AdaptiveProbability,
    augment,
)
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest, Samples, System, seeded_noise
from flawsmith.systems.joint_masks import join, mask_channels, sample_joint, sample_unmasked
from flawsmith.training.config import RunConfig
from flawsmith.training.engine import Losses

W_DECAY = 0.995
"""Share of the mean of w that a step keeps (2019, appendix C)."""

PATH_DECAY = 0.99
"""Share of the mean path length that a measurement keeps (2020a, appendix B)."""

SEED_STEP = 7_368_787
"""Between the seeds of two `Use`s; further than all tries of `sample_joint`."""


class Use(IntEnum):
    """What is drawn for an image beside its latent, each from a seed of its own."""

    NOISE = 1
    SECOND_LATENT = 2
    CROSSOVER = 3
    FAKE = 4
    REAL = 5
    FAKE_AGAIN = 6
    REAL_AGAIN = 7
    DIRECTION = 8
    PATH = 16

    def of(self, seeds: Tensor) -> Tensor:
        """Return the N seeds of this use."""
        return seeds + SEED_STEP * int(self)


class StyleGan2Network(StrictModel):
    """Widths of the networks.

    Attributes:
        base_channels: a map of s pixels has base_channels / s channels.
        max_channels: the most that any has.
        style_size: of w, of the embedded class and of what the class is projected on.
        group: images that follow each other and whose spread the discriminator sees.
    """

    base_channels: int = Field(default=16384, ge=8)
    max_channels: int = Field(default=512, ge=1)
    latent_size: int = Field(default=512, ge=1)
    style_size: int = Field(default=512, ge=1)
    mapping_layers: int = Field(default=2, ge=1)
    class_layers: int = Field(default=8, ge=1)
    group: int = Field(default=4, ge=1)


class StyleGan2Loss(StrictModel):
    """Weights and intervals.

    Attributes:
        weight_r1: gamma of R1; the authors' rule is 0.0002 x pixels / batch size.
        r1_every: steps between two updates by R1, each as strong as so many.
        weight_path: of the path length; 0: without.
        path_every: the same for the path length.
        mixing: share of the made images that have codes of two latents.
    """

    weight_r1: float = Field(default=0.82, ge=0)
    r1_every: int = Field(default=16, ge=1)
    weight_path: float = Field(default=2.0, ge=0)
    path_every: int = Field(default=4, ge=1)
    mixing: float = Field(default=0.9, ge=0, le=1)


class StyleGan2Optimizer(StrictModel):
    """Adam for both networks, before the correction for lazy regularisation."""

    learning_rate: float = Field(default=0.0025, gt=0)
    beta1: float = Field(default=0.0, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)


class StyleGan2Sampling(StrictModel):
    """How a trained network samples.

    Attributes:
        truncation: psi: w is that near to its mean; 1: as trained, less: less varied.
    """

    truncation: float = Field(default=1.0, ge=0, le=1)


class StyleGan2Config(RunConfig):
    """Configuration of a StyleGAN2 run."""

    network: StyleGan2Network = StyleGan2Network()
    loss: StyleGan2Loss = StyleGan2Loss()
    optimizer: StyleGan2Optimizer = StyleGan2Optimizer()
    adaptive: AdaptiveAugmentation = AdaptiveAugmentation()
    sampling: StyleGan2Sampling = StyleGan2Sampling()


class Statistics(nn.Module):
    """What a step leaves to the next one beside the weights; buffers, so that a run goes on.

    Attributes:
        steps: so far.
        path_length: a, its running mean.
        augmentation: holds p.
    """

    steps: Tensor
    path_length: Tensor

    def __init__(self, adaptive: AdaptiveAugmentation) -> None:
        super().__init__()
        self.augmentation = AdaptiveProbability(adaptive)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("path_length", torch.zeros(()))


@SYSTEMS.register("stylegan2")
class StyleGan2(System):
    """StyleGAN2 with adaptive augmentation: image and masks from noise and a class."""

    config_class = StyleGan2Config
    size_multiple = 16
    fixed_size: ClassVar[bool] = True
    image_labels: ClassVar[bool] = True

    def __init__(self, config: StyleGan2Config, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        network, size = config.network, config.training.tile_size
        image_channels = schema.channels + mask_channels(config, schema)
        num_classes = schema.num_defects + 1  # 0: a good crop
        self.generator = StyleGan2Generator(
            image_size=size,
            image_channels=image_channels,
            num_classes=num_classes,
            latent_size=network.latent_size,
            style_size=network.style_size,
            mapping_layers=network.mapping_layers,
            base_channels=network.base_channels,
            max_channels=network.max_channels,
        )
        self.discriminator = StyleGan2Discriminator(
            image_size=size,
            image_channels=image_channels,
            num_classes=num_classes,
            class_size=network.style_size,
            class_layers=network.class_layers,
            base_channels=network.base_channels,
            max_channels=network.max_channels,
            group=network.group,
        )
        self.statistics = Statistics(config.adaptive)
        self.objective = GanObjective("non_saturating")
        loss = config.loss
        self._optimizers = {
            "generator": self._adam(self.generator, loss.weight_path, loss.path_every),
            "discriminator": self._adam(self.discriminator, loss.weight_r1, loss.r1_every),
        }

    def _adam(self, network: nn.Module, weight: float, every: int) -> torch.optim.Adam:
        """Return Adam, corrected for the steps that regularise in between (2020a, appendix B)."""
        adam = self.config.optimizer
        c = every / (every + 1) if weight > 0 else 1.0
        return torch.optim.Adam(
            network.parameters(), lr=adam.learning_rate * c, betas=(adam.beta1**c, adam.beta2**c)
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return both networks, and the statistics that a run goes on with."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "statistics": self.statistics,
        }

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return one Adam each."""
        return dict(self._optimizers)

    def averaged(self) -> list[str]:
        """Return what samples."""
        return ["generator"]

    def step(self, batch: Batch) -> dict[str, float]:
        """Update G, sometimes by the path length, then D on the same images, sometimes by R1."""
        loss, steps = self.config.loss, int(self.statistics.steps)
        generator, discriminator = self._optimizers.values()
        fakes: list[Tensor] = []
        codes: list[Tensor] = []
        lengths: list[Tensor] = []
        signs: list[Tensor] = []
        update = self.engine.update
        values = update(generator, batch, lambda b: self.generator_losses(b, fakes, codes))
        if loss.weight_path > 0 and steps % loss.path_every == 0:
            values |= update(generator, batch, lambda b: self.path_losses(b, lengths))
        values |= update(
            discriminator, batch, lambda b: self.discriminator_losses(b, fakes.pop(0), signs)
        )
        if loss.weight_r1 > 0 and steps % loss.r1_every == 0:
            values |= update(discriminator, batch, self.r1_losses)
        self.observe(codes, lengths, signs)
        return values | {"ada/p": float(self.statistics.augmentation.p)}

    def generator_losses(self, batch: Batch, fakes: list[Tensor], codes: list[Tensor]) -> Losses:
        """L_G = E softplus(-D(A(G(z)))); appends the images, detached, and the mean of w."""
        fake, w = self.generate(batch.labels, batch.seeds, mixing=self.config.loss.mixing)
        fakes.append(fake.detach())
        codes.append(w.detach().mean(dim=0))
        scores = self.discriminator(self.augmented(fake, batch, Use.FAKE), batch.labels)
        return {"g/total": self.objective.generator(scores)}

    def path_losses(self, batch: Batch, lengths: list[Tensor]) -> Losses:
        """L_path = weight (|J_w^T y| - a)^2 on every second image; appends the mean length.

        2020a, Eq. 4: J_w is that of all codes of an image, its square the mean over them; y is
        normal noise over the root of the number of pixels. a is as it was before this step.
        """
        loss, seeds, labels = self.config.loss, Use.PATH.of(batch.seeds[::2]), batch.labels[::2]
        latents = seeded_noise(seeds, (self.generator.latent_size,))
        noise = seeded_noise(Use.NOISE.of(seeds), (self.generator.noise_values,))
        with float32(latents):
            ws = self.generator.repeat(self.generator.mapping(latents, labels))
            image = self.generator.synthesis(ws, noise)
            y = seeded_noise(Use.DIRECTION.of(seeds), tuple(image.shape[1:]))
            product = (image * y).sum() / math.sqrt(image.shape[-2] * image.shape[-1])
            (gradient,) = torch.autograd.grad(product, ws, create_graph=True)
            length = gradient.square().sum(dim=2).mean(dim=1).sqrt()
            penalty = (length - self.statistics.path_length).square().mean()
        lengths.append(length.detach().mean())
        return {
            "g_path/length": length.mean(),
            "g_path/total": loss.weight_path * loss.path_every * penalty,
        }

    def discriminator_losses(self, batch: Batch, fake: Tensor, signs: list[Tensor]) -> Losses:
        """L_D = E softplus(D(A(G(z)))) + E softplus(-D(A(x))); appends the mean sign of D(A(x))."""
        real = self.augmented(self.joint(batch), batch, Use.REAL)
        fake = self.augmented(fake, batch, Use.FAKE_AGAIN)
        real_scores = self.discriminator(real, batch.labels)
        fake_scores = self.discriminator(fake, batch.labels)
        signs.append(real_scores.detach().sign().mean())
        terms = {
            "d/real": self.objective.real(real_scores),
            "d/fake": self.objective.fake(fake_scores),
        }
        return terms | {"d/total": terms["d/real"] + terms["d/fake"]}

    def r1_losses(self, batch: Batch) -> Losses:
        """L_R1 = gamma / 2 E |dD / dx|^2 (Mescheder et al. 2018) on real images as D sees them."""
        loss = self.config.loss
        real = self.augmented(self.joint(batch), batch, Use.REAL_AGAIN).requires_grad_()
        with float32(real):
            scores = self.discriminator(real, batch.labels)
            (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
            penalty = gradient.square().sum(dim=(1, 2, 3)).mean()
        return {
            "d_r1/gradient": penalty,
            "d_r1/total": loss.r1_every * 0.5 * loss.weight_r1 * penalty,
        }

    @torch.no_grad()
    def observe(self, codes: list[Tensor], lengths: list[Tensor], signs: list[Tensor]) -> None:
        """Move the mean of w, the mean path length and p by what this step saw."""
        found = [
            torch.cat([values.float().reshape(-1) for values in of_piece])
            for of_piece in zip(codes, signs, *([lengths] if lengths else []), strict=True)
        ]
        mean, size = self.engine.mean(found), len(codes[0])
        self.generator.mean_w.lerp_(mean[:size], 1.0 - W_DECAY)
        self.statistics.augmentation.observe(mean[size], self.config.training.batch_size)
        if lengths:
            self.statistics.path_length.lerp_(mean[size + 1], 1.0 - PATH_DECAY)
        self.statistics.steps += 1

    def joint(self, batch: Batch) -> Tensor:
        """Return the real images with their mask planes, if there are masks."""
        return join(batch.images, batch.defects, mask_channels(self.config, self.schema))

    def augmented(self, joint: Tensor, batch: Batch, use: Use) -> Tensor:
        """Return what the discriminator sees of pictures."""
        return augment(
            joint,
            use.of(batch.seeds),
            channels=self.schema.channels,
            p=float(self.statistics.augmentation.p),
            transforms=self.config.adaptive.transforms,
        )

    def generate(
        self, classes: Tensor, seeds: Tensor, *, mixing: float = 0.0, truncation: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return images with their mask planes, N x (C + K) x H x W float32, and codes w."""
        generator = self.generator
        shape = (generator.latent_size,)
        w = generator.mapping(seeded_noise(seeds, shape), classes)
        ws = generator.repeat(generator.mean_w.lerp(w, truncation))
        if mixing > 0.0:
            second = generator.mapping(seeded_noise(Use.SECOND_LATENT.of(seeds), shape), classes)
            swapped = self.swapped(seeds, mixing)
            ws = torch.where(swapped[:, :, None], generator.repeat(second), ws)
        noise = seeded_noise(Use.NOISE.of(seeds), (generator.noise_values,))
        return generator.synthesis(ws, noise), w

    def swapped(self, seeds: Tensor, mixing: float) -> Tensor:
        """Return N x codes: which are those of the second latent (2019, section 3.1)."""
        codes = self.generator.synthesis.num_codes
        draws = [
            torch.rand(2, generator=torch.Generator().manual_seed(int(seed)))
            for seed in Use.CROSSOVER.of(seeds)
        ]
        mixed, place = torch.stack(draws).to(seeds.device).unbind(dim=1)
        first = torch.where(mixed < mixing, 1 + (place * (codes - 1)).floor(), codes)
        return torch.arange(codes, device=seeds.device) >= first[:, None]

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a label map, of which the class alone is taken; its mask is its own."""
        truncation = self.config.sampling.truncation

        def make(seeds: Tensor, classes: Tensor) -> Tensor:
            return self.generate(classes.to(seeds.device), seeds, truncation=truncation)[0]

        if not mask_channels(self.config, self.schema):
            return sample_unmasked(make, request, seeds)
        return sample_joint(make, request, seeds, self.schema.channels)
