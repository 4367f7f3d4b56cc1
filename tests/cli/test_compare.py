"""``flawsmith compare`` as a user types it: the plan, wrong inputs, joining."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith.cli import build_app
from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.errors import FlawsmithError

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
SMALL = ["--preset", "tiny", "--model", "fc_hardnet70", "--seeds", "1", "--per-class", "12"]


def typed(*arguments):
    build_app()(["compare", *map(str, arguments)], standalone_mode=False)


def test_plan_prints_every_step_and_writes_nothing(pouch_folder, tmp_path):
    done = subprocess.run(
        [COMMAND, "compare", str(pouch_folder), "--out", str(tmp_path / "c"), *SMALL, "--system",
         "dcgan", "--system", "copy_paste", "--minutes", "2", "--plan"],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    titles = [line.split(". ", 1)[1].rsplit(":", 1)[0] for line in lines[:11]]
    assert titles == [
        "real: train and test fc_hardnet70, seed 0",
        "machine_vision: fit and test fixed rules",
        "dcgan: time some steps, to fix the images of its budget",
        "dcgan: train",
        "dcgan: make the balanced set",
        "dcgan: compare its images with held-out real ones",
        "dcgan: train and test fc_hardnet70, seed 0",
        "copy_paste: train",
        "copy_paste: make the balanced set",
        "copy_paste: compare its images with held-out real ones",
        "copy_paste: train and test fc_hardnet70, seed 0",
    ]
    assert lines[3].endswith("dcgan: train: 2.0 minutes (estimated)")
    assert "2 minutes of training for every system that learns, 32 px" in done.stdout
    assert done.stdout.rstrip().endswith("nothing was written")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--system", "dcgam"], "there is no system 'dcgam'; did you mean 'dcgan'"),
        (["--minutes", "5", "--images", "10"], "give one of --minutes and --images"),
        (["--minutes", "0"], "'minutes' = 0"),
        (["--images", "0"], "'images' = 0"),
        (["--hours", "0"], "--hours 0: expected a time above 0"),
        (["--fold", "7"], "there is no fold 7"),
        (["--model", "patchcor"], "--model patchcor"),
        (["--per-class", "1"], "--per-class 1: no class needs synthetic images"),
        (["--system-set", "dcgan.training.total_images=9"], "every system has the same budget"),
        (["--system-set", "stargan.training.seed=1"], "expected NAME.key=value with one of dcgan"),
        (["--system-set", "dcgan"], "expected NAME.key=value"),
        (["--system-set", "dcgan.training.tile_size=64"], "compared at one resolution"),
        (["--system-set", "dcgan.training.seeds=1"], "training.seeds"),
    ],
)
def test_wrong_options_say_what_was_expected(pouch_folder, tmp_path, given, message):
    systems = [] if "--system" in given else ["--system", "dcgan", "--system", "copy_paste"]
    with pytest.raises(FlawsmithError) as error:
        typed(pouch_folder, "--out", tmp_path / "c", "--preset", "tiny", *systems, *given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "c").exists()


def test_several_data_sets_need_join(pouch_folder, tmp_path):
    with pytest.raises(FlawsmithError, match="--join takes several"):
        typed(pouch_folder, pouch_folder, "--out", tmp_path / "c")
    with pytest.raises(FlawsmithError, match=r"expected a compare\.json"):
        typed("--join", pouch_folder, "--out", tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_data_without_masks_are_refused(pouch_folder, tmp_path):
    shutil.copytree(pouch_folder, tmp_path / "data")
    dataset = DefectDataset.open(tmp_path / "data")
    records = [r.model_copy(update={"mask_file_name": None}) for r in dataset]
    write_metadata(dataset.root / METADATA_FILE, records)
    with pytest.raises(FlawsmithError, match=r"are for whole images; .* flawsmith benefit "):
        typed(tmp_path / "data", "--out", tmp_path / "c", "--preset", "tiny", "--system", "dcgan")
