"""Classification of whole images, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flawsmith.models import efficientnet_lite0

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


def flawsmith(*arguments, status=0):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_labels_of_whole_images_train_and_test_a_classifier(labels_only_folder, tmp_path):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    run = tmp_path / "run"
    said = flawsmith(
        "model", "train", "--data", labels_only_folder, "--preset", "tiny", "--out", run
    ).stdout
    assert "next: flawsmith model test" in said
    said = " ".join(flawsmith("model", "test", run).stdout.split())
    for words in ("efficientnet_classifier", "defective parts missed", "macro F1", "recall",
                  "macro balanced accuracy", "what it looked at"):  # fmt: skip
        assert words in said
    values = json.loads((run / "evaluation.json").read_text())
    assert values["level"] == "image"
    assert values["model"] == "efficientnet_classifier"
    assert all((run / activation["picture"]).is_file() for activation in values["activations"])


def test_dry_run_shows_the_classifier_and_makes_nothing(labels_only_folder, tmp_path):
    out = tmp_path / "run"
    said = flawsmith("model", "train", "--data", labels_only_folder, "--preset", "tiny",
                     "--network", "cnn_classifier", "--dry-run", "--out", out).stdout  # fmt: skip
    for words in ("classifier: 211,", "smoothing", "good_share", "estimated"):
        assert words in said
    assert not out.exists()


def test_a_wrong_network_for_the_labels_says_what_to_do(labels_only_folder, pouch_folder, tmp_path):
    def refused(data, network):
        done = flawsmith("model", "train", "--data", data, "--network", network, "--preset",
                         "tiny", "--out", tmp_path / "run", status=2)  # fmt: skip
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "run").exists()
        return done.stderr

    for network in ("efficientnet_lite0", "machine_vision"):
        said = refused(labels_only_folder, network)
        assert "--network efficientnet_classifier or cnn_classifier" in said
    assert "--set data.labels=image" in refused(pouch_folder, "cnn_classifier")
