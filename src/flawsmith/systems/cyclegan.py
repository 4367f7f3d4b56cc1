"""CycleGAN (Zhu et al. 2017): a good surface to a defective one and back, without pairs.

The paper learns one pair of generators for two domains. Here domain A is the normal surface,
domain B the surface with a defect, and a class map beside the image says which defect, so that
one pair serves all classes (docs/systems/cyclegan.md). Masks are where image and surface differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.losses.adversarial import GanObjective
from flawsmith.models.cyclegan import CycleGanGenerator
from flawsmith.models.patch_gan import PatchGan
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest, Samples
from flawsmith.systems.difference_masks import sample_difference
from flawsmith.systems.image_history import ImageHistory
from flawsmith.systems.translation import (
    NORMAL,
    TranslationConfig,
    TranslationSystem,
    planes,
    surface_noise,
)
from flawsmith.training.engine import Losses


class CycleGanNetwork(StrictModel):
    """Widths and inputs of the networks.

    Attributes:
        blocks: residual blocks of a generator; nine at 256 pixels, six at 128.
        discriminator_layers: layers of stride 2; 3 see 70 pixels a score.
        class_map: shows the class to generators and to the discriminator of defects; without it,
            as in the paper, a run learns one class.
        noise_channels: noise beside a normal surface, so that it has more than one defective
            image; 0 as in the paper.
    """

    generator_channels: int = Field(default=64, ge=1)
    blocks: int = Field(default=9, ge=1)
    discriminator_channels: int = Field(default=64, ge=1)
    discriminator_layers: int = Field(default=3, ge=1)
    class_map: bool = True
    noise_channels: int = Field(default=0, ge=0)


class CycleGanLoss(StrictModel):
    """Weights of the loss terms, and how many images the discriminators remember.

    Attributes:
        weight_cycle: lambda of both cycles.
        weight_identity: of leaving an image alone that is in the wanted domain already; the
            paper's 0.5 lambda. It keeps dark dots from becoming bright ones.
    """

    weight_adv: float = Field(default=1.0, ge=0)
    weight_cycle: float = Field(default=10.0, ge=0)
    weight_identity: float = Field(default=5.0, ge=0)
    history_images: int = Field(default=50, ge=0)


class CycleGanConfig(TranslationConfig):
    """Configuration of a CycleGAN run."""

    network: CycleGanNetwork = CycleGanNetwork()
    loss: CycleGanLoss = CycleGanLoss()


@dataclass(frozen=True)
class Domain:
    """The tiles of one domain in a micro-batch; at least one, so that every weight is reached.

    Attributes:
        batch: these tiles.
        weight: of each; 0 for a stand-in where the micro-batch has no such tile. Its sum over the
            tiles of a step is on average their number.
    """

    batch: Batch
    weight: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Return the weighted mean of M x ... values."""
        return (values.float().flatten(1).mean(dim=1) * self.weight).mean()

    @property
    def patches(self) -> Tensor:
        """The weight as M x 1 x 1 x 1, for patch scores."""
        return self.weight[:, None, None, None]


def domain(batch: Batch, belongs: Tensor, share: float) -> Domain:
    """Return the tiles for which ``belongs``, a ``share`` of all tiles on average.

    Dividing by the share and not by their number in this micro-batch makes any division of a
    batch give the same gradient.
    """
    rows = belongs.nonzero().flatten()
    if not len(rows):
        rows = torch.zeros(1, dtype=torch.long, device=belongs.device)
    weight = belongs[rows].float() * (len(rows) / (share * len(batch)))
    picked = {
        name: getattr(batch, name)[rows]
        for name in ("images", "defects", "backgrounds", "labels", "seeds")
    }
    return Domain(replace(batch, clean=None, present=None, **picked), weight)


@dataclass(frozen=True)
class Translated:
    """What the generators made of a micro-batch, for the discriminators; detached.

    Attributes:
        defect: of the normal tiles.
        classes: that they shall have.
        normal: of the tiles with a defect.
    """

    defect: Tensor
    classes: Tensor
    normal: Tensor


