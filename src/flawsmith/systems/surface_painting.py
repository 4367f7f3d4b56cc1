"""What DBS-GAN on real surfaces learns: to paint labelled defects into them, and nowhere else.

Two kinds of images train it. Paired: a real defect tile whose defect was removed is painted again
and compared with the real one. Unpaired: the same label on another tile's surface, where no real
image is known; there the discriminator alone judges. It names every pixel (OASIS, Schoenfeld et
al. 2021): surface, defect k, or painted. So it asks not only for a real look but for the look of
that very class.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.config import StrictModel
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.losses.reconstruction import band_contrast_mse, defect_mask, low_frequency_mse
from flawsmith.models.surface_painter import (
    PixelClassDiscriminator,
    SurfacePainter,
    soft_neighbourhood,
)
from flawsmith.systems.adversarial import AdversarialSystem
from flawsmith.systems.base import Batch, SampleRequest, Samples, multiscale_noise
from flawsmith.systems.differentiable_augmentation import diff_augment
from flawsmith.systems.perceptual import PerceptualDistance
from flawsmith.systems.surface_style import BLACK, STYLE_LENGTH, smooth, style_on_surface
from flawsmith.training.config import RunConfig
from flawsmith.training.engine import Losses

CONTRAST_WINDOW = 16

NOISE_SCALES = (16, 64)
"""Pixels over which the noise varies. Finer noise became a leathery texture in large defects; the
grain of the surface itself, amplified or smoothed, is the texture (D30)."""

WANTED_CHANGE = 0.1
"""Mean change of a pixel, for a unit of change of the noise, beyond which no more is asked; a
guess (D87)."""


class SurfacePaintingNetwork(StrictModel):
    """Widths and inputs of the networks.

    Attributes:
        noise_channels: noise beside the label, coarse.
        reach: pixels around the label that are painted at full weight.
        fall: pixels over which the weight then falls to 0.
        smooth_pixels: over which the painter's changes are averaged; odd, 1: not at all.
    """

    painter_channels: int = Field(default=48, ge=8)
    discriminator_channels: int = Field(default=48, ge=8)
    blocks: int = Field(default=1, ge=1)
    noise_channels: int = Field(default=2, ge=0)
    reach: int = Field(default=2, ge=0)
    fall: int = Field(default=4, ge=0)
    smooth_pixels: int = Field(default=1, ge=1)

    @field_validator("smooth_pixels")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"expected an odd number, such as {value + 1}: a window has a middle")
        return value


class SurfacePaintingLoss(StrictModel):
    """Weights of the loss terms.

    Attributes:
        scale: side of the windows whose mean must be that of the real image; the texture within
            is left to the other terms.
        weight_rec: of these means, paired images only.
        weight_contrast: of the local contrast in a few frequency bands, paired only.
        weight_features: of the discriminator's features of the paired image against the real one.
        weight_adv: of the discriminator's judgement, paired and unpaired.
        weight_surface: of the pixels without a defect in the discriminator's loss.
        weight_perceptual: of a pretrained network's view of the paired image against the real one.
        weight_diversity: of how little two noises make of one label and surface.
        diff_augment: show the discriminator all images in another light, shifted, partly covered.
    """

    scale: int = Field(default=4, ge=1)
    weight_rec: float = Field(default=20.0, ge=0)
    weight_contrast: float = Field(default=20.0, ge=0)
    weight_features: float = Field(default=2.0, ge=0)
    weight_adv: float = Field(default=1.0, ge=0)
    weight_surface: float = Field(default=1.0, ge=0)
    weight_perceptual: float = Field(default=0.0, ge=0)
    weight_diversity: float = Field(default=0.0, ge=0)
    diff_augment: bool = False


class SurfacePaintingOptimizer(StrictModel):
    """Adam for both, the discriminator faster (Heusel et al. 2017)."""

    learning_rate: float = Field(default=4e-4, gt=0)
    discriminator_rate: float = Field(default=8e-4, gt=0)
    beta1: float = Field(default=0.0, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    max_norm: float | None = Field(default=None, gt=0)


class SurfacePaintingConfig(RunConfig):
    """Configuration of a run."""

    network: SurfacePaintingNetwork = SurfacePaintingNetwork()
    loss: SurfacePaintingLoss = SurfacePaintingLoss()
    optimizer: SurfacePaintingOptimizer = SurfacePaintingOptimizer()

    @model_validator(mode="after")
    def _has_neighbours(self) -> Self:
        """A label is also painted on the surface of the next tile; one alone has none."""
        if self.training.batch_size // self.training.accumulate < 2:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} in {self.training.accumulate} "
                "parts leaves one tile a step; this system needs two: raise batch_size"
            )
        return self

    @model_validator(mode="after")
    def _has_noise_to_differ_by(self) -> Self:
        if self.loss.weight_diversity and not self.network.noise_channels:
            raise ValueError(
                f"loss.weight_diversity {self.loss.weight_diversity:g} rewards what noise changes, "
                "and network.noise_channels is 0: give noise, or no such weight"
            )
        return self


class SurfacePainting(AdversarialSystem):
    """Paints labelled defects into real surfaces; masks of its images are their own input.

    What of a real defect the painter is told, or shown, beside the label is its systems' own.
    """

    config_class = SurfacePaintingConfig
    size_multiple = 16
    trains_on_clean = True

    def __init__(self, config: SurfacePaintingConfig, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        network = config.network
        self.painter = SurfacePainter(
            image_channels=schema.channels,
            num_defects=schema.num_defects,
            extra_channels=network.noise_channels + STYLE_LENGTH + self.canvas_channels(schema),
            base_channels=network.painter_channels,
            blocks=network.blocks,
            smooth_pixels=network.smooth_pixels,
        )
        self.discriminator = PixelClassDiscriminator(
            image_channels=schema.channels,
            num_classes=schema.num_defects + 2,
            base_channels=network.discriminator_channels,
        )
        self._perceptual: PerceptualDistance | None = None
        adam = config.optimizer
        self.max_norm = adam.max_norm
        self.optimize(
            {
                "painter": (self.painter, adam.learning_rate),
                "discriminator": (self.discriminator, adam.discriminator_rate),
            },
            betas=(adam.beta1, adam.beta2),
        )

    def canvas_channels(self, schema: Schema) -> int:
        """Return how many maps `on_canvas` adds to what the painter sees."""
        return 0

    @property
    def painted_class(self) -> int:
        """Index of "painted" among the discriminator's classes."""
        return self.schema.num_defects + 1

    def networks(self) -> dict[str, nn.Module]:
        """Return painter and discriminator."""
        return {"painter": self.painter, "discriminator": self.discriminator}

    def averaged(self) -> list[str]:
        """Return what samples."""
        return ["painter"]

    def step(self, batch: Batch) -> dict[str, float]:
        """Update the painter, then the discriminator on the images that this step made."""
        self.discriminator.update_norms()
        surface = clean_surface(batch)
        # Beside each tile's own surface that of the next: drawn before the batch is split.
        batch = replace(batch, clean=torch.cat([surface, surface.roll(1, dims=0)], dim=1))
        return super().step(batch)

    def generator_losses(self, batch: Batch, fakes: list[Tensor]) -> Losses:
        """L_G = w_rec L_rec + w_con L_con + w_feat L_feat + w_adv L_adv; appends the images.

        The first half of the images is paired, the second half is the same labels on the surfaces
        of the tiles next to them. Perceptual and diversity terms come on top where they weigh.
        """
        weights = self.config.loss
        own, other = clean_surface(batch).chunk(2, dim=1)
        style = style_on_surface(batch.images, own, batch.defects)
        shown = self.shown(batch)
        paired = self.paint(own, batch.defects, style, batch.seeds, shown)
        unpaired = self.paint(other, batch.defects, style, batch.seeds + 1, shown)
        fakes.append(torch.cat([paired, unpaired]).detach())
        place = self._weight(batch.defects).squeeze(1) * (batch.defects != IGNORE)
        logits, maps, names = self._seen([paired, unpaired], [batch.defects] * 2, batch.seeds)
        rec = low_frequency_mse(paired, batch.images, place, weights.scale)
        contrast = band_contrast_mse(paired, batch.images, place, CONTRAST_WINDOW)
        adv = self._named(logits, names)
        features = self._feature_loss(maps, batch)
        total = (
            weights.weight_rec * rec
            + weights.weight_contrast * contrast
            + weights.weight_features * features
            + weights.weight_adv * adv
        )
        losses = {"g/rec": rec, "g/contrast": contrast, "g/features": features, "g/adv": adv}
        if weights.weight_perceptual:
            losses["g/perceptual"] = self.perceptual(paired, batch.images, place)
            total = total + weights.weight_perceptual * losses["g/perceptual"]
        if weights.weight_diversity:
            again = self.paint(other, batch.defects, style, batch.seeds + 2, shown)
            losses["g/sameness"] = self._sameness(unpaired, again, batch.seeds, place)
            total = total + weights.weight_diversity * losses["g/sameness"]
        return {**losses, "g/total": total}

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> Losses:
        """Name the pixels of real images by their label, those that were painted as painted."""
        painted = torch.where(defect_mask(batch.defects), self.painted_class, batch.defects)
        labels = [batch.defects, painted, painted]
        logits, _, names = self._seen([batch.images, *fake.chunk(2)], labels, batch.seeds)
        count = len(batch.images)
        real = self._named(logits[:count], names[:count])
        fake_term = self._named(logits[count:], names[count:])
        return {"d/real": real, "d/fake": fake_term, "d/total": real + fake_term}

    def _seen(
        self, images: list[Tensor], labels: list[Tensor], seeds: Tensor
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return logits and maps of the discriminator, and the labels of what it was shown."""
        seen, names = torch.cat(images), torch.cat(labels)
        if self.config.loss.diff_augment:
            seen, names = diff_augment(seen, names, seeds.repeat(len(images)))
        logits, maps = self.discriminator.with_features(seen)
        return logits.float(), maps, names

    def perceptual(self, image: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return their distance to a pretrained network, which only a training needs."""
        if self._perceptual is None:
            try:
                self._perceptual = PerceptualDistance()
            except FlawsmithError as error:
                raise FlawsmithError(f"loss.weight_perceptual cannot be used: {error}") from None
        return self._perceptual(image, target, weight)

    def _sameness(self, one: Tensor, other: Tensor, seeds: Tensor, place: Tensor) -> Tensor:
        """Return 1 - the share of the wanted change that two noises made, 0 to 1.

        Mode seeking (Mao et al. 2019) in its bounded form (Yang et al. 2019, arXiv 1901.09024):
        the distance of the images over that of the noises, up to a limit.
        """
        pixels = place.sum(dim=(1, 2))

        def change(first: Tensor, second: Tensor) -> Tensor:
            apart = (first - second).abs().mean(dim=1) * place
            return apart.sum(dim=(1, 2)) / pixels.clamp_min(1.0)

        noises = [self._noise(seeds + i, one.shape[-2:]) for i in (1, 2)]
        share = change(one, other) / change(*noises).clamp_min(1e-6) / WANTED_CHANGE
        return ((1.0 - share.clamp_max(1.0)) * (pixels > 0)).mean()

    def shown(self, batch: Batch) -> Tensor | None:
        """Return the real defects that the painter is shown, where it is shown any."""
        return None

    def requested(self, request: SampleRequest) -> Tensor | None:
        """Return the real defects of a request, where the painter is shown any."""
        return None

    @abstractmethod
    def sampled_style(self, request: SampleRequest, shown: Tensor | None, seeds: Tensor) -> Tensor:
        """Return N x 2, or N x 2 x H x W by place: the style to paint a request in."""

    def paint(
        self,
        surface: Tensor,
        defects: Tensor,
        style: Tensor,
        seeds: Tensor,
        shown: Tensor | None = None,
    ) -> Tensor:
        """Return the painted images, N x C x H x W float32; away from the label the surface."""
        inside, weight = defect_mask(defects), self._weight(defects)
        canvas, more = self.on_canvas(surface, shown, inside, weight)
        labels = torch.where(defects == IGNORE, 0, defects)
        one_hot = F.one_hot(labels, self.schema.num_defects + 1)[..., 1:].permute(0, 3, 1, 2)
        style = style if style.dim() == 4 else style[..., None, None]
        tone, rough = (style[:, i : i + 1] * inside.unsqueeze(1) for i in (0, 1))
        extra = [tone * (smooth(surface) + BLACK), rough]
        if self.config.network.noise_channels:
            extra.append(self._noise(seeds, defects.shape[1:]))
        painted: Tensor = self.painter(canvas, one_hot.float(), weight, torch.cat(extra + more, 1))
        return painted.float()

    def on_canvas(
        self, surface: Tensor, shown: Tensor | None, inside: Tensor, weight: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Return what is painted on, and further maps for the painter: here the bare surface."""
        return surface, []

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a label map.

        Raises:
            FlawsmithError: if the request has no real surfaces.
        """
        surface = request.background_images
        if surface is None:
            raise FlawsmithError(
                f"{self.config.system} paints into real surfaces and the request has none; give "
                "`background_images`"
            )
        shown = self.requested(request)
        style = self.sampled_style(request, shown, seeds).to(surface.device)
        return Samples(
            images=self.paint(surface, request.defects, style, seeds, shown).clamp(-1.0, 1.0),
            defects=request.defects,
            backgrounds=request.backgrounds,
            mask_source="conditioning",
            seeds=seeds,
            layers={"surface": surface},
        )

    def _noise(self, seeds: Tensor, size: torch.Size) -> Tensor:
        return multiscale_noise(seeds, self.config.network.noise_channels, size, NOISE_SCALES)

    def _weight(self, defects: Tensor) -> Tensor:
        network = self.config.network
        return soft_neighbourhood(defect_mask(defects), reach=network.reach, fall=network.fall)

    def _named(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the cross-entropy of the pixels' names, every class of an image alike.

        OASIS weighs a class by its inverse share of the pixels, so that a blowhole of 30 pixels
        counts as much as a stain of 3,000; surface has a weight of its own.
        """
        known = classes.where(classes != IGNORE, 0)
        entropy = F.cross_entropy(logits.float(), known, reduction="none")
        count = self.painted_class + 1
        where = F.one_hot(known, count) * (classes != IGNORE).unsqueeze(-1)
        pixels = where.sum(dim=(1, 2))
        means = (where * entropy.unsqueeze(-1)).sum(dim=(1, 2)) / pixels.clamp_min(1)
        share = torch.ones(count, device=logits.device)
        share[0] = self.config.loss.weight_surface
        present = share * (pixels > 0)
        return ((means * present).sum(dim=1) / present.sum(dim=1).clamp_min(1e-6)).mean()

    def _feature_loss(self, fake_maps: list[Tensor], batch: Batch) -> Tensor:
        """Return how far the paired images are from the real ones in the discriminator's eyes."""
        if self.config.loss.weight_features == 0.0:
            return batch.images.new_zeros(())
        with torch.no_grad():
            _, real_maps, names = self._seen([batch.images], [batch.defects], batch.seeds)
        near = self._weight(names)
        terms = []
        for fake, real in zip(fake_maps, real_maps, strict=True):
            weight = F.adaptive_max_pool2d(near, fake.shape[-2:])
            off = (fake[: len(real)].float() - real.float()).abs().mean(dim=1, keepdim=True)
            pixels = weight.sum(dim=(1, 2, 3)).clamp_min(1.0)
            terms.append(((off * weight).sum(dim=(1, 2, 3)) / pixels).mean())
        return torch.stack(terms).mean()


def clean_surface(batch: Batch) -> Tensor:
    """Return the tiles without their defects.

    Raises:
        FlawsmithError: if the batch has none.
    """
    if batch.clean is None:
        raise FlawsmithError(
            "a batch has no surfaces without their defects, which painting is learned from; draw "
            "its tiles with `clean`"
        )
    return batch.clean
