"""BAGAN-GP (Huang and Jafari 2021): a class-conditional GAN that begins as an autoencoder.

First a supervised autoencoder: the code of an image, times a vector of its class, is decoded. Then
vector and decoder become the generator of a GAN whose discriminator is told the class, punished
for steep gradients, and shown real images under wrong classes too. See docs/systems/bagan_gp.md.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.losses.adversarial import GanObjective
from flawsmith.losses.gradient_penalty import Mixing, gradient_penalty
from flawsmith.models.bagan_gp import (
    BaganDecoder,
    BaganDiscriminator,
    BaganEncoder,
    BaganGenerator,
)
from flawsmith.nn.counter import ImageCounter
from flawsmith.nn.keras import ADAM_EPSILON
from flawsmith.systems.base import SYSTEMS, Batch, seeded_noise
from flawsmith.systems.joint_gan import JointConfig, JointGan, JointNetwork
from flawsmith.systems.repeated_updates import update_repeatedly
from flawsmith.training.engine import Losses

NOISE, FAKE_CLASS, WRONG_CLASS, MIXTURE = range(4)
"""Added to a seed, so that what is drawn of it for different ends is independent."""


class BaganNetwork(JointNetwork):
    """Widths of the networks; the defaults are the published ones, for 64 px.

    Attributes:
        label_size: of the class's embedding in the discriminator.
        norm_momentum: share of a batch in the running statistics that sample.
    """

    base_channels: int = Field(default=64, ge=1)
    label_size: int = Field(default=512, ge=1)
    norm_momentum: float = Field(default=0.01, gt=0, le=1)


class BaganAutoencoder(StrictModel):
    """The first phase.

    Attributes:
        share: of the run's images that it takes.
    """

    share: float = Field(default=0.25, ge=0, lt=1)
    learning_rate: float = Field(default=2e-4, gt=0)


class BaganLoss(StrictModel):
    """What the discriminator is taught, and how often.

    Attributes:
        wrong_label: classes under which real images are shown as wrong: uniform takes all of them
            with the true one, as the published code; exclude_true leaves it out.
        mixing: share of the real image in the mixtures of the gradient penalty: uniform on
            [0, 1], as the paper; normal leaves the segment, as the published code.
        discriminator_updates: for each of the generator, on the same real images.
    """

    wrong_label: Literal["uniform", "exclude_true"] = "uniform"
    mixing: Mixing = "uniform"
    weight_gp: float = Field(default=10.0, ge=0)
    discriminator_updates: int = Field(default=5, ge=1)


class BaganOptimizer(StrictModel):
    """Adam for the generator and the discriminator; but for the rate also for the autoencoder."""

    learning_rate: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: float = Field(default=0.9, ge=0, lt=1)


class BaganConfig(JointConfig):
    """Configuration of a BAGAN-GP run."""

    network: BaganNetwork = BaganNetwork()
    autoencoder: BaganAutoencoder = BaganAutoencoder()
    loss: BaganLoss = BaganLoss()
    optimizer: BaganOptimizer = BaganOptimizer()


@SYSTEMS.register("bagan_gp")
class BaganGp(JointGan):
    """BAGAN-GP on the image and its masks; good crops are a class of their own where there are any.

    Both phases are one run: `progress`, kept in the checkpoint, says which one a step belongs to.
    """

    config_class = BaganConfig
    size_multiple = 2

    def __init__(self, config: BaganConfig, schema: Schema) -> None:
        super().__init__()
        self.config: BaganConfig = config
        self.schema = schema
        self.first_class = 0 if config.data.good_share else 1
        self.num_classes = schema.num_defects + 1 - self.first_class
        network, size = config.network, config.training.tile_size
        widths = {"base_channels": network.base_channels, "stages": network.stages}
        self.encoder = BaganEncoder(
            in_channels=self.joint_channels,
            image_size=size,
            latent_size=network.latent_size,
            **widths,
        )
        decoder = BaganDecoder(
            out_channels=self.joint_channels,
            image_size=size,
            latent_size=network.latent_size,
            norm_momentum=network.norm_momentum,
            **widths,
        )
        self.generator: BaganGenerator = BaganGenerator(
            num_classes=self.num_classes, decoder=decoder, latent_size=network.latent_size
        )
        self.discriminator = BaganDiscriminator(
            num_classes=self.num_classes,
            in_channels=self.joint_channels,
            image_size=size,
            label_size=network.label_size,
            **widths,
        )
        self.progress = ImageCounter()
        self.objective = GanObjective("non_saturating")
        self._optimizers = {
            "autoencoder": self._adam(
                config.autoencoder.learning_rate, self.encoder, self.generator
            ),
            "generator": self._adam(config.optimizer.learning_rate, self.generator),
            "discriminator": self._adam(config.optimizer.learning_rate, self.discriminator),
        }

    def _adam(self, learning_rate: float, *networks: nn.Module) -> torch.optim.Adam:
        adam = self.config.optimizer
        return torch.optim.Adam(
            [parameter for network in networks for parameter in network.parameters()],
            lr=learning_rate,
            betas=(adam.beta1, adam.beta2),
            eps=ADAM_EPSILON,
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return encoder, generator (embedding and decoder), discriminator and the progress."""
        return {
            "encoder": self.encoder,
            "generator": self.generator,
            "discriminator": self.discriminator,
            "progress": self.progress,
        }

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return one Adam each for both phases; those of the second begin with it."""
        return dict(self._optimizers)

    @property
    def autoencoder_images(self) -> float:
        """Images of the first phase."""
        return self.config.autoencoder.share * self.config.training.total_images

    def enter_last_phase(self) -> None:
        """Count the images of the first phase as seen."""
        self.progress.add(self.config.training.total_images)

    def step(self, batch: Batch) -> dict[str, float]:
        """Update the autoencoder; after its share of the run discriminator and generator."""
        seen = int(self.progress)
        self.progress.add(self.config.training.batch_size)
        if seen < self.autoencoder_images:
            return self.engine.update(
                self._optimizers["autoencoder"], batch, self.autoencoder_losses
            )
        d = update_repeatedly(
            self.engine,
            self._optimizers["discriminator"],
            batch,
            self.discriminator_losses,
            times=self.config.loss.discriminator_updates,
        )
        g = self.engine.update(self._optimizers["generator"], batch, self.generator_losses)
        return {**d, **g}

    def autoencoder_losses(self, batch: Batch) -> Losses:
        """L = MAE of the image + MAE of the masks if there are any, decoded from code and class."""
        real = self.joint(batch)
        decoded = self.generator(self.encoder(real), self.classes_of(batch.labels))
        error = (decoded.float() - real).abs()
        image = error[:, : self.schema.channels].mean()
        if self.joint_channels == self.schema.channels:
            return {"ae/total": image}
        masks = error[:, self.schema.channels :].mean()
        return {"ae/image": image, "ae/masks": masks, "ae/total": image + masks}

    def discriminator_losses(self, batch: Batch) -> Losses:
        """L_D = BCE(D(x, y), 1) + BCE(D(G(z, y_f), y_f), 0) + BCE(D(x, y_w), 0) + w_gp GP.

        GP is taken between x and G(z, y_f) under the real class y.
        """
        weights = self.config.loss
        real, classes = self.joint(batch), self.classes_of(batch.labels)
        fake_classes = draw_classes(batch.seeds + FAKE_CLASS, self.num_classes)
        with torch.no_grad():
            fake = self._generate(batch.seeds + NOISE, fake_classes)
        terms = {
            "d/real": self.objective.real(self.discriminator(real, classes)),
            "d/fake": self.objective.fake(self.discriminator(fake, fake_classes)),
        }
        if self.num_classes > 1:
            wrong = wrong_classes(
                classes,
                batch.seeds + WRONG_CLASS,
                self.num_classes,
                weights.wrong_label,
                self.shown_classes(batch),
            )
            terms["d/wrong"] = self.objective.fake(self.discriminator(real, wrong))
        penalty = gradient_penalty(
            lambda mixed: self.discriminator(mixed, classes),
            real,
            fake,
            batch.seeds + MIXTURE,
            mixing=weights.mixing,
        )
        total = torch.stack(list(terms.values())).sum() + weights.weight_gp * penalty
        return {**terms, "d/gp": penalty, "d/total": total}

    def generator_losses(self, batch: Batch) -> Losses:
        """L_G = BCE(D(G(z, y_f), y_f), 1)."""
        classes = draw_classes(batch.seeds + FAKE_CLASS, self.num_classes)
        fake = self._generate(batch.seeds + NOISE, classes)
        return {"g/total": self.objective.generator(self.discriminator(fake, classes))}

    def make(self, seeds: Tensor, classes: Tensor) -> Tensor:
        """Return G(z, y) of the classes of the schema, 0 for good."""
        return self._generate(seeds, self.classes_of(classes.to(seeds.device)))

    def classes_of(self, labels: Tensor) -> Tensor:
        """Return the networks' numbers of the schema's classes."""
        return (labels - self.first_class).clamp_min(0)

    def shown_classes(self, batch: Batch) -> Tensor | None:
        """Return N x K, whether an image shows a class, where one may show several."""
        if batch.present is None:
            return None
        defects = batch.present > 0
        if self.first_class:
            return defects
        return torch.cat([~defects.any(dim=1, keepdim=True), defects], dim=1)

    def _generate(self, seeds: Tensor, classes: Tensor) -> Tensor:
        noise = seeded_noise(seeds, (self.config.network.latent_size,))
        image: Tensor = self.generator(noise, classes)
        return image


def draw_classes(seeds: Tensor, num_classes: int) -> Tensor:
    """Return N classes, each uniform on 0 to ``num_classes`` - 1 and following from its seed."""
    drawn = [
        torch.randint(num_classes, (), generator=torch.Generator().manual_seed(int(seed)))
        for seed in seeds
    ]
    return torch.stack(drawn).to(seeds.device)


def wrong_classes(
    classes: Tensor,
    seeds: Tensor,
    num_classes: int,
    rule: Literal["uniform", "exclude_true"],
    shown: Tensor | None = None,
) -> Tensor:
    """Return for each image a class to show it under as wrong.

    ``uniform`` hits the true class with probability 1 / K: for two classes half of these terms
    punish a correct pair. ``exclude_true`` draws from the K - 1 others, or of them from those that
    the image does not show; if it shows them all, no class is wrong and one of them is taken.

    Args:
        classes: N, under which the images are shown as right.
        seeds: N, of the draws.
        num_classes: K.
        rule: see above.
        shown: N x K, true for each class that the image shows; None: for its own alone.
    """
    if rule == "uniform":
        return draw_classes(seeds, num_classes)
    if shown is None:
        shown = one_hot(classes, num_classes).bool()
    drawn = []
    for own, seed, true in zip(classes, seeds, shown, strict=True):
        others = (own + 1 + torch.arange(num_classes - 1, device=own.device)) % num_classes
        wrong = others[~true[others]]
        choices = wrong if len(wrong) else others
        drawn.append(choices[draw_classes(seed[None], len(choices))])
    return torch.cat(drawn)
