from collections import Counter

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.inspection_model import InspectionModel, load_thresholds
from flawsmith.experiment.train_model import configure_model, evaluate_run, train_model
from flawsmith.experiment.training_data import (
    held_out_records,
    spread_over_classes,
    training_records,
)
from flawsmith.training.checkpoint import checkpoints, load_tensors, read_state
from flawsmith.training.logs import read_metrics
from flawsmith.training.loop import Hooks


def train_tiny(folder, run, *overrides):
    config = configure_model(
        "fc_hardnet70", "tiny", folder, fold=1, synthetic=[], arm=None,
        overrides=["training.total_images=32", *overrides],
    )  # fmt: skip
    train_model(config, run, Hooks(), resume=False)
    return run


@pytest.fixture(scope="module")
def trained(pouch_folder, tmp_path_factory):
    return train_tiny(pouch_folder, tmp_path_factory.mktemp("runs") / "real")


def held(run, file):
    """Whether the model of a run has the weights of a file."""
    tensors = load_tensors(file)
    weights = InspectionModel.load(run).training.segmenter.state_dict()
    return all(np.array_equal(weights[k], tensors[f"segmenter.{k}"]) for k in weights)


def test_weights_of_a_falling_rate_are_the_last_averages(trained):
    values = [m["val/macro_iou"] for m in read_metrics(trained) if "val/macro_iou" in m]
    assert len(values) == 4
    assert not (trained / "best.safetensors").exists()
    assert held(trained, checkpoints(trained)[-1] / "ema.safetensors")
    assert len(load_thresholds(trained).pixel) == 6


def test_weights_of_a_constant_rate_are_the_best_by_validation(pouch_folder, tmp_path):
    run = train_tiny(pouch_folder, tmp_path / "run", 'training.schedule="constant"')
    values = {m["images"]: m["val/macro_iou"] for m in read_metrics(run) if "val/macro_iou" in m}
    assert held(run, run / "best.safetensors")
    best = read_state(checkpoints(run)[-1])["progress"]["best_images"]
    assert values[best] == max(values.values())


def test_scores_of_a_whole_image_are_probabilities(trained, pouch_folder):
    model = InspectionModel.load(trained)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (70, 150), np.uint8)
    scores = model.predict(image)
    assert scores.shape == (7, 70, 150)
    assert scores.dtype == np.float32
    assert np.allclose(scores.sum(axis=0), 1.0, atol=1e-4)


def test_no_part_of_the_test_fold_is_trained_on(trained, pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    config = configure_model(
        "fc_hardnet70", "tiny", pouch_folder, fold=1, synthetic=[], arm=None, overrides=[]
    )
    train, validation = training_records(dataset, config.data)
    test = held_out_records(dataset, 1)
    parts = [{record.part for record in records} for records in (train, validation, test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_test_writes_figures_and_predictions(trained, pouch_folder):
    evaluation = evaluate_run(trained, Hooks())
    test = held_out_records(DefectDataset.open(pouch_folder), 1)
    assert evaluation.images == len(test)
    assert evaluation.arm == "real"
    assert evaluation.simulated
    assert evaluation.data == str(pouch_folder)
    assert set(evaluation.predictions) == {record.file_name for record in test}
    assert all((trained / name).is_file() for name in evaluation.predictions.values())
    with pytest.raises(FlawsmithError, match="only fold 1 can test it"):
        evaluate_run(trained, Hooks(), fold=0)


def test_synthetic_images_of_held_out_parts_are_refused(pouch_folder, tmp_path):
    from flawsmith.data.dataset import DatasetWriter

    dataset = DefectDataset.open(pouch_folder)
    stolen = next(r for r in held_out_records(dataset, 1) if r.labels)
    with DatasetWriter(tmp_path / "synthetic", dataset.schema) as writer:
        writer.add(
            "one", dataset.image(stolen), dataset.label_map(stolen), part="synthetic-1",
            source="synthetic", parents=[stolen.file_name], system="dbs_gan",
        )  # fmt: skip
    config = configure_model(
        "fc_hardnet70", "tiny", pouch_folder, fold=1, synthetic=[tmp_path / "synthetic"],
        arm=None, overrides=[],
    )  # fmt: skip
    assert config.arm == "dbs_gan"
    with pytest.raises(FlawsmithError, match="kept for test or validation"):
        train_model(config, tmp_path / "run", Hooks(), resume=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "images", [[30] * 6, [30] * 7, [1] * 90, [6] * 5 + [1] + [6] * 5, [300, 2, 1]]
)
def test_images_looked_at_show_every_class_or_classes_from_first_to_last(images):
    records = [
        ImageRecord(
            file_name=f"{c:02}-{i:03}.png",
            sha256="0" * 64,
            part=f"{c}-{i}",
            height=8,
            width=8,
            labels=[f"defect {c:02}"],
        )
        for c, count in enumerate(images)
        for i in range(count)
    ]
    chosen = spread_over_classes(records, 60)
    names = [record.file_name for record in chosen]
    assert names == sorted(set(names))
    assert len(names) == min(60, sum(min(count, -(-60 // len(images))) for count in images))
    counts = Counter(record.labels[0] for record in chosen)
    assert len(counts) == min(len(images), 60)
    assert {"defect 00", f"defect {len(images) - 1:02}"} <= set(counts)
    fullest = max(counts.values())
    assert all(n >= min(fullest - 1, images[int(name[-2:])]) for name, n in counts.items())
