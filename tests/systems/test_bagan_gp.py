import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.data.tiles import DataConfig
from flawsmith.losses.gradient_penalty import gradient_penalty
from flawsmith.models.bagan_gp import BaganDecoder, BaganDiscriminator, BaganEncoder, BaganGenerator
from flawsmith.nn.cost import parameter_count
from flawsmith.systems.bagan_gp import (
    FAKE_CLASS,
    MIXTURE,
    NOISE,
    WRONG_CLASS,
    BaganConfig,
    BaganGp,
    BaganLoss,
    BaganNetwork,
    draw_classes,
    wrong_classes,
)
from flawsmith.systems.base import Batch, seeded_noise
from flawsmith.systems.repeated_updates import NEXT_DRAW
from flawsmith.training.config import TrainingConfig

SEEDS = torch.arange(400)


def build(*, good_share=0.5, defects=("crack", "pore"), **loss):
    torch.manual_seed(0)
    schema = Schema(
        name="weld", channels=1, backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(list(defects)),
    )  # fmt: skip
    config = BaganConfig(
        system="bagan_gp",
        preset="tiny",
        data=DataConfig(path="", good_share=good_share),
        training=TrainingConfig(tile_size=16, batch_size=4, total_images=16),
        network=BaganNetwork(base_channels=8, stages=2, latent_size=8, label_size=8),
        loss=BaganLoss(**loss),
    )
    return BaganGp(config, schema)


def batch(labels=(0, 1, 2, 0)):
    generator = torch.Generator().manual_seed(1)
    defects = torch.zeros(4, 16, 16, dtype=torch.long)
    for row, label in enumerate(labels):
        defects[row, 2:5, 2:5] = label
    return Batch(
        images=torch.rand(4, 1, 16, 16, generator=generator) * 2 - 1,
        defects=defects,
        backgrounds=torch.zeros_like(defects),
        labels=torch.tensor(labels),
        seeds=torch.arange(10, 14),
    )


def snapshot(system):
    return {
        key: copy.deepcopy(network.state_dict())
        for key, network in system.networks().items()
        if key != "progress"
    }


def changed(system, before):
    return {
        key
        for key, state in before.items()
        for name, value in system.networks()[key].named_parameters()
        if not torch.equal(value, state[name])
    }


@pytest.mark.parametrize(
    ("channels", "encoder", "decoder", "discriminator"),
    [(3, 1_445_568, 1_449_923, 5_120_577), (1, 1_443_520, 1_447_873, 5_118_529)],
)
@pytest.mark.parametrize("classes", [2, 4, 10])
def test_parameters_are_the_published_ones(channels, encoder, decoder, discriminator, classes):
    network = BaganDecoder(out_channels=channels)
    assert parameter_count(BaganEncoder(in_channels=channels)) == encoder
    assert parameter_count(network) == decoder
    whole = BaganGenerator(num_classes=classes, decoder=network)
    assert parameter_count(whole) == decoder + 128 * classes
    judge = BaganDiscriminator(num_classes=classes, in_channels=channels)
    assert parameter_count(judge) == discriminator + 512 * classes


def test_weights_begin_as_those_of_keras():
    torch.manual_seed(0)
    network = BaganDiscriminator(num_classes=10)
    for embedding in (m for m in network.modules() if isinstance(m, torch.nn.Embedding)):
        assert 0.045 < embedding.weight.abs().max() <= 0.05
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert convolutions[-1].weight.std().item() == pytest.approx(0.02, rel=0.02)
    limit = math.sqrt(6 / (4096 + 512))
    assert limit * 0.99 < network.dense.weight.abs().max() <= limit
    assert not network.dense.bias.any()


@pytest.mark.parametrize(("size", "stages"), [(64, 4), (48, 4), (128, 5)])
def test_shapes_at_other_sizes(size, stages):
    common = {"image_size": size, "base_channels": 2, "stages": stages}
    classes = torch.tensor([0, 2])
    decoder = BaganDecoder(out_channels=5, **common)
    image = BaganGenerator(num_classes=3, decoder=decoder)(torch.randn(2, 128), classes)
    assert image.shape == (2, 5, size, size)
    assert image.abs().max() <= 1
    assert BaganEncoder(in_channels=5, **common)(image).shape == (2, 128)
    judge = BaganDiscriminator(num_classes=3, in_channels=5, label_size=4, **common)
    assert judge(image, classes).shape == (2,)


def test_class_is_a_factor_of_the_code():
    network = BaganGenerator(num_classes=2, decoder=BaganDecoder(base_channels=2)).eval()
    code, classes = torch.randn(2, 128), torch.tensor([1, 0])
    expected = network.decoder(code * network.embedding.weight[[1, 0]])
    assert torch.equal(network(code, classes), expected)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_wrong_classes_exclude_the_true_one(num_classes):
    classes = SEEDS % num_classes
    wrong = wrong_classes(classes, SEEDS + 7, num_classes, "exclude_true")
    assert not (wrong == classes).any()
    drawn = draw_classes(SEEDS + 7, num_classes - 1)
    assert torch.equal(wrong, (classes + 1 + drawn) % num_classes)
    steps = torch.bincount((wrong - classes) % num_classes, minlength=num_classes)
    assert (steps[1:] > 0.8 * len(SEEDS) / (num_classes - 1)).all()


