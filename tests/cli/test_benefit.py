"""``flawsmith benefit`` as a user types it: killed and gone on with, planned, and wrong inputs."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flawsmith.cli import build_app
from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.errors import FlawsmithError

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
SMALL = ["--preset", "tiny", "--model", "fc_hardnet70", "--amount", "0.25",
         "--schedule", "mixed", "--per-class", "2", "--fold", "0",
         "--set", "training.total_images=32",
         "--set", "training.validate_every_images=32"]  # fmt: skip


def flawsmith(*arguments, status=0):
    done = subprocess.run(
        [COMMAND, "benefit", *map(str, arguments)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def lines(folder):
    """The ledger without what depends on the clock."""
    found = [json.loads(text) for text in (folder / "ledger.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "config")} for line in found]


def test_killed_and_gone_on_with_equals_uninterrupted(pouch_folder, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    text = flawsmith(pouch_folder, "--out", whole, *SMALL).stdout
    assert "do not add synthetic images" in text
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [COMMAND, "benefit", str(pouch_folder), "--out", str(killed), *SMALL],
            stdout=log, stderr=log,
        )  # fmt: skip
        end = time.monotonic() + 120
        while not list(killed.glob("runs/copy_paste-fold0-fc_hardnet70*/checkpoints/[0-9]*")):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(lines(killed)) == 1
    again = flawsmith(pouch_folder, "--out", killed, *SMALL).stdout
    assert "goes on after" in again
    assert "real, fold 0: train" not in again
    assert lines(killed) == lines(whole)
    first, second = (json.loads((f / "benefit.json").read_text()) for f in (whole, killed))
    assert first["comparisons"] == second["comparisons"]
    assert first["verdict"] == second["verdict"]


def test_plan_prints_runs_and_writes_nothing(pouch_folder, tmp_path):
    text = flawsmith(pouch_folder, "--out", tmp_path / "b", *SMALL, "--plan").stdout
    assert "1. real, fold 0: train and test fc_hardnet70, seed 0" in text
    assert "nothing was written" in text
    assert not list(tmp_path.iterdir())


def test_plan_of_an_amount_for_each_class_tries_real_images_alone_too(pouch_folder, tmp_path):
    given = ["--preset", "tiny", "--model", "fc_hardnet70", "--fold", "0", "--each-class"]
    text = flawsmith(pouch_folder, "--out", tmp_path / "b", *given, "--plan").stdout
    assert "real, fold 0: try without synthetic images (fc_hardnet70)" in text
    assert text.count("try amount") == 4
    assert text.count("try best amount") == 2


def test_wrong_option_ends_with_one_message(pouch_folder, tmp_path):
    out = tmp_path / "b"
    done = flawsmith(pouch_folder, "--out", out, "--hours", "0", status=2)
    assert done.stderr == "error: --hours 0: expected a time above 0, such as 3\n"
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--hours", "-1"], "--hours -1: expected a time above 0"),
        (["--arm", "dbs_gam"], "there is no system 'dbs_gam'; did you mean 'dbs_gan'"),
        (["--model", "patchcor"], "--model patchcor"),
        (["--amount", "1.5"], "'amounts.0' = '1.5'"),
        (["--amount", "groove=0"], "'class_amounts.groove' = '0'"),
        (["--amount", "groove=0.5", "--amount", "groove=0.2"], "a class has one amount"),
        (["--amount", "dent=0.5"], "'dent' is no defect"),
        (["--amount", "groove=0.5", "--amount", "0.5"], "exclude each other"),
        (["--amount", "groove=0.5", "--each-class"], "do one of both"),
        (["--schedule", "last"], "'schedules.0' = 'last'"),
        (["--fold", "7"], "there is no fold 7"),
        (["--curve", "0.5,2"], "--curve 0.5,2: expected shares"),
        (["--curve", "half"], "--curve half: expected shares"),
        (
            ["--select", "dbs_gan"],
            "--select dbs_gan: no arm of this test with synthetic images; it has copy_paste",
        ),
        (["--select", "real"], "--select real: no arm of this test"),
        (["--synthetic", "nowhere"], "nowhere has no synthesis.json"),
    ],
)
def test_wrong_options_say_what_was_expected(pouch_folder, tmp_path, given, message):
    out = tmp_path / "b"
    arguments = ["benefit", str(pouch_folder), "--out", str(out), "--preset", "tiny", *given]
    with pytest.raises(FlawsmithError) as error:
        build_app()(arguments, standalone_mode=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_data_without_folds_are_refused(pouch_folder, tmp_path):
    shutil.copytree(pouch_folder, tmp_path / "data")
    dataset = DefectDataset.open(tmp_path / "data")
    records = [r.model_copy(update={"fold": None}) for r in dataset]
    write_metadata(dataset.root / METADATA_FILE, records)
    done = flawsmith(tmp_path / "data", "--out", tmp_path / "b", status=2)
    assert "flawsmith data split" in done.stderr
