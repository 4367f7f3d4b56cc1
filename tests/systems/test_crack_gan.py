from dataclasses import replace

import pytest
import torch

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.data.tiles import DataConfig
from flawsmith.losses.gradient_penalty import gradient_penalty
from flawsmith.models.crack_gan import CrackGanDiscriminator, CrackGanGenerator
from flawsmith.nn.cost import parameter_count
from flawsmith.systems.base import Batch, seeded_noise
from flawsmith.systems.crack_gan import (
    MIXTURE,
    CrackGan,
    CrackGanConfig,
    CrackGanLoss,
    CrackGanNetwork,
)
from flawsmith.systems.repeated_updates import NEXT_DRAW
from flawsmith.training.config import TrainingConfig


def build(**loss):
    torch.manual_seed(0)
    schema = Schema(
        name="road", channels=1, backgrounds=make_backgrounds(["pavement"]),
        defects=make_defects(["crack"]),
    )  # fmt: skip
    config = CrackGanConfig(
        system="crack_gan",
        preset="tiny",
        data=DataConfig(path=""),
        training=TrainingConfig(tile_size=16, batch_size=4, total_images=8),
        network=CrackGanNetwork(
            generator_channels=4, discriminator_channels=4, max_channels=8, stages=2
        ),
        loss=CrackGanLoss(**loss),
    )
    return CrackGan(config, schema)


def batch():
    defects = torch.zeros(4, 16, 16, dtype=torch.long)
    defects[:, 2:5, 2:12] = 1
    return Batch(
        images=torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1,
        defects=defects,
        backgrounds=torch.zeros_like(defects),
        labels=torch.ones(4, dtype=torch.long),
        seeds=torch.arange(10, 14),
    )


@pytest.mark.parametrize(
    ("size", "stages", "generator", "discriminator"), [(128, 5, 8.4, 11.2), (256, 6, 29, 45)]
)
def test_widths_without_a_limit_are_those_of_the_specification(
    size, stages, generator, discriminator
):
    wide = {"image_size": size, "stages": stages, "max_channels": 1 << 20}
    decimals = 1 if size == 128 else None
    millions = [
        round(parameter_count(network) / 1e6, decimals)
        for network in (CrackGanGenerator(**wide), CrackGanDiscriminator(**wide))
    ]
    assert millions == [generator, discriminator]


@pytest.mark.parametrize(("size", "stages"), [(128, 5), (96, 4), (56, 3)])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_shapes_and_gradients_at_other_sizes(size, stages, norm):
    common = {"image_size": size, "base_channels": 2, "stages": stages}
    network = CrackGanGenerator(out_channels=2, **common)
    judge = CrackGanDiscriminator(in_channels=2, norm=norm, **common)
    image = network(torch.randn(3, 128))
    assert image.shape == (3, 2, size, size)
    assert image.abs().max() <= 1
    scores = judge(image)
    assert scores.shape == (3,)
    (scores * torch.tensor([1.0, -2.0, 3.0])).sum().backward()
    for parameter in (*network.parameters(), *judge.parameters()):
        assert torch.isfinite(parameter.grad).all()
        if parameter.ndim > 1:
            assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_discriminator_judges_each_image_by_itself(norm):
    torch.manual_seed(0)
    judge = CrackGanDiscriminator(in_channels=1, image_size=16, stages=2, norm=norm)
    images = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(judge(images)[1:2], judge(images[1:2]), atol=1e-5, rtol=1e-4)


def test_losses_are_those_of_wgan_gp():
    system = build(weight_gp=3.0)
    seeds = torch.arange(50, 54)
    terms = system.discriminator_losses(replace(batch(), seeds=seeds))
    real, judge = system.joint(batch()), system.discriminator
    fake = system.generator(seeded_noise(seeds, (128,))).detach()
    penalty = gradient_penalty(judge, real, fake, seeds + MIXTURE)
    expected = judge(fake).mean() - judge(real).mean() + 3.0 * penalty
    assert terms["d/total"].item() == pytest.approx(expected.item(), rel=1e-4)
    fake = system.generator(seeded_noise(batch().seeds, (128,)))
    g = system.generator_losses(batch())["g/total"].item()
    assert g == pytest.approx(-judge(fake).mean().item(), rel=1e-4)


def test_discriminator_is_updated_five_times_with_noise_of_its_own(monkeypatch):
    system = build()
    order, noises = [], []
    update, losses = system.engine.update, system.discriminator_losses

    def named(optimizer, *arguments, **keywords):
        order.append(next(k for k, v in system.optimizers().items() if v is optimizer))
        return update(optimizer, *arguments, **keywords)

    def noted(piece):
        noises.append(piece.seeds[0].item())
        return losses(piece)

    monkeypatch.setattr(system.engine, "update", named)
    monkeypatch.setattr(system, "discriminator_losses", noted)
    system.step(batch())
    assert order == ["discriminator"] * 5 + ["generator"]
    assert noises == [10 + NEXT_DRAW * k for k in range(1, 6)]


def test_generator_has_no_gradient_from_the_discriminators_update():
    system = build()
    system.discriminator_losses(batch())["d/total"].backward()
    assert all(parameter.grad is None for parameter in system.generator.parameters())
    assert any(parameter.grad is not None for parameter in system.discriminator.parameters())
