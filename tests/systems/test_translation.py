import pytest
import torch

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import build_system, configure
from flawsmith.systems.base import Batch
from flawsmith.systems.image_history import ImageHistory
from flawsmith.systems.translation import (
    linear_decay,
    planes,
    surface_noise,
    uniform,
    with_normal_tiles,
)


def batch(labels, *, removed=True):
    count = len(labels)
    images = torch.full((count, 1, 8, 8), 0.5)
    defects = torch.zeros(count, 8, 8, dtype=torch.long)
    defects[:, 2:4, 2:4] = torch.tensor(labels)[:, None, None]
    clean = torch.where((defects.unsqueeze(1) > 0) & removed, -0.5, images)
    return Batch(
        images, defects, torch.zeros_like(defects), torch.tensor(labels),
        torch.arange(count) * 7919, clean,
    )  # fmt: skip


@pytest.fixture
def system(pouch_folder):
    config = configure("cyclegan", "tiny", pouch_folder, fold=0, overrides=[])
    schema = Schema(
        name="s", channels=1, backgrounds=make_backgrounds(["a"]),
        defects=make_defects(["x", "y", "z"]),
    )  # fmt: skip
    return build_system(config, schema)


def test_good_crops_are_enough_where_they_are_half(system):
    system.look_at(batch([0, 1, 3, 0]))
    assert system.classes == [1, 3]
    assert system.turned == 0.0
    assert system.normal_share == 0.5


def test_without_good_crops_half_of_the_defects_are_removed(system):
    system.look_at(batch([1, 2, 3, 1]))
    assert system.turned == 0.5
    labels = [1, 2] * 200
    begun = system.begin(batch(labels))
    normal = begun.labels == 0
    assert 160 < normal.sum() < 240
    assert torch.equal((begun.defects > 0).flatten(1).any(1), ~normal)
    shown = (begun.images == -0.5).flatten(1).any(1)
    assert torch.equal(shown, normal)


def test_more_good_crops_than_half_stay(system):
    data = system.settings.data.model_copy(update={"good_share": 0.75})
    system.settings = system.settings.model_copy(update={"data": data})
    system.look_at(batch([0, 1]))
    assert (system.normal_share, system.turned) == (0.75, 0.0)


def test_whether_a_tile_turns_follows_from_its_seed_and_where_nothing_went_it_stays():
    all_together = with_normal_tiles(batch([1] * 8), 0.5)
    later = with_normal_tiles(batch([1] * 8).split(2)[1], 0.5)
    assert torch.equal(all_together.labels[4:], later.labels)
    assert 0 < (all_together.labels == 0).sum() < 8
    assert torch.equal(
        with_normal_tiles(batch([2] * 4, removed=False), 1.0).labels, torch.full((4,), 2)
    )
    assert torch.equal(with_normal_tiles(batch([0, 1]), 0.0).labels, torch.tensor([0, 1]))


def test_surfaces_must_be_given():
    given = batch([1, 2])
    without = Batch(given.images, given.defects, given.backgrounds, given.labels, given.seeds)
    with pytest.raises(FlawsmithError, match="surfaces without their defects"):
        with_normal_tiles(without, 0.5)


def test_targets_are_drawn_equally_often_and_by_seed(system):
    seeds = torch.arange(3000) * 104_729
    drawn = system.targets(seeds, [0, 2, 3])
    counts = torch.bincount(drawn, minlength=4).tolist()
    assert counts[1] == 0
    assert all(900 < counts[k] < 1100 for k in (0, 2, 3))
    assert torch.equal(system.targets(seeds[5:6], [0, 2, 3]), drawn[5:6])
    assert uniform(seeds).std() == pytest.approx(1 / 12**0.5, abs=0.02)


def test_the_rate_is_constant_and_then_falls_to_zero(system):
    assert [linear_decay(p, 0.5) for p in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    assert linear_decay(1.0, 1.0) == 1.0
    assert linear_decay(0.25, 0.0) == 0.75
    total, size = system.settings.training.total_images, system.settings.training.batch_size
    rates = []
    for _ in range(total // size):
        for optimizer in system.optimizers().values():
            for group in optimizer.param_groups:
                group["lr"] = 1.0  # as the loop does
        system.begin(batch([1, 2]))
        rates.append(system.optimizers()["generators"].param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 0.5]
    assert int(system.seen.images) == total


def test_noise_is_no_stronger_than_a_surface_and_follows_from_its_seed():
    seeds = torch.arange(40) * 7919
    noise = surface_noise(seeds, 2, torch.Size((48, 64)))
    assert noise.shape == (40, 2, 48, 64)
    assert 0.03 < noise.std() < 0.12
    assert torch.equal(surface_noise(seeds[7:8], 2, torch.Size((48, 64)))[0], noise[7])


def test_planes_are_one_on_their_own_class():
    shown = planes(torch.tensor([1, 3]), 3, (2, 5), first=1)
    assert shown.shape == (2, 3, 2, 5)
    assert shown[0].mean(dim=(1, 2)).tolist() == [1, 0, 0]
    assert shown[1].mean(dim=(1, 2)).tolist() == [0, 0, 1]


def numbered(values):
    images = torch.tensor(values, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)
    return images, torch.tensor(values), torch.tensor(values) * 7919


def test_history_gives_back_what_it_gets_until_it_is_full():
    history = ImageHistory(size=4, channels=1, tile_size=2)
    images, labels, seeds = numbered([1, 2, 3, 4])
    given, names = history.exchange(images, labels, seeds)
    assert torch.equal(given, images)
    assert torch.equal(names, labels)
    assert int(history.count) == 4
    assert history.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4]


def test_full_history_gives_an_older_image_half_of_the_time_and_its_own_label():
    history = ImageHistory(size=20, channels=1, tile_size=2)
    history.exchange(*numbered(list(range(1, 21))))
    values = list(range(100, 500))
    given, names = history.exchange(*numbered(values))
    assert torch.equal(given[:, 0, 0, 0].long(), names)
    older = names != torch.tensor(values)
    assert 0.4 < older.float().mean() < 0.6
    assert (names <= torch.tensor(values)).all()
    # What was swapped out is gone; what is kept are twenty different images.
    assert len(set(history.labels.tolist())) == 20
    assert torch.equal(history.images[:, 0, 0, 0].long(), history.labels)


def test_history_of_no_images_gives_all_back():
    images, labels, seeds = numbered([5, 6])
    given, _ = ImageHistory(size=0, channels=1, tile_size=2).exchange(images, labels, seeds)
    assert torch.equal(given, images)
