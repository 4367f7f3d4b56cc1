"""What the systems that translate surfaces keep beside their weights: images seen and history."""

import shutil

import pytest
import torch

from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.systems import SYSTEMS
from flawsmith.systems.translation import TranslationSystem
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.loop import Hooks

NAMES = [name for name, system in SYSTEMS if issubclass(system, TranslationSystem)]


def last_tensors(run):
    folder = ckpt.checkpoints(run)[-1]
    files = sorted(folder.glob("*.safetensors"))
    return {f"{f.stem}/{k}": v for f in files for k, v in ckpt.load_tensors(f).items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_goes_on_ends_bit_equal(name, pouch_folder, tmp_path):
    sheets = ["training.sample_every_images=1000"]
    config = configure(name, "tiny", pouch_folder, fold=0, overrides=sheets)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_synthesizer(config, whole, Hooks(), resume=False)
    shutil.copytree(whole, killed)
    saved = ckpt.checkpoints(killed)
    assert [int(folder.name) for folder in saved] == [8, 16]
    shutil.rmtree(saved[-1])
    train_synthesizer(config, killed, Hooks(), resume=True)
    first, second = last_tensors(whole), last_tensors(killed)
    assert first.keys() == second.keys()
    assert int(first["networks/seen.images"]) == 16
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
