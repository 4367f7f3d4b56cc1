"""``flawsmith start`` on folders called after classes, as a user types it: no image has a mask."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.start import StartChoices
from flawsmith.experiment.start import start as run_start
from flawsmith.models import efficientnet_lite0
from flawsmith.training.loop import Hooks

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


@pytest.fixture(scope="module")
def class_folders(labels_only_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the data set without masks in one folder a class."""
    root = tmp_path_factory.mktemp("mine") / "cells"
    for record in DefectDataset.open(labels_only_folder):
        folder = root / (record.labels[0] if record.labels else "good")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(labels_only_folder / record.file_name, folder)
    return root


def words_of(page: Path) -> str:
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def test_labels_of_whole_images_give_two_classifiers_and_a_report(class_folders, tmp_path):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    out = tmp_path / "out"
    words = ["start", class_folders, "--out", out, "--preset", "tiny", "--folds", 2]
    done = subprocess.run(
        [COMMAND, *map(str, words)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    said = " ".join(done.stdout.split())
    assert "no image has an outlined defect: the labels are taken for whole images" in said
    assert "a model says what an image shows, not where" in said
    assert "copy-paste is left out: it cuts defects out by their masks" in said
    assert "only the last layer learns" in said
    runs = sorted(folder.name for folder in (out / "runs").iterdir())
    assert runs == ["cnn_classifier", "efficientnet_classifier"]
    frozen = (out / "runs" / "efficientnet_classifier" / "config.toml").read_text()
    assert 'encoder = "frozen"' in frozen
    numbers = json.loads((out / "report.json").read_text())
    assert numbers["level"] == "image"
    assert [arm["model"] for arm in numbers["arms"]] == runs
    assert numbers["has_good"]
    assert numbers["synthetic"] is None
    text = words_of(out / "report.html")
    assert "the pretrained network" in text
    assert "defective parts missed" in text
    assert "What the model looked at" in text
    assert "what speaks for" in text
    assert "IoU" not in text


def test_one_network_may_be_chosen_and_every_image_may_be_defective(class_folders, tmp_path):
    folder = tmp_path / "defects"
    shutil.copytree(class_folders, folder, ignore=shutil.ignore_patterns("good"))
    out = tmp_path / "out"
    choices = StartChoices(preset="tiny", folds=2, network="cnn_classifier", copy_paste=False)
    told: list[str] = []
    run_start(folder, out, choices, PlantAssumptions(), Hooks(report=told.append), told.append)
    assert "copy-paste is left out" not in " ".join(told)
    assert [path.name for path in (out / "runs").iterdir()] == ["cnn_classifier"]
    text = words_of(out / "report.html")
    assert "parts classified wrongly." in text
    assert "Every tested part is defective." in text
    assert "a model that rejects everything would miss none" in text
    assert "Good parts rejected" not in text


def test_a_network_that_needs_masks_is_refused(class_folders, tmp_path):
    choices = StartChoices(preset="tiny", folds=2, network="efficientnet_lite0")
    told: list[str] = []
    with pytest.raises(FlawsmithError, match=r"learns from masks.*efficientnet_classifier"):
        run_start(
            class_folders, tmp_path / "out", choices, PlantAssumptions(), Hooks(), told.append
        )
    assert not (tmp_path / "out" / "runs").exists()
