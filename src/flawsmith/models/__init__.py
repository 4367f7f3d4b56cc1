"""Networks, and the published variants of them by name. They know nothing of training."""

from collections.abc import Callable
from typing import Literal

from torch import nn

from flawsmith.models.bagan_gp import (
    BaganDecoder,
    BaganDiscriminator,
    BaganEncoder,
    BaganGenerator,
)
from flawsmith.models.crack_gan import CrackGanDiscriminator, CrackGanGenerator
from flawsmith.models.cyclegan import CycleGanGenerator
from flawsmith.models.dbs_gan import DbsGanBranch, DbsGanCombiner, DbsGanGenerator
from flawsmith.models.dcgan import DcganDiscriminator, DcganGenerator
from flawsmith.models.defect_gan import DefectGanGenerator
from flawsmith.models.efficientnet_lite0 import build_encoder
from flawsmith.models.fc_hardnet import FcHarDNet
from flawsmith.models.feature_pyramid import PyramidSegmenter
from flawsmith.models.patch_gan import PatchGan
from flawsmith.models.segmentation_models import SegmentationModel
from flawsmith.models.stargan import StarGanDiscriminator, StarGanGenerator
from flawsmith.models.stylegan2 import StyleGan2Discriminator, StyleGan2Generator
from flawsmith.registry import Registry

NETWORKS: Registry[Callable[..., nn.Module]] = Registry("network")


@NETWORKS.register("bagan_gp_encoder")
def bagan_gp_encoder(*, in_channels: int = 3) -> BaganEncoder:
    """Return the encoder of Huang and Jafari 2021: 64 px, 1.45 M parameters."""
    return BaganEncoder(in_channels=in_channels)


@NETWORKS.register("bagan_gp_generator")
def bagan_gp_generator(*, out_channels: int = 3, num_classes: int = 4) -> BaganGenerator:
    """Return the generator of Huang and Jafari 2021: 64 px, 1.45 M parameters."""
    return BaganGenerator(num_classes=num_classes, decoder=BaganDecoder(out_channels=out_channels))


@NETWORKS.register("bagan_gp_discriminator")
def bagan_gp_discriminator(*, in_channels: int = 3, num_classes: int = 4) -> BaganDiscriminator:
    """Return the discriminator of Huang and Jafari 2021: 64 px, 5.12 M parameters."""
    return BaganDiscriminator(num_classes=num_classes, in_channels=in_channels)


@NETWORKS.register("cyclegan_resnet9")
def cyclegan_resnet9(*, image_channels: int = 3) -> CycleGanGenerator:
    """Return CycleGAN's generator for 256 px and more: 11.38 M parameters (Zhu et al. 2017)."""
    return CycleGanGenerator(image_channels=image_channels, base_channels=64, num_blocks=9)


@NETWORKS.register("cyclegan_resnet6")
def cyclegan_resnet6(*, image_channels: int = 3) -> CycleGanGenerator:
    """Return CycleGAN's generator for 128 px: 7.84 M parameters (Zhu et al. 2017)."""
    return CycleGanGenerator(image_channels=image_channels, base_channels=64, num_blocks=6)


@NETWORKS.register("crack_gan_generator")
def crack_gan_generator(*, out_channels: int = 3, image_size: int = 128) -> CrackGanGenerator:
    """Return the generator of our reconstruction (Xu and Liu 2022): 4.99 M parameters."""
    return CrackGanGenerator(out_channels=out_channels, image_size=image_size)


@NETWORKS.register("crack_gan_discriminator")
def crack_gan_discriminator(
    *, in_channels: int = 3, image_size: int = 128
) -> CrackGanDiscriminator:
    """Return the discriminator of our reconstruction (Xu and Liu 2022): 6.96 M parameters."""
    return CrackGanDiscriminator(in_channels=in_channels, image_size=image_size)


@NETWORKS.register("dbs_gan_branch")
def dbs_gan_branch(*, in_channels: int = 1, out_channels: int = 1) -> DbsGanBranch:
    """Return one label branch as wide as printed (Ku and Pahk, Table 1)."""
    return DbsGanBranch(in_channels=in_channels, out_channels=out_channels, base_channels=64)


@NETWORKS.register("dbs_gan_combiner")
def dbs_gan_combiner(*, image_channels: int = 1) -> DbsGanCombiner:
    """Return the combiner as wide as printed (Ku and Pahk, Table 2)."""
    return DbsGanCombiner(image_channels=image_channels, base_channels=64)


@NETWORKS.register("dbs_gan")
def dbs_gan(
    *, num_defects: int = 6, num_backgrounds: int = 2, image_channels: int = 1
) -> DbsGanGenerator:
    """Return the generator as wide as printed: 31.70 M parameters (Ku and Pahk, Tables 1, 2)."""
    return DbsGanGenerator(
        num_defects=num_defects,
        num_backgrounds=num_backgrounds,
        image_channels=image_channels,
        branch_channels=64,
        combiner_channels=64,
    )


@NETWORKS.register("dbs_gan_compact36")
def dbs_gan_compact36(
    *, num_defects: int = 6, num_backgrounds: int = 2, image_channels: int = 1
) -> DbsGanGenerator:
    """Return the generator at the reported file size, not the tables' widths: 38.3 MiB (D5)."""
    return DbsGanGenerator(
        num_defects=num_defects,
        num_backgrounds=num_backgrounds,
        image_channels=image_channels,
        branch_channels=36,
        combiner_channels=36,
    )


