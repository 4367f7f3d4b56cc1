from dataclasses import replace

import pytest
import torch

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import build_system, configure, train_synthesizer
from flawsmith.systems.base import Batch
from flawsmith.systems.cyclegan import domain
from flawsmith.training.loop import Hooks


def build(pouch_folder, *overrides, defects=("crack", "pore")):
    torch.manual_seed(0)
    config = configure("cyclegan", "tiny", pouch_folder, fold=0, overrides=list(overrides))
    schema = Schema(
        name="s", channels=1, backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(list(defects)),
    )  # fmt: skip
    return build_system(config, schema)


def batch(labels, size=32):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(len(labels), 1, size, size, generator=generator) * 2 - 1
    defects = torch.zeros(len(labels), size, size, dtype=torch.long)
    defects[:, 4:9, 4:9] = torch.tensor(labels)[:, None, None]
    seeds = torch.arange(len(labels))
    return Batch(
        images, defects, torch.zeros_like(defects), torch.tensor(labels), seeds, images.clone()
    )


def leave_alone(system):
    """Make both generators the identity, both discriminators one half everywhere."""
    system.to_defect.forward = lambda image, condition=None: image
    system.to_normal.forward = lambda image, condition=None: image
    for judge in (system.judge_defect, system.judge_normal):
        judge.forward = lambda image: image.new_full((len(image), 1, 2, 2), 0.5)


def test_generators_that_change_nothing_have_no_cycle_and_no_identity_loss(pouch_folder):
    system = build(pouch_folder)
    leave_alone(system)
    terms = system.generator_losses(batch([0, 1, 2, 0]), [])
    assert terms["g/cycle"] == 0
    assert terms["g/identity"] == 0
    assert terms["g/adv"] == pytest.approx(2 * 0.25)  # (0.5 - 1)^2 of either generator
    assert terms["g/total"] == pytest.approx(0.5)


def test_discriminator_loss_is_half_real_and_half_fake_of_both(pouch_folder):
    system = build(pouch_folder)
    leave_alone(system)
    made = []
    system.generator_losses(batch([0, 1, 2, 0]), made)
    terms = system.discriminator_losses(batch([0, 1, 2, 0]), made[0])
    assert terms["d/defect"] == pytest.approx(0.25)
    assert terms["d/total"] == pytest.approx(0.5)


def test_weights_of_the_terms_are_the_papers(pouch_folder):
    system = build(pouch_folder)
    leave_alone(system)
    system.to_defect.forward = lambda image, condition=None: image + 0.1
    terms = system.generator_losses(batch([0, 1, 2, 0]), [])
    assert terms["g/cycle"] == pytest.approx(0.2, abs=1e-6)  # F(G(a)) - a and G(F(b)) - b
    assert terms["g/identity"] == pytest.approx(0.1, abs=1e-6)  # G(b) - b
    assert terms["g/total"] == pytest.approx(0.5 + 10 * 0.2 + 5 * 0.1, abs=1e-5)


def test_domains_part_the_tiles_and_any_division_has_the_same_mean():
    tiles = batch([0, 1, 0, 2, 0, 0])
    values = torch.arange(6.0)[:, None]
    normal = domain(tiles, tiles.labels == 0, 0.5)
    assert normal.batch.seeds.tolist() == [0, 2, 4, 5]
    whole = normal.mean(values[normal.batch.seeds])
    assert whole == pytest.approx((0 + 2 + 4 + 5) / (0.5 * 6))
    pieces = [domain(p, p.labels == 0, 0.5) for p in tiles.split(3)]
    parts = [d.mean(values[d.batch.seeds]) for d in pieces]
    assert torch.stack(parts).mean() == pytest.approx(whole)


def test_a_stand_in_counts_nothing_and_leaves_no_trace(pouch_folder):
    tiles = batch([0, 0, 0])
    empty = domain(tiles, tiles.labels > 0, 0.5)
    assert len(empty.batch) == 1
    assert empty.mean(torch.ones(1, 5)) == 0
    system = build(pouch_folder)
    system.step(tiles)
    assert int(system.past_defect.count) == 3
    assert int(system.past_normal.count) == 0
    unchanged = system.step(replace(tiles, labels=torch.tensor([1, 1, 2])))
    assert all(torch.isfinite(torch.tensor(v)) for v in unchanged.values())
    assert int(system.past_normal.count) == 3


def test_the_class_reaches_image_and_judgement(pouch_folder):
    system = build(pouch_folder)
    images = batch([0, 0]).images
    one, two = torch.tensor([1, 1]), torch.tensor([2, 2])
    with torch.no_grad():
        assert not torch.allclose(
            system.deface(images, one, one), system.deface(images, two, one), atol=1e-5
        )
        assert not torch.allclose(system.restore(images, one), system.restore(images, two))
        assert not torch.allclose(system.score(images, one), system.score(images, two))


def test_every_weight_gets_a_gradient(pouch_folder):
    system = build(pouch_folder)
    tiles, made = batch([0, 1, 2, 0]), []
    system.generator_losses(tiles, made)["g/total"].backward()
    for network in (system.to_defect, system.to_normal):
        assert all(p.grad.abs().max() > 0 for p in network.parameters() if p.ndim > 1)
    system.optimizers()["discriminators"].zero_grad()
    system.discriminator_losses(tiles, made[0])["d/total"].backward()
    for network in (system.judge_defect, system.judge_normal):
        assert all(p.grad.abs().max() > 0 for p in network.parameters() if p.ndim > 1)


def test_without_a_class_map_it_is_the_original_and_learns_one_class(pouch_folder):
    system = build(pouch_folder, "network.class_map=false", "network.noise_channels=0")
    assert system.to_defect.layers[1].in_channels == 1
    system.prepare(lambda count: batch([0, 1, 1, 0]))
    with pytest.raises(FlawsmithError, match=r"network\.class_map = true"):
        system.prepare(lambda count: batch([0, 1, 2, 0]))
    alone = build(pouch_folder, "network.class_map=false", defects=["crack"])
    assert all(torch.isfinite(torch.tensor(v)) for v in alone.step(batch([0, 1])).values())


def test_what_the_training_images_forbid_leaves_no_run_behind(pouch_folder, tmp_path):
    overrides = ["network.class_map=false", "network.noise_channels=0"]
    config = configure("cyclegan", "tiny", pouch_folder, fold=0, overrides=overrides)
    with pytest.raises(FlawsmithError, match="learns one class"):
        train_synthesizer(config, tmp_path / "run", Hooks(), resume=False)
    assert list(tmp_path.iterdir()) == []