@SYSTEMS.register("cyclegan")
class CycleGan(TranslationSystem):
    """CycleGAN: a good surface to a defective one and back; its masks are differences.

    Attributes:
        fixed_size: the history keeps tiles of ``training.tile_size``.
    """

    config_class = CycleGanConfig
    size_multiple = 4
    fixed_size: ClassVar[bool] = True

    def __init__(self, config: CycleGanConfig, schema: Schema) -> None:
        super().__init__(config, schema)
        self.config = config
        network, channels = config.network, schema.channels
        named = schema.num_defects * network.class_map

        def generator(noise: int) -> CycleGanGenerator:
            return CycleGanGenerator(
                image_channels=channels,
                condition_channels=named + noise,
                base_channels=network.generator_channels,
                num_blocks=network.blocks,
            )

        def discriminator(condition: int) -> PatchGan:
            return PatchGan(
                in_channels=channels + condition,
                base_channels=network.discriminator_channels,
                num_layers=network.discriminator_layers,
            )

        def history() -> ImageHistory:
            size = config.training.tile_size
            return ImageHistory(size=config.loss.history_images, channels=channels, tile_size=size)

        self.to_defect, self.to_normal = generator(network.noise_channels), generator(0)
        self.judge_defect, self.judge_normal = discriminator(named), discriminator(0)
        self.past_defect, self.past_normal = history(), history()
        self.objective = GanObjective("lsgan")
        self.optimize(
            generators=nn.ModuleList([self.to_defect, self.to_normal]),
            discriminators=nn.ModuleList([self.judge_defect, self.judge_normal]),
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return both generators, both discriminators and what a run that goes on needs."""
        return {
            "to_defect": self.to_defect,
            "to_normal": self.to_normal,
            "judge_defect": self.judge_defect,
            "judge_normal": self.judge_normal,
            "past_defect": self.past_defect,
            "past_normal": self.past_normal,
            "seen": self.seen,
        }

    def averaged(self) -> list[str]:
        """Return what samples."""
        return ["to_defect"]

    def prepare(self, tiles: Callable[[int], Batch]) -> None:
        """Look at classes and good crops.

        Raises:
            FlawsmithError: without a class map, if there is more than one class.
        """
        super().prepare(tiles)
        if not self.config.network.class_map and len(self.classes) > 1:
            raise FlawsmithError(
                f"without a class map cyclegan learns one class, but {len(self.classes)} are "
                "labelled here: set network.class_map = true, or make a data set of one class "
                "with: flawsmith data filter"
            )

    def step(self, batch: Batch) -> dict[str, float]:
        """Update both generators, then both discriminators on the images that these made."""
        batch = self.begin(batch)
        made: list[Translated] = []
        generators, discriminators = self.optimizers().values()
        g = self.engine.update(generators, batch, lambda piece: self.generator_losses(piece, made))
        d = self.engine.update(
            discriminators, batch, lambda piece: self.discriminator_losses(piece, made.pop(0))
        )
        return {**g, **d}

    def domains(self, batch: Batch) -> tuple[Domain, Domain]:
        """Return the normal tiles and those with a defect."""
        normal, share = batch.labels == NORMAL, self.normal_share
        return domain(batch, normal, share), domain(batch, ~normal, 1.0 - share)

    def generator_losses(self, batch: Batch, made: list[Translated]) -> Losses:
        """L_G = L_adv + 10 (|F(G(a)) - a| + |G(F(b)) - b|) + 5 (|G(b) - b| + |F(a) - a|)."""
        normal, defect = self.domains(batch)
        a, b = normal.batch.images, defect.batch.images
        wanted = self.targets(normal.batch.seeds, self.classes)
        own = defect.batch.labels.clamp(min=1)  # a stand-in has no class
        fake_b = self.deface(a, wanted, normal.batch.seeds)
        fake_a = self.restore(b, own)
        made.append(Translated(fake_b.detach(), wanted, fake_a.detach()))
        adv = self.objective.generator(self.score(fake_b, wanted), normal.patches)
        adv = adv + self.objective.generator(self.judge_normal(fake_a), defect.patches)
        cycle = normal.mean((self.restore(fake_b, wanted) - a).abs()) + defect.mean(
            (self.deface(fake_a, own, defect.batch.seeds) - b).abs()
        )
        same = normal.mean((self.restore(a, wanted) - a).abs()) + defect.mean(
            (self.deface(b, own, defect.batch.seeds + 1) - b).abs()
        )
        weights = self.config.loss
        total = (
            weights.weight_adv * adv + weights.weight_cycle * cycle + weights.weight_identity * same
        )
        return {"g/adv": adv, "g/cycle": cycle, "g/identity": same, "g/total": total}

    def discriminator_losses(self, batch: Batch, made: Translated) -> Losses:
        """L_D of either domain: real images of it, and synthetic ones new and old."""
        normal, defect = self.domains(batch)
        fake_b, classes = made.defect, made.classes
        if normal.weight.any():  # a stand-in shall not enter the history
            fake_b, classes = self.past_defect.exchange(fake_b, classes, normal.batch.seeds)
        fake_a, own = made.normal, defect.batch.labels.clamp(min=1)
        if defect.weight.any():
            fake_a, _ = self.past_normal.exchange(fake_a, own, defect.batch.seeds)
        judged, objective = self.judge_normal, self.objective
        of_defect = objective.real(self.score(defect.batch.images, own), defect.patches)
        of_defect = of_defect + objective.fake(self.score(fake_b, classes), normal.patches)
        of_normal = objective.real(judged(normal.batch.images), normal.patches)
        of_normal = of_normal + objective.fake(judged(fake_a), defect.patches)
        return {"d/defect": of_defect, "d/normal": of_normal, "d/total": of_defect + of_normal}

    def deface(self, surface: Tensor, classes: Tensor, seeds: Tensor) -> Tensor:
        """Return G(a): the surface with a defect of the class, N x C x H x W float32."""
        condition = self.class_map(surface, classes)
        noise = self.config.network.noise_channels
        if noise:
            condition.append(surface_noise(seeds, noise, surface.shape[-2:]))
        image: Tensor = self.to_defect(surface, _joined(condition))
        return image.float()

    def restore(self, image: Tensor, classes: Tensor) -> Tensor:
        """Return F(b): the image without its defect, N x C x H x W float32."""
        surface: Tensor = self.to_normal(image, _joined(self.class_map(image, classes)))
        return surface.float()

    def score(self, image: Tensor, classes: Tensor) -> Tensor:
        """Return how real the image is as one with a defect of the class."""
        scores: Tensor = self.judge_defect(torch.cat([image, *self.class_map(image, classes)], 1))
        return scores

    def class_map(self, image: Tensor, classes: Tensor) -> list[Tensor]:
        """Return the planes of the classes 1 to K, or nothing where they are not shown."""
        if not self.config.network.class_map:
            return []
        return [planes(classes, self.schema.num_defects, image.shape[-2:], first=1)]

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a request, with the mask of what the generator changed."""
        return sample_difference(self.deface, request, seeds, masks=not self.whole)


def _joined(condition: list[Tensor]) -> Tensor | None:
    return torch.cat(condition, dim=1) if condition else None
