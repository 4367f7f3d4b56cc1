"""Defect-background separated GAN (Ku and Pahk): image from label, defect and background apart.

Two branches paint the defect (X_d) and the background (X_b) from their labels; the combiner makes
one image of them; a discriminator compares it with real ones. The paper leaves the adversarial
loss, the discriminator and the branch targets open: docs/decisions.md, A11 to A19.
"""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.config import StrictModel
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.losses.adversarial import GanObjective
from flawsmith.losses.reconstruction import (
    background_weight,
    band_contrast_mse,
    defect_mask,
    defect_target,
    known_weight,
    low_frequency_mse,
    masked_mse,
)
from flawsmith.models.dbs_gan import DbsGanGenerator
from flawsmith.models.patch_gan import PatchGan
from flawsmith.models.style_bank import StyleBank
from flawsmith.systems.adversarial import AdversarialSystem
from flawsmith.systems.base import SYSTEMS, Batch, SampleRequest, Samples, multiscale_noise
from flawsmith.systems.style import (
    STYLE_MAPS,
    complete_styles,
    main_class,
    style_length,
    style_maps,
    style_of,
)
from flawsmith.training.config import RunConfig
from flawsmith.training.engine import Losses

CONTRAST_WINDOW = 16
STYLES = 256


class DbsGanNetwork(StrictModel):
    """Widths and inputs of the networks (Tables 1 and 2; A14, A15, D1, D2).

    Attributes:
        label_encoding: index: class number / number of classes in one channel, as printed.
        noise_channels: noise beside the background label; 0 as in the paper.
        defect_noise_channels: noise beside the defect label; 0 as in the paper.
        style: shows tone and contrast of the image beside its labels (D21); not in the paper.
        skip_connections: joins down and up paths at equal sizes, in branches and combiner.
        norm: of the combiner (A18).
        discriminator_norm: of the discriminator (A11).
        condition_discriminator: shows the latent matrix to the discriminator.
    """

    branch_channels: int = Field(default=64, ge=1)
    combiner_channels: int = Field(default=64, ge=1)
    discriminator_channels: int = Field(default=64, ge=1)
    label_encoding: Literal["index", "one_hot"] = "index"
    noise_channels: int = Field(default=0, ge=0)
    defect_noise_channels: int = Field(default=0, ge=0)
    style: bool = False
    skip_connections: bool = False
    norm: Literal["none", "instance"] = "none"
    discriminator_norm: Literal["none", "instance"] = "instance"
    condition_discriminator: bool = False


class DbsGanLoss(StrictModel):
    """Weights of the loss terms (A11, A12, D3).

    Attributes:
        background_scale: outside the mask only structure of this many pixels and more is
            reconstructed, the finer texture is left to the adversarial term; 1: all of it.
        defect_scale: the same inside the mask.
        defect_focus: share of the adversarial weight on the patches that see a defect; 0: all
            patches count alike.
        weight_contrast: of the local contrast of that texture in a few frequency bands.
        mask_margin: pixels by which the mask grows before background is taken as unobserved.
    """

    objective: Literal["lsgan", "hinge"] = "lsgan"
    weight_branches: float = Field(default=1.0, ge=0)
    weight_rec: float = Field(default=100.0, ge=0)
    weight_adv: float = Field(default=1.0, ge=0)
    defect_focus: float = Field(default=0.0, ge=0, le=1)
    weight_contrast: float = Field(default=0.0, ge=0)
    background_scale: int = Field(default=1, ge=1)
    defect_scale: int = Field(default=1, ge=1)
    mask_margin: int = Field(default=3, ge=0)


class DbsGanOptimizer(StrictModel):
    """Adam for generator and discriminator (A17)."""

    learning_rate: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    max_norm: float | None = Field(default=None, gt=0)


class DbsGanConfig(RunConfig):
    """Configuration of a DBS-GAN run."""

    network: DbsGanNetwork = DbsGanNetwork()
    loss: DbsGanLoss = DbsGanLoss()
    optimizer: DbsGanOptimizer = DbsGanOptimizer()


