"""The promise of the loop: killed anywhere, resumed, it ends as if it had never been killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.train_synthesizer import (
    build_system,
    configure,
    train_synthesizer,
)
from flawsmith.experiment.training_data import tile_source, training_datasets
from flawsmith.systems.base import SampleRequest, stack_tiles
from flawsmith.systems.load import load_synthesizer
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import TrainingConfig
from flawsmith.training.logs import read_metrics
from flawsmith.training.loop import Hooks, learning_rate_factor

TINY = ["training.checkpoint_every_images=8", "training.sample_every_images=1000"]


def tiny_config(data: Path, *overrides: str):
    return configure("dbs_gan", "tiny", data, fold=0, overrides=[*TINY, *overrides])


def last_tensors(run: Path):
    folder = ckpt.checkpoints(run)[-1]
    files = sorted(folder.glob("*.safetensors"))
    return {f"{f.stem}/{k}": v for f in files for k, v in ckpt.load_tensors(f).items()}


def assert_equal_runs(one: Path, other: Path):
    first, second = last_tensors(one), last_tensors(other)
    assert first.keys() == second.keys()
    assert len(first) > 20
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def scalars(run: Path):
    return [{k: v for k, v in m.items() if k != "seconds"} for m in read_metrics(run)]


def start(arguments, **environment):
    command = [sys.executable, "-m", "flawsmith", *map(str, arguments)]
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_arguments(data: Path, run: Path, images: int):
    settings = [*TINY, f"training.total_images={images}"]
    flags = [flag for setting in settings for flag in ("--set", setting)]
    return [
        "train",
        "dbs_gan",
        "--data",
        data,
        "--preset",
        "tiny",
        "--fold",
        0,
        "--out",
        run,
        *flags,
    ]


@pytest.mark.parametrize("kills", [2])
def test_killed_run_ends_bit_equal(pouch_folder, tmp_path, kills):
    images = 160
    whole = start(train_arguments(pouch_folder, tmp_path / "whole", images))
    output, _ = whole.communicate(timeout=120)
    assert whole.returncode == 0, output
    run = tmp_path / "killed"
    process = start(train_arguments(pouch_folder, run, images))
    for kill in range(kills):
        wanted = 24 + 48 * kill
        deadline = time.monotonic() + 60
        while not any(int(c.name) >= wanted for c in ckpt.checkpoints(run)):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert int(ckpt.checkpoints(run)[-1].name) < images, "killed too late to show anything"
        process = start(["train", "--resume", run])
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert_equal_runs(tmp_path / "whole", run)
    assert scalars(tmp_path / "whole") == scalars(run)


def test_interrupted_run_saves_and_says_how_to_go_on(pouch_folder, tmp_path):
    run = tmp_path / "run"
    process = start(train_arguments(pouch_folder, run, 100_000))
    while not ckpt.checkpoints(run):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume {run}" in output
    assert "Traceback" not in output


def test_two_processes_equal_one(pouch_folder, tmp_path):
    """No term of this system depends on the rest of its batch: instance norm, per-image means."""
    config = tiny_config(
        pouch_folder, "training.ema_halflife_images=8", "optimizer.learning_rate=1e-3"
    )
    train_synthesizer(config, tmp_path / "one", Hooks(), resume=False)
    port = 29500 + os.getpid() % 400
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_port", str(port), "-m", "flawsmith",
        "train", "dbs_gan", "--data", str(pouch_folder), "--preset", "tiny", "--fold", "0",
        "--out", str(tmp_path / "two"), "--set", "optimizer.learning_rate=1e-3",
        *[f for s in TINY for f in ("--set", s)],
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = load_synthesizer(tmp_path / "one"), load_synthesizer(tmp_path / "two")
    # Images are compared, not weights: Adam turns the rounding error in the gradient of a bias
    # that a norm layer removes into full steps, which change nothing.
    datasets, _ = training_datasets(config.data)
    source = tile_source(datasets, config)
    batch = stack_tiles([source[i] for i in range(4)])
    request = SampleRequest(batch.defects, batch.backgrounds)
    first, second = one.sample(request, batch.seeds).images, two.sample(request, batch.seeds).images
    assert torch.allclose(first, second, atol=2e-3)
    untrained = build_system(config, one.schema).sample(request, batch.seeds).images
    assert (first - untrained).abs().mean() > 20 * (first - second).abs().mean()


def test_loop_stops_when_a_loss_is_no_number(pouch_folder, tmp_path):
    config = tiny_config(pouch_folder, "optimizer.learning_rate=1e30", "training.total_images=64")
    with pytest.raises(FlawsmithError, match="no longer a number"):
        train_synthesizer(config, tmp_path / "run", Hooks(), resume=False)


def test_precision_of_the_first_start_is_kept(pouch_folder, tmp_path):
    config = tiny_config(pouch_folder, 'training.precision="bf16"', "training.channels_last=yes")
    run = tmp_path / "run"
    train_synthesizer(config, run, Hooks(), resume=False)
    state = ckpt.read_state(ckpt.checkpoints(run)[-1])
    assert state["precision"] == {"dtype": "bf16", "channels_last": True}


def test_samples_differ_from_live_weights_when_averaged(pouch_folder, tmp_path):
    run = tmp_path / "run"
    train_synthesizer(tiny_config(pouch_folder), run, Hooks(), resume=False)
    tensors = last_tensors(run)
    live = {k.removeprefix("networks/"): v for k, v in tensors.items() if k.startswith("networks/")}
    average = {k.removeprefix("ema/"): v for k, v in tensors.items() if k.startswith("ema/")}
    assert average.keys() <= live.keys()
    assert any(not torch.equal(live[name], value) for name, value in average.items())


def test_run_folder_tells_everything(pouch_folder, tmp_path):
    run = tmp_path / "run"
    config = tiny_config(pouch_folder, "training.sample_every_images=16")
    train_synthesizer(config, run, Hooks(), resume=False)
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "dataset.toml", "metrics.jsonl", "environment.json"} <= names
    assert [p.name for p in (run / "samples").glob("*.png")] == ["0000000016.png"]
    assert read_metrics(run)[-1]["images"] == 16
    assert json.loads((run / "environment.json").read_text())["precision"] == "fp32, channels first"


def test_learning_rate_follows_its_schedule():
    settings = TrainingConfig(
        tile_size=16, batch_size=10, total_images=100, schedule="cosine", warmup_images=20
    )
    rates = [learning_rate_factor(settings, images) for images in range(0, 100, 10)]
    assert rates[0] == pytest.approx(1 / 3)
    assert rates[1] == pytest.approx(2 / 3)
    assert rates[5] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    constant = settings.model_copy(update={"schedule": "constant", "warmup_images": 0})
    assert learning_rate_factor(constant, 90) == 1.0
    poly = constant.model_copy(update={"schedule": "poly"})
    assert learning_rate_factor(poly, 50) == pytest.approx(0.5**0.9)
