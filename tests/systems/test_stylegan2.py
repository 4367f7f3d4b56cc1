"""StyleGAN2's procedure: closed forms of its losses, schedule, what a step leaves to the next."""

import math

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import build_system, configure
from flawsmith.systems.base import Batch, SampleRequest, seeded_noise
from flawsmith.systems.stylegan2 import Use
from flawsmith.training.checkpoint import load_optimizer_state, optimizer_state

SIZE = 32


def build(tmp_path, *overrides):
    torch.manual_seed(0)
    config = configure("stylegan2", "tiny", tmp_path, fold=None, overrides=list(overrides))
    schema = Schema(
        name="two", channels=1, backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(["crack", "pore"]),
    )  # fmt: skip
    return build_system(config, schema)


def batch_of(count=4, first=0):
    generator = torch.Generator().manual_seed(first)
    defects = torch.zeros(count, SIZE, SIZE, dtype=torch.long)
    labels = torch.arange(count) % 3
    defects[:, 8:16, 8:16] = labels[:, None, None]
    return Batch(
        images=torch.rand(count, 1, SIZE, SIZE, generator=generator) * 2 - 1,
        defects=defects,
        backgrounds=torch.zeros_like(defects),
        labels=labels,
        seeds=torch.arange(count) + 100 * first + 1,
    )