@NETWORKS.register("dcgan_generator")
def dcgan_generator(*, out_channels: int = 1) -> DcganGenerator:
    """Return the generator of TensorFlow's tutorial: 28 px, 2.31 M parameters."""
    return DcganGenerator(out_channels=out_channels, image_size=28)


@NETWORKS.register("dcgan_discriminator")
def dcgan_discriminator(*, in_channels: int = 1) -> DcganDiscriminator:
    """Return the discriminator of TensorFlow's tutorial: 28 px, 0.21 M parameters."""
    return DcganDiscriminator(in_channels=in_channels, image_size=28)


@NETWORKS.register("patch_gan70")
def patch_gan70(*, in_channels: int = 3) -> PatchGan:
    """Return the 70 x 70 PatchGAN of pix2pix and CycleGAN (Isola et al. 2017, section 6.1)."""
    return PatchGan(in_channels=in_channels, base_channels=64, num_layers=3, norm="instance")


@NETWORKS.register("defect_gan_generator")
def defect_gan_generator(
    *, image_channels: int = 3, control_channels: int = 6
) -> DefectGanGenerator:
    """Return Defect-GAN's generator: 12.61 M parameters (Zhang et al. 2021, as re-implemented)."""
    return DefectGanGenerator(
        image_channels=image_channels,
        control_channels=control_channels,
        base_channels=64,
        num_blocks=6,
        control_width=128,
    )


@NETWORKS.register("stargan_generator")
def stargan_generator(*, image_channels: int = 3, num_domains: int = 5) -> StarGanGenerator:
    """Return StarGAN's generator: 8.43 M parameters (Choi et al. 2018, table 4)."""
    return StarGanGenerator(
        image_channels=image_channels,
        condition_channels=num_domains,
        base_channels=64,
        num_blocks=6,
    )


@NETWORKS.register("stargan_discriminator")
def stargan_discriminator(
    *, image_channels: int = 3, num_domains: int = 5, image_size: int = 128
) -> StarGanDiscriminator:
    """Return StarGAN's discriminator: 44.76 M parameters (Choi et al. 2018, table 5)."""
    return StarGanDiscriminator(
        image_channels=image_channels,
        num_domains=num_domains,
        image_size=image_size,
        base_channels=64,
        num_layers=6,
    )


@NETWORKS.register("fc_hardnet70")
def fc_hardnet70(*, in_channels: int = 3, num_classes: int = 19) -> FcHarDNet:
    """Return FC-HarDNet-70 (Chao et al. 2019; widths of the authors' published network)."""
    return FcHarDNet(
        in_channels=in_channels,
        num_classes=num_classes,
        stem_channels=(16, 24, 32, 48),
        transition_channels=(64, 96, 160, 224, 320),
        growth=(10, 16, 18, 24, 32),
        num_layers=(4, 4, 8, 8, 8),
        multiplier=1.7,
    )


@NETWORKS.register("efficientnet_lite0")
def efficientnet_lite0_pyramid(
    *,
    in_channels: int = 3,
    num_classes: int = 19,
    pretrained: bool = True,
    encoder: Literal["tuned", "frozen"] = "tuned",
    load: bool = True,
) -> PyramidSegmenter:
    """Return a feature pyramid on EfficientNet-Lite0 (Tan and Le 2019; Lin et al. 2017).

    Args:
        in_channels: 1 grey (repeated to RGB), 3 colour.
        num_classes: with the background as class 0.
        pretrained: begin with ImageNet weights and keep their batch-norm statistics.
        encoder: whether the encoder's weights are trained, or only the decoder's.
        load: False: a checkpoint brings the weights; nothing needs to be installed.
    """
    backbone = build_encoder(pretrained=pretrained, encoder=encoder, load=load)
    return PyramidSegmenter(backbone, num_classes=num_classes, freeze_encoder=encoder == "frozen")


@NETWORKS.register("smp")
def smp(
    *,
    in_channels: int = 3,
    num_classes: int = 19,
    architecture: str = "unet",
    backbone: str = "resnet18",
    weights: str | None = None,
    load: bool = True,
) -> SegmentationModel:
    """Return any network of segmentation-models-pytorch, which is an optional package."""
    return SegmentationModel(
        architecture=architecture,
        backbone=backbone,
        weights=weights if load else None,
        in_channels=in_channels,
        num_classes=num_classes,
    )


@NETWORKS.register("stylegan2")
def stylegan2(
    *, image_size: int = 256, image_channels: int = 3, num_classes: int = 0
) -> StyleGan2Generator:
    """Return the generator of the configuration ``auto`` (Karras et al. 2020b)."""
    return StyleGan2Generator(
        image_size=image_size,
        image_channels=image_channels,
        num_classes=num_classes,
        mapping_layers=2,
        base_channels=16384 if image_size < 512 else 32768,
    )


@NETWORKS.register("stylegan2_discriminator")
def stylegan2_discriminator(
    *, image_size: int = 256, image_channels: int = 3, num_classes: int = 0
) -> StyleGan2Discriminator:
    """Return the discriminator of the configuration ``auto`` (Karras et al. 2020b)."""
    return StyleGan2Discriminator(
        image_size=image_size,
        image_channels=image_channels,
        num_classes=num_classes,
        base_channels=16384 if image_size < 512 else 32768,
    )
