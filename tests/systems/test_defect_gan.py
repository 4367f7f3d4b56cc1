import math

import pytest
import torch

from flawsmith.data.schema import IGNORE, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import build_system, configure
from flawsmith.systems.base import Batch, SampleRequest
from flawsmith.systems.critic_translation import naming_loss


@pytest.fixture
def system(pouch_folder):
    torch.manual_seed(0)
    config = configure("defect_gan", "tiny", pouch_folder, fold=0, overrides=[])
    schema = Schema(
        name="s", channels=1, backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(["crack", "pore"]),
    )  # fmt: skip
    return build_system(config, schema)


@pytest.fixture
def tiles():
    labels = torch.tensor([0, 1, 2, 0])
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    defects = torch.zeros(4, 32, 32, dtype=torch.long)
    defects[:, 4:9, 6:20] = labels[:, None, None]
    seeds = torch.arange(4) * 7919
    return Batch(images, defects, torch.zeros_like(defects), labels, seeds, images.clone())


def judge(image):
    score = image.mean(dim=(1, 2, 3))[:, None, None, None].expand(-1, 1, 2, 2)
    return score, torch.zeros(len(image), 3)


def test_terms_are_those_of_the_paper(system, tiles):
    system.discriminator.forward = judge
    maps = iter([0.5, 0.2])

    def generator(image, control, noise):
        spatial = torch.full((len(image), 1, 32, 32), next(maps))
        return image + 0.1, image, spatial

    system.generator.forward = generator
    system.progress = 0.125  # half of the ramp of 0.25
    g = system.generator_losses(tiles)
    mean, named = float(tiles.images.mean()), 3 * math.log(2)
    assert g["g/adv"] == pytest.approx(-(mean + 0.1), abs=1e-5)
    assert g["g/class"] == pytest.approx(named, abs=1e-5)
    assert g["g/rec"] == pytest.approx(0.2, abs=1e-5)
    assert g["g/map_cycle"] == pytest.approx(0.3, abs=1e-5)
    assert g["g/map_size"] == pytest.approx(0.7, abs=1e-5)
    expected = -(mean + 0.1) + 5 * named + 10 * 0.2 + 0.3 + 0.5 * 3 * 0.7
    assert g["g/total"] == pytest.approx(expected, abs=1e-4)


def test_discriminator_names_real_images_alone(system, tiles):
    system.discriminator.forward = judge
    system.generator.forward = lambda image, control, noise: (image + 0.1, image, image)
    d = system.discriminator_losses(tiles)
    penalty = (4 / 1024 * 32 - 1) ** 2
    assert d["d/adv"] == pytest.approx(0.1, abs=1e-5)
    assert d["d/class"] == pytest.approx(3 * math.log(2), abs=1e-5)
    expected = 0.1 + 2 * 3 * math.log(2) + 10 * penalty
    assert d["d/total"] == pytest.approx(expected, abs=1e-3)


def test_small_maps_are_asked_for_by_and_by(system):
    weights = []
    for progress in (0.0, 0.125, 0.25, 0.9):
        system.progress = progress
        weights.append(system.map_size_weight())
    assert weights == [0.0, 1.5, 3.0, 3.0]
    at_once = system.config.loss.model_copy(update={"ramp": 0.0})
    system.config = system.config.model_copy(update={"loss": at_once})
    system.progress = 0.0
    assert system.map_size_weight() == 3.0


def test_normal_tiles_get_the_map_of_a_real_defect_and_others_none(system, tiles):
    system.look_at(tiles)
    assert len(system.maps) == 2
    wanted = system.wanted(tiles)
    assert not wanted[1:3].any()
    real = {
        tuple(m.flip(axes).flatten().tolist())
        for m in system.maps
        for axes in ([], [0], [1], [0, 1])
    }
    for row in (0, 3):
        assert tuple(wanted[row].flatten().tolist()) in real
    again = system.wanted(tiles.split(2)[1])
    assert torch.equal(again, wanted[2:])


def test_control_map_says_normal_everywhere_else_and_nothing_where_nothing_is_known(system):
    defects = torch.zeros(1, 4, 4, dtype=torch.long)
    defects[0, 0, :2] = torch.tensor([2, IGNORE])
    control = system.control(defects)
    assert control.shape == (1, 3, 4, 4)
    assert control[0, :, 0, 0].tolist() == [0, 0, 1]
    assert control[0, :, 0, 1].tolist() == [0, 0, 0]
    assert control[0, :, 3, 3].tolist() == [1, 0, 0]


def test_several_defects_of_a_tile_are_named_and_a_label_without_a_mask_too(system):
    defects = torch.zeros(4, 4, 4, dtype=torch.long)
    defects[0, 0, 0], defects[0, 1, 1], defects[1, 2, 2] = 1, 2, 2
    shown = system.shown(defects, torch.tensor([1, 2, 0, 1]))
    assert shown.tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    logits = torch.tensor([[0.0, 50.0, 50.0], [-50.0, -50.0, 50.0]])
    assert naming_loss(logits, shown[:2]) == pytest.approx(math.log(2) / 2)


def test_every_weight_gets_a_gradient(system, tiles):
    system.generator_losses(tiles)["g/total"].backward()
    for name, p in system.generator.named_parameters():
        assert p.ndim < 2 or p.grad.abs().max() > 0, name
    assert all(up.noise_strength.grad.abs().max() > 0 for up in system.generator.up)
    system.optimizers()["discriminators"].zero_grad()
    system.discriminator_losses(tiles)["d/total"].backward()
    assert all(p.grad.abs().max() > 0 for p in system.discriminator.parameters())


def test_the_discriminator_is_updated_more_often_and_each_time_with_other_maps(system, tiles):
    system.look_at(tiles)
    drawn, real = [], system.discriminator_losses

    def losses(batch):
        drawn.append(tuple(system.wanted(batch).flatten().tolist()))
        return real(batch)

    system.discriminator_losses = losses
    more = system.config.loss.model_copy(update={"critic_steps": 4})
    system.config = system.config.model_copy(update={"loss": more})
    system.step(tiles)
    assert len(drawn) == 4
    assert len(set(drawn)) > 1


def test_masks_are_what_was_asked_for_and_without_any_the_surface_stays(system, tiles):
    request = SampleRequest(
        tiles.defects, torch.zeros_like(tiles.defects), background_images=tiles.images
    )
    with torch.inference_mode():
        samples = system.sample(request, tiles.seeds)
    assert samples.mask_source == "conditioning"
    assert torch.equal(samples.defects, tiles.defects)
    assert torch.equal(samples.images[0], tiles.images[0])
    assert not torch.equal(samples.images[1], tiles.images[1])
    assert set(samples.layers) == {"surface", "foreground", "map"}
    with pytest.raises(FlawsmithError, match="good image to start from"):
        system.sample(SampleRequest(tiles.defects, tiles.defects), tiles.seeds)


def test_without_a_single_mask_there_is_nothing_to_learn(system, tiles):
    bare = Batch(
        tiles.images, torch.zeros_like(tiles.defects), tiles.backgrounds, tiles.labels,
        tiles.seeds, tiles.images,
    )  # fmt: skip
    with pytest.raises(FlawsmithError, match="label masks"):
        system.prepare(lambda count: bare)
