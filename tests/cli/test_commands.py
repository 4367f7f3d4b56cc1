"""The installed command, as a user types it: the main job in small, and what it says when wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith.cli import VERBS
from flawsmith.cli.info import START_WITH
from flawsmith.data.dataset import DefectDataset
from flawsmith.systems import SYSTEMS

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
MINI = ["--set", "training.total_images=16"]


def flawsmith(*arguments, status=0, cwd=None):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True, text=True, timeout=240, cwd=cwd, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_main_job_end_to_end(pouch_folder, tmp_path):
    gan, synthetic, real, mixed, rules = (
        tmp_path / name for name in ("gan", "synthetic", "real", "mixed", "rules")
    )
    tiny = ["--data", pouch_folder, "--preset", "tiny", *MINI]
    assert "next: flawsmith synthesize" in flawsmith("train", "dbs_gan", *tiny, "--out", gan).stdout
    flawsmith("synthesize", gan, "--data", pouch_folder, "--balance", "--per-class", 8,
              "--out", synthetic)  # fmt: skip
    made = DefectDataset.open(synthetic)
    used = {record.file_name for record in DefectDataset.open(pouch_folder) if record.fold != 0}
    assert len(made) > 10
    assert all(record.parents and set(record.parents) <= used for record in made)
    flawsmith("model", "train", *tiny, "--out", real)
    flawsmith("model", "train", *tiny, "--synthetic", synthetic, "--out", mixed)
    flawsmith("model", "train", "--data", pouch_folder, "--network", "machine_vision",
              "--preset", "tiny", "--out", rules)  # fmt: skip
    for run in (real, mixed, rules):
        output = flawsmith("model", "test", run).stdout
        assert "defective parts missed" in output
    page = tmp_path / "report.html"
    flawsmith("report", rules, real, mixed, "--synthesizer", gan, "--synthetic", synthetic,
              "--out", page)  # fmt: skip
    text = page.read_text()
    assert "simulated" in text.lower()
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers
    arms = [json.loads((run / "evaluation.json").read_text())["arm"] for run in (real, mixed)]
    assert arms == ["real", "dbs_gan"]


def test_dry_run_prints_everything_and_makes_nothing(pouch_folder, tmp_path):
    out = flawsmith(
        "train", "dbs_gan", "--data", pouch_folder, "--preset", "tiny", "--dry-run", cwd=tmp_path
    ).stdout
    for word in ("weight_rec", "learning_rate", "generator:", "parameters", "GiB", "estimated"):
        assert word in out
    out = flawsmith(
        "model", "train", "--data", pouch_folder, "--preset", "tiny", "--dry-run", cwd=tmp_path
    ).stdout
    assert "segmenter: 3,3" in out
    assert not any(tmp_path.iterdir())


def test_a_drawing_becomes_an_image(pouch_folder, tmp_path):
    import numpy as np

    from flawsmith.data.dataset import LabelMap
    from flawsmith.data.latent import write_painting

    gan = tmp_path / "gan"
    flawsmith("train", "dbs_gan", "--data", pouch_folder, "--preset", "tiny", *MINI, "--out", gan)
    defects = np.zeros((50, 70), np.uint8)
    defects[10:30, 20:40] = 3
    schema = DefectDataset.open(pouch_folder).schema
    write_painting(tmp_path / "d.png", LabelMap(defects, np.zeros_like(defects)), schema)
    flawsmith("synthesize", gan, "--mask", tmp_path / "d.png", "--count", 2, "--out",
              tmp_path / "painted")  # fmt: skip
    made = DefectDataset.open(tmp_path / "painted")
    assert len(made) == 2
    assert (made.records[0].height, made.records[0].width) == (50, 70)
    assert np.array_equal(made.label_map(made.records[0]).defects, defects)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "dbs_gann", "--data", "DATA"], ["no system 'dbs_gann'", "'dbs_gan'"]),
        (["train", "dbs_gan", "--data", "nowhere"], ["nowhere", "no defect data set"]),
        (["train", "dbs_gan", "--data", "DATA", "--preset", "smal"], ["'small'"]),
        (
            ["train", "dbs_gan", "--data", "DATA", "--set", "training.batchsize=4"],
            ["training.batchsize", "'batch_size'"],
        ),
        (
            ["train", "dbs_gan", "--data", "DATA", "--set", "training.batch_size=-1"],
            ["training.batch_size", "-1"],
        ),
        (["train", "dbs_gan", "--data", "DATA", "--set", "nonsense"], ["key=value"]),
        (["train", "dbs_gan", "--data", "DATA", "--fold", "9"], ["fold 9", "[0, 1, 2]"]),
        (
            ["train", "dbs_gan", "--data", "DATA", "--set", "training.tile_size=100"],
            ["multiple", "16"],
        ),
        (
            ["train", "stargan", "--data", "DATA", "--set", "training.tile_size=100"],
            ["error: stargan small: training.tile_size 100 cannot be halved"],
        ),
        (
            ["train", "stylegan2", "--data", "DATA", "--preset", "tiny",
             "--set", "training.tile_size=144"],
            ["cannot make images of 144 px"],
        ),
        (["train", "--resume", "nowhere"], ["nowhere", "no run folder"]),
        (["train"], ["needs a system and --data"]),
        (["model", "train", "--data", "DATA", "--network", "unet"], ["unet"]),
        (["model", "train"], ["needs --data"]),
        (["model", "test", "nowhere"], ["nowhere", "no run folder"]),
        (["report", "nowhere"], ["nowhere"]),
        (["start", "nowhere"], ["nowhere"]),
    ],
)  # fmt: skip
def test_wrong_use_has_one_message_and_status_two(pouch_folder, tmp_path, arguments, words):
    given = [str(pouch_folder) if a == "DATA" else a for a in arguments]
    done = flawsmith(*given, status=2, cwd=tmp_path)
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert not any(tmp_path.iterdir()), "something was half-written"


def test_a_run_is_not_overwritten(pouch_folder, tmp_path):
    tiny = ["--data", pouch_folder, "--preset", "tiny", *MINI, "--out", tmp_path / "run"]
    flawsmith("train", "dbs_gan", *tiny)
    done = flawsmith("train", "dbs_gan", *tiny, status=2)
    assert "holds a run already" in done.stderr
    assert "--resume" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb):
    assert "Usage" in flawsmith(verb, "--help").stdout


def test_info_names_systems_and_formats():
    output = flawsmith("info").stdout
    for word in ("dbs_gan", "fc_hardnet70", "labelme", "coco", "torch"):
        assert word in output


def test_info_says_what_to_start_with():
    text = " ".join(flawsmith("info").stdout.split())
    assert f"To start with: {', '.join(START_WITH)}" in text
    assert all(name in SYSTEMS for name in START_WITH)
