"""What the systems have in common that make image and masks together from noise."""

import math
import shutil

import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.estimate import estimate
from flawsmith.experiment.train_synthesizer import build_system, configure, train_synthesizer
from flawsmith.experiment.training_data import tile_source, training_datasets
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import SampleRequest, stack_tiles
from flawsmith.systems.joint_gan import JointGan
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.loop import Hooks
from flawsmith.training.precision import Precision

NAMES = [name for name, system in SYSTEMS if issubclass(system, JointGan)]
BATCH = 4
RESUMED = {"bagan_gp": ["autoencoder.share=0.5"]}
"""Further settings of the runs that are resumed: from within a phase and from its border."""


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def fresh(name, data, *overrides):
    torch.manual_seed(0)
    config = configure(name, "tiny", data, fold=0, overrides=list(overrides))
    datasets, _ = training_datasets(config.data)
    return build_system(config, datasets[0].schema), tile_source(datasets, config)


def batch_of(source, first=0, count=BATCH):
    return stack_tiles([source[first + i] for i in range(count)])


def request_of(batch):
    return SampleRequest(batch.defects, batch.backgrounds)


def test_sampling_leaves_training_as_it_was(name, pouch_folder):
    system, source = fresh(name, pouch_folder)
    batch = batch_of(source)
    state = {k: v.clone() for k, v in system.generator.state_dict().items()}
    system.sample(request_of(batch), batch.seeds)
    assert system.generator.training
    assert all(torch.equal(v, state[k]) for k, v in system.generator.state_dict().items())


def test_masks_come_with_the_image(name, pouch_folder):
    system, source = fresh(name, pouch_folder)
    batch = batch_of(source)
    samples = system.sample(request_of(batch), batch.seeds)
    assert samples.mask_source == "joint"
    assert not torch.equal(samples.defects, batch.defects)


def test_another_size_is_told(name, pouch_folder):
    system, source = fresh(name, pouch_folder)
    batch = batch_of(source)
    wide = torch.zeros(2, 32, 48, dtype=torch.long)
    with pytest.raises(FlawsmithError, match="32 x 48 pixels"):
        system.sample(SampleRequest(wide, wide), batch.seeds[:2])


def test_a_size_that_does_not_fit_is_told_before_anything_is_made(name, pouch_folder):
    with pytest.raises(FlawsmithError, match=r"34 .*multiple of"):
        configure(name, "tiny", pouch_folder, fold=0, overrides=["training.tile_size=34"])


def test_a_size_that_is_no_power_of_two_trains(name, pouch_folder):
    system, source = fresh(name, pouch_folder, "training.tile_size=48")
    batch = batch_of(source)
    system.step(batch)
    assert system.sample(request_of(batch), batch.seeds).images.shape[-2:] == (48, 48)


def test_one_image_a_step_is_refused(name, pouch_folder):
    with pytest.raises(FlawsmithError, match="batch norm needs two"):
        configure(name, "tiny", pouch_folder, fold=0, overrides=["training.batch_size=1"])


def test_it_trains_in_bfloat16_and_channels_last(name, pouch_folder):
    system, source = fresh(name, pouch_folder)
    system.engine.precision = Precision("bf16", channels_last=True)
    for network in system.networks().values():
        network.to(memory_format=torch.channels_last)
    for step in range(2):
        batch = batch_of(source, BATCH * step).to(torch.device("cpu"), torch.channels_last)
        values = system.step(batch)
        assert all(math.isfinite(value) for value in values.values()), values


def test_costs_are_those_of_its_own_size_and_last_phase(name, pouch_folder, monkeypatch):
    system, _ = fresh(name, pouch_folder)
    seen, step = [], system.step

    def noted(batch):
        values = step(batch)
        seen.append((batch.images.shape[-1], "d/total" in values))
        return values

    monkeypatch.setattr(system, "step", noted)
    costs = estimate(lambda: system, system.config, system.schema)
    assert set(seen) == {(32, True)}
    assert costs.seconds > 0


@pytest.mark.parametrize("kept", [4, 8, 12])
def test_a_run_goes_on_bit_equal_from_any_checkpoint(name, pouch_folder, tmp_path, kept):
    config = configure(
        name, "tiny", pouch_folder, fold=0,
        overrides=["training.checkpoint_every_images=4", *RESUMED.get(name, [])],
    )  # fmt: skip
    whole, run = tmp_path / "whole", tmp_path / "killed"
    saved = []
    original = ckpt.write_checkpoint

    def keep_all(*arguments, **_):
        saved.append(original(*arguments, keep=100))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ckpt, "write_checkpoint", keep_all)
        train_synthesizer(config, whole, Hooks(), resume=False)
    shutil.copytree(whole, run)
    for checkpoint in ckpt.checkpoints(run):
        if int(checkpoint.name) > kept:
            shutil.rmtree(checkpoint)
    train_synthesizer(config, run, Hooks(), resume=True)
    last = [ckpt.checkpoints(folder)[-1] for folder in (whole, run)]
    assert last[0].name == last[1].name == f"{config.training.total_images:010d}"
    for file in sorted(p.name for p in last[0].glob("*.safetensors")):
        first, second = (ckpt.load_tensors(folder / file) for folder in last)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[k], second[k]) for k in first), file
