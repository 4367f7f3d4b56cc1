import copy
import math

import pytest
import torch
from torch.nn import functional as F

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.data.tiles import DataConfig
from flawsmith.errors import FlawsmithError
from flawsmith.models.dcgan import DcganDiscriminator, DcganGenerator
from flawsmith.nn.cost import parameter_count
from flawsmith.systems.base import Batch, seeded_noise
from flawsmith.systems.dcgan import FAKE_DROPOUT, Dcgan, DcganConfig, DcganNetwork
from flawsmith.systems.joint_masks import join
from flawsmith.training.config import TrainingConfig

SCHEMA = Schema(
    name="weld", channels=1, backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["crack", "pore"]),
)  # fmt: skip


def build(**values):
    torch.manual_seed(0)
    config = DcganConfig(
        system="dcgan",
        preset="tiny",
        data=DataConfig(path="", good_share=0.5),
        training=TrainingConfig(tile_size=16, batch_size=4, total_images=8),
        network=DcganNetwork(base_channels=4),
        **values,
    )
    return Dcgan(config, SCHEMA)


def batch():
    generator = torch.Generator().manual_seed(1)
    defects = torch.zeros(4, 16, 16, dtype=torch.long)
    defects[1, 2:5, 2:5], defects[2, 8:, :3] = 1, 2
    return Batch(
        images=torch.rand(4, 1, 16, 16, generator=generator) * 2 - 1,
        defects=defects,
        backgrounds=torch.zeros_like(defects),
        labels=torch.tensor([0, 1, 2, 0]),
        seeds=torch.arange(10, 14),
    )


@pytest.mark.parametrize(
    ("size", "channels", "generator", "discriminator"),
    [(28, 1, 2_305_472, 212_865), (64, 3, 7_713_856, 242_561)],
)
def test_parameters_are_those_of_the_tutorial(size, channels, generator, discriminator):
    network = DcganGenerator(out_channels=channels, image_size=size)
    assert parameter_count(network) == generator
    if size == 28:
        statistics = [b for k, b in network.named_buffers() if not k.endswith("tracked")]
        assert generator + sum(b.numel() for b in statistics) == 2_330_944
    network = DcganDiscriminator(in_channels=channels, image_size=size)
    assert parameter_count(network) == discriminator


@pytest.mark.parametrize(("size", "stages"), [(28, 2), (64, 2), (96, 4), (128, 5)])
def test_shapes_and_gradients_of_any_number_of_stages(size, stages):
    network = DcganGenerator(out_channels=4, image_size=size, base_channels=2, stages=stages)
    judge = DcganDiscriminator(in_channels=4, image_size=size, base_channels=2, stages=stages)
    image = network(torch.randn(3, 100))
    assert image.shape == (3, 4, size, size)
    assert image.abs().max() <= 1
    logits = judge(image, torch.arange(3))
    assert logits.shape == (3,)
    logits.sum().backward()
    for parameter in (*network.parameters(), *judge.parameters()):
        assert parameter.grad.abs().sum() > 0


def test_undecided_discriminator_gives_log_two():
    system = build()
    for parameter in system.discriminator.parameters():
        parameter.data.zero_()
    fakes = []
    g = system.generator_losses(batch(), fakes)
    d = system.discriminator_losses(batch(), fakes[0])
    assert g["g/total"].item() == pytest.approx(math.log(2))
    assert d["d/total"].item() == pytest.approx(2 * math.log(2)), "a sum, not a mean"


def test_both_gradients_come_from_one_forward_pass():
    system = build()
    other = copy.deepcopy(system)
    values = system.step(batch())

    real = join(batch().images, batch().defects, 2)
    fake = other.generator(seeded_noise(batch().seeds, (100,)))
    real_logits = other.discriminator(real, batch().seeds)
    fake_logits = other.discriminator(fake, batch().seeds + FAKE_DROPOUT)
    ones, zeros = torch.ones(4), torch.zeros(4)
    bce = F.binary_cross_entropy_with_logits
    g_loss = bce(fake_logits, ones)
    d_loss = bce(real_logits, ones) + bce(fake_logits, zeros)
    pairs = [(other.generator, g_loss, "generator"), (other.discriminator, d_loss, "discriminator")]
    gradients = [
        torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        for network, loss, _ in pairs
    ]
    for (network, _, key), gradient in zip(pairs, gradients, strict=True):
        for parameter, value in zip(network.parameters(), gradient, strict=True):
            parameter.grad = value
        other.optimizers()[key].step()
        mine = system.networks()[key].parameters()
        for a, b in zip(mine, network.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert values["g/total"] == pytest.approx(g_loss.item(), rel=1e-5)
    assert values["d/total"] == pytest.approx(d_loss.item(), rel=1e-5)


def test_optimizers_have_the_constants_of_keras():
    for optimizer in build().optimizers().values():
        group = optimizer.param_groups[0]
        assert (group["lr"], group["betas"], group["eps"]) == (1e-4, (0.9, 0.999), 1e-7)


@pytest.mark.parametrize(("only", "rows"), [("pore", [2]), ("good", [0, 3])])
def test_one_class_alone_counts_as_real(only, rows):
    system = build(only=only)
    fakes = []
    system.generator_losses(batch(), fakes)
    found = system.discriminator_losses(batch(), fakes[0])["d/real"]
    logits = system.discriminator(system.joint(batch()), batch().seeds)
    assert found.item() == pytest.approx(F.softplus(-logits[rows]).mean().item(), rel=1e-5)


def test_a_batch_without_the_class_has_no_real_term():
    system = build(only="pore")
    fakes = []
    given = batch()
    given.labels[2] = 1
    system.generator_losses(given, fakes)
    assert system.discriminator_losses(given, fakes[0])["d/real"].item() == 0.0


def test_an_unknown_class_and_good_without_crops_are_told():
    with pytest.raises(FlawsmithError, match="poer"):
        build(only="poer")
    with pytest.raises(ValueError, match="good_share"):
        DcganConfig(
            system="dcgan",
            preset="tiny",
            data=DataConfig(path=""),
            training=TrainingConfig(tile_size=16, batch_size=4, total_images=8),
            only="good",
        )
