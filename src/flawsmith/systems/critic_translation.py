"""What StarGAN and Defect-GAN share: one generator, and a critic that also names what it sees."""

from abc import abstractmethod
from typing import ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.losses.adversarial import GanObjective
from flawsmith.losses.gradient_penalty import gradient_penalty
from flawsmith.models.stargan import StarGanDiscriminator
from flawsmith.systems.base import Batch
from flawsmith.systems.repeated_updates import update_repeatedly
from flawsmith.systems.translation import TranslationConfig, TranslationSystem
from flawsmith.training.engine import Losses


class CriticNetwork(StrictModel):
    """Widths of the networks.

    Attributes:
        blocks: residual blocks of the generator.
        discriminator_layers: halvings; the tile size must be a multiple of 2^these.
    """

    generator_channels: int = Field(default=64, ge=1)
    blocks: int = Field(default=6, ge=1)
    discriminator_channels: int = Field(default=64, ge=1)
    discriminator_layers: int = Field(default=6, ge=1)


class CriticLoss(StrictModel):
    """Weights of the loss terms, and how often the critic is updated for each generator.

    Attributes:
        critic_steps: updates of the critic a step, each with new draws for the same tiles.
    """

    weight_gp: float = Field(default=10.0, ge=0)
    weight_rec: float = Field(default=10.0, ge=0)
    critic_steps: int = Field(default=5, ge=1)


class CriticConfig(TranslationConfig):
    """Configuration of a run whose critic halves the tiles a few times."""

    network: CriticNetwork = CriticNetwork()
    loss: CriticLoss = CriticLoss()

    @model_validator(mode="after")
    def _halves(self) -> Self:
        size, layers = self.training.tile_size, self.network.discriminator_layers
        if size % (1 << layers):
            raise ValueError(
                f"training.tile_size {size} cannot be halved {layers} times; choose a multiple of "
                f"{1 << layers}, or fewer network.discriminator_layers"
            )
        return self


class CriticTranslation(TranslationSystem):
    """A WGAN-GP of one generator.

    Attributes:
        fixed_size: the discriminator fits ``training.tile_size`` alone.
        domains: normal and every defect.
    """

    size_multiple = 4
    fixed_size: ClassVar[bool] = True
    config: CriticConfig

    def __init__(self, config: CriticConfig, schema: Schema, generator: nn.Module) -> None:
        super().__init__(config, schema)
        self.config = config
        self.domains = schema.num_defects + 1
        self.generator = generator
        self.discriminator = StarGanDiscriminator(
            image_channels=schema.channels,
            num_domains=self.domains,
            image_size=config.training.tile_size,
            base_channels=config.network.discriminator_channels,
            num_layers=config.network.discriminator_layers,
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
        """Update the critic a few times, each with other draws; then the generator."""
        batch = self.begin(batch)
        generators, discriminators = self.optimizers().values()
        d = update_repeatedly(
            self.engine,
            discriminators,
            batch,
            self.discriminator_losses,
            times=self.config.loss.critic_steps,
        )
        return {**self.engine.update(generators, batch, self.generator_losses), **d}

    def penalty(self, batch: Batch, fake: Tensor) -> Tensor:
        """Return the gradient penalty of the critic between real and synthetic images."""
        return gradient_penalty(
            lambda image: self.discriminator(image)[0], batch.images, fake, batch.seeds
        )

    @abstractmethod
    def discriminator_losses(self, batch: Batch) -> Losses:
        """Return the critic's terms."""

    @abstractmethod
    def generator_losses(self, batch: Batch) -> Losses:
        """Return the generator's terms."""


def naming_loss(logits: Tensor, shown: Tensor) -> Tensor:
    """Return the binary cross-entropy of N x domains, summed over them, as a mean over images."""
    return F.binary_cross_entropy_with_logits(logits.float(), shown, reduction="sum") / len(shown)
