"""``flawsmith select`` as a user types it, with a tiny model, and its page in a browser."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset
from flawsmith.experiment.inspection_model import InspectionModel, load_predict, load_predict_many
from flawsmith.experiment.train_model import configure_model, train_model
from flawsmith.experiment.training_data import training_datasets
from flawsmith.training.loop import Hooks

COMMAND = str(Path(sys.executable).with_name("flawsmith"))


def flawsmith(*arguments, status=0):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def train(data, run, *, synthetic=()):
    config = configure_model(
        "fc_hardnet70", "tiny", data, fold=1, synthetic=list(synthetic), arm=None,
        overrides=["training.total_images=16"],
    )  # fmt: skip
    train_model(config, run, Hooks(), resume=False)
    return config


def write_made(folder, dataset, records):
    with DatasetWriter(folder, dataset.schema) as writer:
        for i, record in enumerate(records):
            writer.add(
                f"s{i}", dataset.image(record), dataset.label_map(record), part=f"s{i}",
                source="synthetic", system="dbs_gan", parents=[record.file_name],
            )  # fmt: skip
    plan = dict.fromkeys(dataset.schema.defect_names, 9)
    settings = {
        "run": "gan", "checkpoint": "16", "system": "dbs_gan", "fold": 1, "seed": 0,
        "plan": plan, "max_defects": 1, "tile_size": 64, "data": dataset.fingerprint(),
    }  # fmt: skip
    (folder / "synthesis.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def folders(pouch_folder, tmp_path_factory):
    """A model of real images, a set of their copies, and what the command makes of them."""
    base = tmp_path_factory.mktemp("select")
    config = train(pouch_folder, base / "real")
    dataset = DefectDataset.open(pouch_folder)
    training = [r for r in training_datasets(config.data)[0][0] if r.labels]
    write_made(base / "made", dataset, training)
    done = flawsmith("select", base / "made", "--model", base / "real", "--no-copies")
    return base, done.stdout


def test_select_splits_a_set_that_trains_again(folders, pouch_folder):
    base, printed = folders
    out = base / "made-selected"
    numbers = json.loads((out / "selection.json").read_text())
    made = DefectDataset.open(base / "made")
    accepted, rejected = (DefectDataset.open(out / n) for n in ("accepted", "rejected"))
    assert len(accepted) + len(rejected) == len(made) == numbers["accepted"]["total"]
    assert 0 < len(accepted) == numbers["accepted"]["count"]
    for image in numbers["images"]:
        assert image["reasons"] == [] or image["file_name"] in {r.file_name for r in rejected}
    assert f"({len(accepted)} of {len(made)})" in printed
    assert "flawsmith benefit" in printed
    train(pouch_folder, base / "again", synthetic=[out / "accepted"])
    composition = json.loads((base / "again" / "composition.json").read_text())
    assert sum(composition["synthetic"].values()) >= len(accepted)


def test_selected_sets_are_arms_of_the_benefit_test(folders, pouch_folder, tmp_path):
    base, _ = folders
    done = flawsmith(
        "benefit", pouch_folder, "--synthetic", f"all={base / 'made'}", "--synthetic",
        f"mine={base / 'made-selected' / 'accepted'}", "--select", "all", "--out", tmp_path / "b",
        "--plan", "--preset", "tiny", "--amount", "0.5", "--schedule", "mixed", "--fold", "1",
    )  # fmt: skip
    titles = [line.split(": ", 1)[0].split(". ", 1)[1] for line in done.stdout.splitlines()[:-1]]
    arms = ["real", *["copy_paste"] * 3, "all", "mine", "all_selected", "all_selected"]
    assert titles == [f"{arm}, fold 1" for arm in arms]


def test_batches_give_the_scores_of_single_images(folders, pouch_folder):
    base, _ = folders
    dataset = DefectDataset.open(pouch_folder)
    size = InspectionModel.load(base / "real").tile_size
    images = [dataset.image(r)[:size, :size] for r in dataset.records[:5]]
    predict, many = load_predict(base / "real"), load_predict_many(base / "real")
    for image, scores in zip(images, many(images), strict=True):
        assert np.allclose(predict(image), scores, atol=1e-5)
    mixed = many([images[0], dataset.image(dataset.records[0])])
    assert mixed[1].shape[1:] == dataset.image(dataset.records[0]).shape[:2]


def test_page_is_one_file_and_renders(folders, photograph):
    base, _ = folders
    page = base / "made-selected" / "selection.html"
    text = page.read_text()
    assert "<script" not in text
    assert "Simulated" in text
    pixels = photograph(page, 2000)
    assert pixels[1200:].mean(axis=2).std() > 20, "the sheets are not drawn"


def test_wrong_use_has_one_message(folders, pouch_folder):
    base, _ = folders
    for arguments, said in (
        ((), "needs --model"),
        (("--model", base / "real"), "made-selected"),
        (("--model", base / "real", "--out", base / "new", "--quantile", "0.7"), "--quantile 0.7"),
    ):
        done = flawsmith("select", base / "made", *arguments, status=2)
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (base / "new").exists()
