import math
from dataclasses import replace

import pytest
import torch

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import build_system, configure
from flawsmith.systems.base import Batch


@pytest.fixture
def system(pouch_folder):
    torch.manual_seed(0)
    config = configure("stargan", "tiny", pouch_folder, fold=0, overrides=[])
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
    seeds = torch.arange(4) * 7919
    return Batch(images, defects, torch.zeros_like(defects), labels, seeds, images.clone())


def judge(image):
    """Score every image by its mean grey, and find all domains alike."""
    score = image.mean(dim=(1, 2, 3))[:, None, None, None].expand(-1, 1, 2, 2)
    return score, torch.zeros(len(image), 3)


def domains(vectors):
    """Return the one domain of each row."""
    assert (vectors.sum(dim=1) == 1).all()
    return vectors.argmax(dim=1).tolist()


def test_terms_are_those_of_the_paper(system, tiles):
    system.discriminator.forward = judge
    system.generator.forward = lambda image, condition: image + 0.1
    g = system.generator_losses(tiles)
    mean = float(tiles.images.mean())
    assert g["g/adv"] == pytest.approx(-(mean + 0.1), abs=1e-5)
    assert g["g/class"] == pytest.approx(math.log(3), abs=1e-5)
    assert g["g/rec"] == pytest.approx(0.2, abs=1e-5)
    assert g["g/total"] == pytest.approx(-(mean + 0.1) + math.log(3) + 10 * 0.2, abs=1e-4)
    d = system.discriminator_losses(tiles)
    assert d["d/adv"] == pytest.approx(0.1, abs=1e-5)
    # Four patches of the mean of 1,024 pixels: the gradient of their sum is 4 / 1024 everywhere.
    penalty = (4 / 1024 * 32 - 1) ** 2
    assert d["d/gp"] == pytest.approx(penalty, abs=1e-4)
    assert d["d/total"] == pytest.approx(0.1 + math.log(3) + 10 * penalty, abs=1e-3)


def test_the_cycle_goes_there_and_back_by_the_labels(system, tiles):
    asked = []

    def generator(image, condition):
        asked.append(condition[:, :3, 0, 0].argmax(dim=1).tolist())
        return image

    system.generator.forward = generator
    system.generator_losses(tiles)
    assert asked == [domains(system.wanted(tiles)), tiles.labels.tolist()]


def test_images_that_show_several_classes_are_named_and_rebuilt_with_all_of_them(system, tiles):
    """One decision a domain, summed, where softmax could only name one (specs, 5)."""
    present = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 0]]).float()
    system.look_at(replace(tiles, present=present * torch.tensor([1.0, 0.0])))
    assert system.exclusive
    several = replace(tiles, present=present)
    system.look_at(several)
    assert not system.exclusive
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 0]]).float()
    assert torch.equal(system.shown(several), expected)

    asked = []

    def generator(image, condition):
        asked.append(condition[:, :3, 0, 0])
        return image

    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    system.generator.forward = generator
    system.discriminator.forward = lambda image: (judge(image)[0], logits)
    g = system.generator_losses(several)
    assert torch.equal(asked[1], expected)
    wanted = system.wanted(several)
    surprise = -(wanted * logits.sigmoid().log() + (1 - wanted) * (-logits).sigmoid().log())
    assert g["g/class"] == pytest.approx(float(surprise.sum() / 4), rel=1e-5)
    d = system.discriminator_losses(several)
    surprise = -(expected * logits.sigmoid().log() + (1 - expected) * (-logits).sigmoid().log())
    assert d["d/class"] == pytest.approx(float(surprise.sum() / 4), rel=1e-5)


def test_targets_are_normal_or_a_class_that_the_data_show(system, tiles):
    system.classes = [2]
    seeds = torch.arange(400) * 104_729
    drawn = system.targets(seeds, [0, *system.classes])
    assert set(drawn.tolist()) == {0, 2}
    assert set(domains(system.wanted(tiles))) <= {0, 2}


def test_the_discriminator_is_updated_more_often_and_each_time_with_other_targets(system, tiles):
    drawn, real = [], system.discriminator_losses

    def losses(batch):
        drawn.append(domains(system.wanted(batch)))
        return real(batch)

    system.discriminator_losses = losses
    system.config = system.config.model_copy(
        update={"loss": system.config.loss.model_copy(update={"critic_steps": 4})}
    )
    values = system.step(tiles)
    assert len(drawn) == 4
    assert len({tuple(d) for d in drawn}) > 1
    assert {"g/total", "d/total"} < set(values)
    steps = [
        {int(s["step"]) for s in optimizer.state.values()}
        for optimizer in system.optimizers().values()
    ]
    assert steps == [{1}, {4}]


def test_every_weight_gets_a_gradient(system, tiles):
    system.generator_losses(tiles)["g/total"].backward()
    assert all(p.grad.abs().max() > 0 for p in system.generator.parameters() if p.ndim > 1)
    system.optimizers()["discriminators"].zero_grad()
    system.discriminator_losses(tiles)["d/total"].backward()
    assert all(p.grad.abs().max() > 0 for p in system.discriminator.parameters())


def test_a_tile_size_that_cannot_be_halved_is_refused_before_training(pouch_folder):
    with pytest.raises(FlawsmithError, match=r"36 cannot be halved 3 times.*multiple of 8"):
        configure("stargan", "tiny", pouch_folder, fold=0, overrides=["training.tile_size=36"])
