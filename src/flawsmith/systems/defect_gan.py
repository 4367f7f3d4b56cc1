"""Defect-GAN (Zhang et al. 2021): a defect is a layer over a surface that stays.

One generator defaces and restores: a control map says where which defect shall be, and everywhere
else, or all over, that the surface shall be normal. It answers with a foreground and a map of where
that lies over the image. What went there and back must be what it was, by the same map. The
control map is the mask of the image. Where labels are for whole images that map is of one class all
over: it says what shall be, and the generator alone where.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from flawsmith.data.schema import IGNORE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.losses.reconstruction import defect_mask
from flawsmith.models.defect_gan import NOISE_CHANNELS, DefectGanGenerator
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest, Samples, seeded_noise
from flawsmith.systems.critic_translation import (
    CriticConfig,
    CriticLoss,
    CriticNetwork,
    CriticTranslation,
    naming_loss,
)
from flawsmith.systems.difference_masks import whole_image_labels
from flawsmith.systems.style import main_class
from flawsmith.systems.translation import NORMAL, surface_of
from flawsmith.training.engine import Losses

_MAPS = 13
"""Added to a tile's seed to draw the label map that it shall get."""


class DefectGanNetwork(CriticNetwork):
    """Widths of the networks.

    Attributes:
        control_width: channels between the control map and what it does to the maps, in the
            second half of the blocks.
    """

    control_width: int = Field(default=128, ge=1)


class DefectGanLoss(CriticLoss):
    """Weights of the loss terms, and how often the discriminator is updated for each generator.

    Attributes:
        weight_class_real: of naming real images, in the discriminator's loss.
        weight_class_fake: of being named right, in the generator's loss.
        weight_map_cycle: of the map of the way back being that of the way there.
        weight_map_size: of the maps being small.
        ramp: share of the run over which ``weight_map_size`` grows from 0: an empty map is the
            least of four terms at once, and a generator that begins there stays.
    """

    weight_class_real: float = Field(default=2.0, ge=0)
    weight_class_fake: float = Field(default=5.0, ge=0)
    weight_map_cycle: float = Field(default=1.0, ge=0)
    weight_map_size: float = Field(default=3.0, ge=0)
    ramp: float = Field(default=0.0, ge=0, le=1)


class DefectGanConfig(CriticConfig):
    """Configuration of a Defect-GAN run."""

    network: DefectGanNetwork = DefectGanNetwork()
    loss: DefectGanLoss = DefectGanLoss()