class Linear(nn.Module):
    """A critic w . x."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 3 * SIZE * SIZE))

    def forward(self, images, classes):
        return images.flatten(1) @ self.weight


def test_r1_of_a_linear_critic_is_the_square_of_its_weights(tmp_path):
    system = build(tmp_path, "loss.weight_r1=3.0")
    system.discriminator = Linear()
    losses = system.r1_losses(batch_of())
    expected = 0.5 * 3.0 * 16 * system.discriminator.weight.square().sum()
    torch.testing.assert_close(losses["d_r1/total"], expected)
    losses["d_r1/total"].backward()
    torch.testing.assert_close(
        system.discriminator.weight.grad, 3.0 * 16 * system.discriminator.weight.detach()
    )


def test_path_length_of_a_linear_synthesis_is_that_of_its_matrix(tmp_path):
    system = build(tmp_path)
    codes, matrix = system.generator.synthesis.num_codes, torch.randn(16, 3 * SIZE * SIZE)
    system.statistics.path_length.fill_(0.25)

    class Summed(nn.Module):
        num_codes = codes

        def forward(self, ws, noise):
            return (ws.sum(dim=1) @ matrix).view(-1, 3, SIZE, SIZE)

    system.generator.synthesis = Summed()
    lengths, batch = [], batch_of()
    losses = system.path_losses(batch, lengths)
    seeds = Use.DIRECTION.of(Use.PATH.of(batch.seeds[::2]))
    y = seeded_noise(seeds, (3 * SIZE * SIZE,)) / SIZE
    expected = (y @ matrix.t()).norm(dim=1)
    torch.testing.assert_close(losses["g_path/length"], expected.mean())
    torch.testing.assert_close(lengths[0], expected.mean())
    torch.testing.assert_close(losses["g_path/total"], 2.0 * 4 * (expected - 0.25).square().mean())


def test_adam_is_corrected_for_the_steps_in_between(tmp_path):
    lazy, plain = build(tmp_path), build(tmp_path, "loss.weight_path=0", "loss.weight_r1=0")
    for name, c in (("generator", 4 / 5), ("discriminator", 16 / 17)):
        group = lazy.optimizers()[name].param_groups[0]
        assert group["lr"] == pytest.approx(0.0025 * c)
        assert group["betas"] == (0.0, pytest.approx(0.99**c))
        group = plain.optimizers()[name].param_groups[0]
        assert (group["lr"], group["betas"]) == (0.0025, (0.0, 0.99))


def test_regularisation_comes_every_few_steps(tmp_path):
    system = build(tmp_path, "loss.path_every=2", "loss.r1_every=3")
    found = [set(system.step(batch_of(first=i))) for i in range(7)]
    assert [i for i, keys in enumerate(found) if "g_path/total" in keys] == [0, 2, 4, 6]
    assert [i for i, keys in enumerate(found) if "d_r1/total" in keys] == [0, 3, 6]
    without = build(tmp_path, "loss.weight_path=0", "loss.weight_r1=0")
    assert not {"g_path/total", "d_r1/total"} & set(without.step(batch_of()))


def test_statistics_are_means_over_micro_batches(tmp_path):
    whole, pieces = build(tmp_path), build(tmp_path)
    pieces.engine.accumulate = 2
    for system in (whole, pieces):
        system.step(batch_of())
    assert whole.generator.mean_w.abs().max() > 0
    assert whole.statistics.path_length > 0
    assert int(whole.statistics.steps) == 1
    torch.testing.assert_close(pieces.generator.mean_w, whole.generator.mean_w)
    torch.testing.assert_close(
        pieces.statistics.path_length, whole.statistics.path_length, rtol=1e-4, atol=0
    )
    assert torch.equal(pieces.statistics.augmentation.p, whole.statistics.augmentation.p)


def test_running_means_move_as_published(tmp_path):
    system, batch = build(tmp_path), batch_of()
    w = system.generate(batch.labels, batch.seeds)[1].detach()
    system.observe([w.mean(dim=0)], [torch.tensor(4.0)], [torch.tensor(1.0)])
    torch.testing.assert_close(system.generator.mean_w, 0.005 * w.mean(dim=0))
    assert float(system.statistics.path_length) == pytest.approx(0.04)
    system.observe([w.mean(dim=0)], [], [torch.tensor(1.0)])
    assert float(system.statistics.path_length) == pytest.approx(0.04)
    assert float(system.statistics.augmentation.p) == pytest.approx(2 * 4 / 16)


def test_styles_mix_from_a_random_layer_on(tmp_path):
    system = build(tmp_path)
    codes = system.generator.synthesis.num_codes
    swapped = system.swapped(torch.arange(2_000), 0.9)
    assert not swapped[:, 0].any()
    assert (swapped[:, 1:] >= swapped[:, :-1]).all()  # once the second, always the second
    mixed = swapped[:, -1].double().mean().item()
    assert mixed == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2_000))
    starts = (codes - swapped.sum(dim=1))[swapped[:, -1]]
    assert starts.unique().tolist() == list(range(1, codes))
    assert not system.swapped(torch.arange(50), 0.0).any()


def test_truncation_leads_to_the_mean(tmp_path):
    system, labels = build(tmp_path), torch.tensor([1, 2])
    seeds = torch.tensor([1, 2])  # noise has no strength before training
    same, _ = system.generate(labels, seeds, truncation=0.0)
    torch.testing.assert_close(same[0], same[1])
    free, _ = system.generate(labels, seeds)
    assert not torch.allclose(free[0], free[1], atol=1e-2)


def test_class_alone_is_taken_from_a_request(tmp_path):
    system, batch = build(tmp_path), batch_of()
    seeds = torch.tensor([5, 5])
    defects = torch.zeros(2, SIZE, SIZE, dtype=torch.long)
    defects[0, 4:8, 4:8], defects[1, 20:30, 20:30] = 1, 1
    request = SampleRequest(defects=defects, backgrounds=torch.zeros_like(defects))
    with torch.no_grad():
        samples = system.sample(request, seeds)
        one, _ = system.generate(batch.labels[1:2], seeds[:1])
        two, _ = system.generate(batch.labels[2:3], seeds[:1])
    assert samples.mask_source == "joint"
    assert torch.equal(samples.images[0], samples.images[1])
    assert not torch.allclose(one, two, atol=1e-3)


def test_run_goes_on_from_what_a_checkpoint_keeps(tmp_path):
    straight = build(tmp_path)
    straight.step(batch_of())
    resumed = build(tmp_path, "training.seed=1")
    for name, network in resumed.networks().items():
        network.load_state_dict(load(save(straight.networks()[name].state_dict())))
    for name, optimizer in resumed.optimizers().items():
        tensors, plain = optimizer_state(straight.optimizers()[name])
        tensors = {key: value.clone() for key, value in tensors.items()}
        load_optimizer_state(optimizer, tensors, plain)
    for first in (1, 2):
        assert straight.step(batch_of(first=first)) == resumed.step(batch_of(first=first))
    for name, network in straight.networks().items():
        other = resumed.networks()[name].state_dict()
        assert all(torch.equal(v, other[key]) for key, v in network.state_dict().items())


def test_impossible_size_is_told(tmp_path):
    with pytest.raises(FlawsmithError, match="128 or 160"):
        build(tmp_path, "training.tile_size=144")