@SYSTEMS.register("dbs_gan")
class DbsGan(AdversarialSystem):
    """The defect-background separated GAN; masks of its images are their own input."""

    config_class = DbsGanConfig
    size_multiple = 16

    def __init__(self, config: DbsGanConfig, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        network = config.network
        self.generator = DbsGanGenerator(
            num_defects=schema.num_defects,
            num_backgrounds=schema.num_backgrounds,
            image_channels=schema.channels,
            branch_channels=network.branch_channels,
            combiner_channels=network.combiner_channels,
            label_encoding=network.label_encoding,
            noise_channels=network.noise_channels + STYLE_MAPS * network.style,
            defect_noise_channels=network.defect_noise_channels + STYLE_MAPS * network.style,
            skip_connections=network.skip_connections,
            norm=network.norm,
        )
        self.styles = StyleBank(size=STYLES, length=style_length(schema.num_backgrounds))
        label_channels = schema.num_defects + schema.num_backgrounds
        self.discriminator = PatchGan(
            in_channels=schema.channels + label_channels * network.condition_discriminator,
            base_channels=network.discriminator_channels,
            norm=network.discriminator_norm,
        )
        self.objective = GanObjective(config.loss.objective)
        adam = config.optimizer
        rate = adam.learning_rate
        self.max_norm = adam.max_norm
        self.optimize(
            {"generator": (self.generator, rate), "discriminator": (self.discriminator, rate)},
            betas=(adam.beta1, adam.beta2),
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return generator (both branches and the combiner), discriminator, styles to sample."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "styles": self.styles,
        }

    def prepare(self, tiles: Callable[[int], Batch]) -> None:
        """Keep the styles of real tiles to sample from; ``tiles`` gives a batch of so many."""
        if self.config.network.style:
            batch, backgrounds = tiles(STYLES), self.schema.num_backgrounds
            styles = complete_styles(style_of(batch, backgrounds), backgrounds)
            self.styles.fill(styles, batch.labels)

    def averaged(self) -> list[str]:
        """Return what samples."""
        return ["generator", "styles"]

    def generator_losses(self, batch: Batch, fakes: list[Tensor]) -> Losses:
        """L_G = w_b (L_d + L_b) + w_rec L_rec + w_adv L_adv; appends the detached image."""
        weights, real = self.config.loss, batch.images
        style = style_of(batch, self.schema.num_backgrounds)
        fake, x_d, x_b = self.generate(batch.defects, batch.backgrounds, batch.seeds, style)
        fakes.append(fake.detach())
        seen = background_weight(batch.defects, margin_pixels=weights.mask_margin)
        defect = self.defect_loss(x_d, batch)
        background = low_frequency_mse(x_b, real, seen, weights.background_scale)
        rec = self.reconstruction_loss(fake, batch)
        contrast = self.contrast_loss(fake, x_d, x_b, batch)
        scores = self.judge(fake, batch)
        adv = self.objective.generator(scores, self.patch_weight(scores, batch))
        total = (
            weights.weight_branches * (defect + background)
            + weights.weight_rec * rec
            + weights.weight_contrast * contrast
            + weights.weight_adv * adv
        )
        return {"g/defect": defect, "g/background": background, "g/rec": rec, "g/adv": adv,
                "g/contrast": contrast, "g/total": total}  # fmt: skip

    def defect_loss(self, x_d: Tensor, batch: Batch) -> Tensor:
        """Return the error of X_d against the image on the defect and mid-grey elsewhere (A12)."""
        known = known_weight(batch.defects)
        on_defect = defect_mask(batch.defects)
        target = defect_target(batch.images, on_defect)
        scale = self.config.loss.defect_scale
        if scale == 1:
            return masked_mse(x_d, target, known)
        inside = on_defect.float()
        return low_frequency_mse(x_d, target, inside, scale) + masked_mse(
            x_d, target, known - inside
        )

    def reconstruction_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        """Return L_rec: of all pixels as in the paper, or of coarse structure alone (D3)."""
        known = known_weight(batch.defects)
        loss = self.config.loss
        if loss.background_scale == loss.defect_scale == 1:
            return masked_mse(fake, batch.images, known)
        inside = defect_mask(batch.defects).float()
        return low_frequency_mse(fake, batch.images, inside, loss.defect_scale) + low_frequency_mse(
            fake, batch.images, known - inside, loss.background_scale
        )

    def contrast_loss(self, fake: Tensor, x_d: Tensor, x_b: Tensor, batch: Batch) -> Tensor:
        """Return the error of local contrast: of the image, and of X_d and X_b in place (D12)."""
        if self.config.loss.weight_contrast == 0.0:
            return fake.new_zeros(())
        margin = self.config.loss.mask_margin
        places = {
            "image": (fake, known_weight(batch.defects)),
            "defect": (x_d, defect_mask(batch.defects).float()),
            "background": (x_b, background_weight(batch.defects, margin_pixels=margin)),
        }
        terms = [
            band_contrast_mse(image, batch.images, weight, CONTRAST_WINDOW)
            for image, weight in places.values()
        ]
        return torch.stack(terms).sum()

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> Losses:
        """L_D of the GAN objective on real images and on those of the generator."""
        real_scores, fake_scores = self.judge(batch.images, batch), self.judge(fake, batch)
        weight = self.patch_weight(fake_scores, batch)
        return {"d/total": self.objective.discriminator(real_scores, fake_scores, weight)}

    def judge(self, images: Tensor, batch: Batch) -> Tensor:
        """Return the discriminator's patch scores, given the latent matrix if configured."""
        if self.config.network.condition_discriminator:
            images = torch.cat([images, self.latent_matrix(batch).to(images.dtype)], dim=1)
        scores: Tensor = self.discriminator(images)
        return scores.float()

    def patch_weight(self, scores: Tensor, batch: Batch) -> Tensor | None:
        """Return what each patch score counts, mean 1 in each image (D20)."""
        focus = self.config.loss.defect_focus
        if focus == 0.0:
            return None
        mask = defect_mask(batch.defects).unsqueeze(1).float()
        sees = F.adaptive_max_pool2d(mask, scores.shape[-2:])
        share = sees.mean(dim=(1, 2, 3), keepdim=True)
        focused = (1.0 - focus) + focus * sees / share.clamp_min(1e-6)
        return focused.where(share > 0, 1.0)

    def latent_matrix(self, batch: Batch) -> Tensor:
        """Return the one-hot N x (backgrounds + defects) x H x W; ignored pixels have no defect."""
        defects = torch.where(batch.defects == IGNORE, 0, batch.defects)
        backgrounds = torch.where(batch.backgrounds == IGNORE, 0, batch.backgrounds)
        one_hot = [
            F.one_hot(backgrounds, self.schema.num_backgrounds),
            F.one_hot(defects, self.schema.num_defects + 1)[..., 1:],
        ]
        return torch.cat(one_hot, dim=-1).permute(0, 3, 1, 2).float()

    def generate(
        self, defects: Tensor, backgrounds: Tensor, seeds: Tensor, style: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_hat, X_d and X_b, each N x C x H x W float32."""
        network, size = self.config.network, defects.shape[1:]
        of_background, of_defect = [], []
        if network.noise_channels:
            of_background.append(multiscale_noise(seeds, network.noise_channels, size))
        if network.defect_noise_channels:
            of_defect.append(multiscale_noise(seeds + 1, network.defect_noise_channels, size))
        if network.style:
            background_maps, defect_maps = style_maps(style, defects, backgrounds)
            of_background.append(background_maps)
            of_defect.append(defect_maps)
        extra = of_background + of_defect
        noise = torch.cat(extra, dim=1) if extra else None
        image, x_d, x_b = self.generator(defects, backgrounds, noise)
        return image.float(), x_d.float(), x_b.float()

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a label map, with X_d and X_b as layers."""
        style = self.styles(main_class(request.defects), seeds)
        image, x_d, x_b = self.generate(request.defects, request.backgrounds, seeds, style)
        return Samples(
            images=image.clamp(-1.0, 1.0),
            defects=request.defects,
            backgrounds=request.backgrounds,
            mask_source="conditioning",
            seeds=seeds,
            layers={"X_d": x_d.clamp(-1.0, 1.0), "X_b": x_b.clamp(-1.0, 1.0)},
        )