@SYSTEMS.register("defect_gan")
class DefectGan(CriticTranslation):
    """Defect-GAN: a layer over a good surface where its label map says.

    Attributes:
        maps: M x H x W, label maps of real tiles that normal tiles are defaced by.
    """

    config_class = DefectGanConfig

    def __init__(self, config: DefectGanConfig, schema: Schema) -> None:
        network = config.network
        generator = DefectGanGenerator(
            image_channels=schema.channels,
            control_channels=schema.num_defects + 1,
            base_channels=network.generator_channels,
            num_blocks=network.blocks,
            control_width=network.control_width,
        )
        super().__init__(config, schema, generator)
        self.config: DefectGanConfig = config
        self.maps = _squares(schema.num_defects, config.training.tile_size)

    def prepare(self, tiles: Callable[[int], Batch]) -> None:
        """Look at classes and good crops.

        Raises:
            FlawsmithError: if no tile has a mask.
        """
        super().prepare(tiles)
        if not len(self.maps):
            raise FlawsmithError(
                "defect_gan paints where a mask says, but no training tile has one: label masks, "
                "or take a system without them, such as stargan"
            )

    def look_at(self, batch: Batch) -> None:
        """Keep the label maps too, to deface normal tiles by."""
        super().look_at(batch)
        if self.whole:
            size = batch.defects.shape[1:]
            self.maps = all_over(torch.tensor(self.classes), size).to(torch.uint8)
            return
        defects = torch.where(batch.defects == IGNORE, 0, batch.defects)
        self.maps = defects[(defects > 0).flatten(1).any(dim=1)].to(torch.uint8)

    def begin(self, batch: Batch) -> Batch:
        """Show the class of a tile all over it where labels are for whole images."""
        batch = super().begin(batch)
        if not self.whole:
            return batch
        return replace(batch, defects=all_over(batch.labels, batch.defects.shape[1:]))

    def discriminator_losses(self, batch: Batch) -> Losses:
        """L_D = -E D(x) + E D(fake) + 10 GP + w_r BCE(D_cls(x), what x shows)."""
        weights, real = self.config.loss, batch.images
        with torch.no_grad():
            fake, _, _ = self.paint(real, self.wanted(batch), batch.seeds)
        source, classes = self.discriminator(real)
        adv = self.objective.discriminator(source, self.discriminator(fake)[0])
        named = naming_loss(classes, self.shown(batch.defects, batch.labels, batch.present))
        penalty = self.penalty(batch, fake)
        total = adv + weights.weight_class_real * named + weights.weight_gp * penalty
        return {"d/adv": adv, "d/class": named, "d/gp": penalty, "d/total": total}

    def generator_losses(self, batch: Batch) -> Losses:
        """L_G: normal tiles are defaced and restored, those with a defect restored and defaced.

        L_G = -E D(fake) + w_f BCE(D_cls(fake), wanted) + w_rec |x - back|
              + w_cyc |m_there - m_back| + w_size (|m_there| + |m_back|)
        """
        weights, wanted = self.config.loss, self.wanted(batch)
        fake, _, there = self.paint(batch.images, wanted, batch.seeds)
        again, _, back = self.paint(fake, batch.defects, batch.seeds + 1)
        source, classes = self.discriminator(fake)
        adv = self.objective.generator(source)
        named = naming_loss(classes, self.shown(wanted))
        rec = (again - batch.images).abs().mean()
        cycle = (there - back).abs().mean()
        size = there.mean() + back.mean()
        total = (
            adv
            + weights.weight_class_fake * named
            + weights.weight_rec * rec
            + weights.weight_map_cycle * cycle
            + self.map_size_weight() * size
        )
        return {"g/adv": adv, "g/class": named, "g/rec": rec, "g/map_cycle": cycle,
                "g/map_size": size, "g/total": total}  # fmt: skip

    def map_size_weight(self) -> float:
        """Return the weight of small maps, which grows from 0 over ``loss.ramp`` of the run."""
        loss = self.config.loss
        grown = 1.0 if loss.ramp == 0.0 else min(self.progress / loss.ramp, 1.0)
        return loss.weight_map_size * grown

    def wanted(self, batch: Batch) -> Tensor:
        """Return the label maps that the tiles shall get, N x H x W.

        A normal tile gets that of a real defect, drawn and mirrored by its seed; one with a defect
        gets none at all.
        """
        maps = torch.stack([self._drawn_map(int(seed)) for seed in batch.seeds])
        normal = (batch.labels == NORMAL)[:, None, None]
        return torch.where(normal, maps.to(batch.defects), NORMAL)

    def _drawn_map(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed + _MAPS)
        index, mirrored = torch.randint(1 << 30, (2,), generator=generator).tolist()
        axes = [axis for axis in (0, 1) if mirrored >> axis & 1]
        return self.maps[index % len(self.maps)].flip(axes)

    def control(self, defects: Tensor) -> Tensor:
        """Return N x (K + 1) x H x W: plane 0 where it shall be normal, k where defect k shall be.

        Where the label is not known no plane is set.
        """
        ids = torch.arange(self.domains, device=defects.device)[:, None, None]
        return (defects.unsqueeze(1) == ids).float()

    def shown(
        self, defects: Tensor, labels: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Return N x (K + 1) of 0 and 1: which defects label maps show, or that they are normal.

        Args:
            defects: N x H x W.
            labels: N, what the images show in any case.
            known: N x K of 0 and 1, what they show besides.
        """
        present = self.control(defects)[:, 1:].flatten(2).amax(dim=2)
        if labels is not None:
            present = torch.maximum(present, F.one_hot(labels, self.domains)[:, 1:].float())
        if known is not None:
            present = torch.maximum(present, known)
        normal = 1.0 - present.amax(dim=1, keepdim=True)
        return torch.cat([normal, present], dim=1)

    def paint(
        self, images: Tensor, defects: Tensor, seeds: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return images, foregrounds and spatial maps for the label maps, float32."""
        noise = seeded_noise(seeds, (NOISE_CHANNELS, *defects.shape[1:]))
        image, foreground, spatial = self.generator(images, self.control(defects), noise)
        return image, foreground, spatial

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a label map, with its layer and where that lies."""
        surface = surface_of(request)
        image, foreground, spatial = self.paint(surface, request.defects, seeds)
        asked = defect_mask(request.defects).flatten(1).any(dim=1)[:, None, None, None]
        images, defects = torch.where(asked, image, surface).clamp(-1.0, 1.0), request.defects
        if self.whole:
            classes = main_class(defects).to(surface.device)
            defects = whole_image_labels(surface, images, classes)
        return Samples(
            images=images,
            defects=defects,
            backgrounds=request.backgrounds,
            mask_source="none" if self.whole else "conditioning",
            seeds=seeds,
            layers={"surface": surface, "foreground": foreground, "map": spatial * 2 - 1},
        )


def all_over(classes: Tensor, size: torch.Size) -> Tensor:
    """Return N x H x W label maps that are each of one class."""
    return classes[:, None, None].expand(-1, *size)


def _squares(num_defects: int, size: int) -> Tensor:
    """Return a square of each defect: what is painted until real maps have been looked at."""
    maps = torch.zeros(num_defects, size, size, dtype=torch.uint8)
    near, far = size // 3, size - size // 3
    maps[:, near:far, near:far] = torch.arange(1, num_defects + 1)[:, None, None].to(torch.uint8)
    return maps