def test_wrong_classes_are_none_that_the_image_shows():
    classes = SEEDS % 4
    own = F.one_hot(classes, 4).bool()
    both = own | own.roll(1, dims=1)
    wrong = wrong_classes(classes, SEEDS + 7, 4, "exclude_true", both)
    assert not both.gather(1, wrong[:, None]).any()
    assert set(((wrong - classes) % 4).tolist()) == {2, 3}
    everything = torch.ones(len(SEEDS), 4, dtype=torch.bool)
    assert not (wrong_classes(classes, SEEDS, 4, "exclude_true", everything) == classes).any()


@pytest.mark.parametrize("first_class", [0, 1])
def test_shown_classes_are_those_of_the_networks(first_class):
    batch = SimpleNamespace(present=torch.tensor([[1.0, 0, 1], [0, 0, 0]]))
    shown = BaganGp.shown_classes(SimpleNamespace(first_class=first_class), batch)
    assert shown[:, -3:].tolist() == [[True, False, True], [False, False, False]]
    assert shown[:, :-3].tolist() == ([[False], [True]] if first_class == 0 else [[], []])
    batch.present = None
    assert BaganGp.shown_classes(SimpleNamespace(first_class=first_class), batch) is None


def test_uniform_wrong_classes_hit_the_true_one():
    """One in K: for two classes half of the terms punish a correct pair (specs, section 2)."""
    wrong = wrong_classes(SEEDS % 2, SEEDS + 7, 2, "uniform")
    assert (wrong == SEEDS % 2).float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_phases_follow_the_images_seen():
    system = build()
    for step, names in enumerate([{"encoder", "generator"}, {"generator", "discriminator"}]):
        before = snapshot(system)
        values = system.step(batch())
        assert changed(system, before) == names, step
        assert ("ae/total" in values) == (step == 0)
        assert int(system.progress) == 4 * (step + 1)


def test_without_an_autoencoder_the_gan_begins_at_once():
    system = build()
    system.enter_last_phase()
    assert "d/total" in system.step(batch())


@pytest.mark.parametrize("updates", [1, 3])
def test_discriminator_is_updated_several_times_before_the_generator(updates, monkeypatch):
    system = build(discriminator_updates=updates)
    system.enter_last_phase()
    order = []
    original = system.engine.update

    def update(optimizer, *arguments, **keywords):
        name = next(k for k, v in system.optimizers().items() if v is optimizer)
        order.append(name)
        return original(optimizer, *arguments, **keywords)

    seen = []
    losses = system.discriminator_losses
    monkeypatch.setattr(system.engine, "update", update)
    monkeypatch.setattr(
        system,
        "discriminator_losses",
        lambda piece: seen.append(piece.seeds[0].item()) or losses(piece),
    )
    system.step(batch())
    assert order == ["discriminator"] * updates + ["generator"]
    assert seen == [10 + NEXT_DRAW * (k + 1) for k in range(updates)]


@pytest.mark.parametrize("mixing", ["uniform", "normal"])
def test_discriminator_loss_is_the_printed_one(mixing):
    system = build(mixing=mixing, wrong_label="exclude_true", weight_gp=3.0)
    seeds = SEEDS[:4]
    terms = system.discriminator_losses(replace(batch(), seeds=seeds))
    real, y = system.joint(batch()), batch().labels
    y_f = draw_classes(seeds + FAKE_CLASS, 3)
    y_w = wrong_classes(y, seeds + WRONG_CLASS, 3, "exclude_true")
    fake = system.generator(seeded_noise(seeds + NOISE, (8,)), y_f).detach()
    judge, bce = system.discriminator, F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(4), torch.zeros(4)
    penalty = gradient_penalty(lambda x: judge(x, y), real, fake, seeds + MIXTURE, mixing=mixing)
    expected = (
        bce(judge(real, y), ones)
        + bce(judge(fake, y_f), zeros)
        + bce(judge(real, y_w), zeros)
        + 3.0 * penalty
    )
    assert terms["d/total"].item() == pytest.approx(expected.item(), rel=1e-5)
    g = system.generator_losses(batch())["g/total"]
    fake = system.generator(seeded_noise(batch().seeds + NOISE, (8,)), draw_classes(
        batch().seeds + FAKE_CLASS, 3))  # fmt: skip
    expected = bce(judge(fake, draw_classes(batch().seeds + FAKE_CLASS, 3)), ones)
    assert g.item() == pytest.approx(expected.item(), rel=1e-4)


def test_without_good_crops_good_is_no_class():
    system = build(good_share=0.0)
    assert system.num_classes == 2
    assert system.classes_of(torch.tensor([1, 2, 0])).tolist() == [0, 1, 0]
    assert build().classes_of(torch.tensor([1, 2, 0])).tolist() == [1, 2, 0]


def test_a_single_class_has_no_wrong_one():
    system = build(good_share=0.0, defects=("crack",))
    system.enter_last_phase()
    values = system.step(batch(labels=(1, 1, 1, 1)))
    assert "d/wrong" not in values
    assert all(math.isfinite(v) for v in values.values())


def test_autoencoder_weighs_image_and_masks_alike():
    system = build()
    terms = system.autoencoder_losses(batch())
    decoded = system.generator(system.encoder(system.joint(batch())), batch().labels)
    image = (decoded[:, :1] - batch().images).abs().mean()
    assert terms["ae/image"].item() == pytest.approx(image.item(), rel=1e-4)
    assert terms["ae/total"].item() == pytest.approx(
        terms["ae/image"].item() + terms["ae/masks"].item()
    )


def test_optimizers_have_the_constants_of_keras():
    for optimizer in build().optimizers().values():
        group = optimizer.param_groups[0]
        assert (group["lr"], group["betas"], group["eps"]) == (2e-4, (0.5, 0.9), 1e-7)
