"""A network of segmentation-models-pytorch from training to report; it needs the package."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from flawsmith.data.schema import Schema
from flawsmith.experiment.export import ExportSettings, export_run
from flawsmith.experiment.inspection_model import load_model_config, load_predict
from flawsmith.experiment.report import build_report
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.train_model import configure_model, evaluate_run, train_model
from flawsmith.systems.segmentation import SegmentationTraining
from flawsmith.training.checkpoint import checkpoints, load_tensors
from flawsmith.training.loop import Hooks


def configure(folder, *overrides):
    return configure_model(
        "smp", "tiny", folder, fold=1, synthetic=[], arm=None, overrides=list(overrides)
    )


@contextmanager
def stopped_bar(title, total):
    done = 0

    def advance(count, note=""):
        nonlocal done
        done += count
        if done > 8:  # tiny makes a checkpoint after 8 of its 16 images
            raise ConnectionAbortedError

    yield advance


def test_configuration_without_weights_survives_the_disk(pouch_folder, tmp_path):
    config = configure(pouch_folder)
    assert config.network["weights"] is None
    create_run(tmp_path / "run", config, Schema.load(pouch_folder))
    assert load_model_config(tmp_path / "run") == config


def test_the_encoder_behind_the_adapter_has_its_own_learning_rate(pouch_folder):
    pytest.importorskip("segmentation_models_pytorch")
    config = configure(pouch_folder, "optimizer.encoder_share=0.1")
    rest, encoder = SegmentationTraining(config, Schema.load(pouch_folder)).optimizer.param_groups
    assert encoder["lr"] == pytest.approx(0.1 * rest["lr"])
    assert len(encoder["params"]) > len(rest["params"])


def test_trains_goes_on_tests_reports_and_exports(pouch_folder, tmp_path):
    pytest.importorskip("segmentation_models_pytorch")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_model(configure(pouch_folder), whole, Hooks(), resume=False)
    with pytest.raises(ConnectionAbortedError):
        train_model(configure(pouch_folder), stopped, Hooks(progress=stopped_bar), resume=False)
    assert [int(found.name) for found in checkpoints(stopped)] == [8]
    train_model(load_model_config(stopped), stopped, Hooks(), resume=True)
    first, second = (
        load_tensors(checkpoints(run)[-1] / "networks.safetensors") for run in (whole, stopped)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    evaluation = evaluate_run(stopped, Hooks())
    assert evaluation.model == "smp"
    assert len(evaluation.classes) == 6
    image = np.random.default_rng(0).integers(0, 255, (70, 150), np.uint8)
    assert load_predict(stopped)(image).shape == (7, 70, 150)
    build_report([stopped], tmp_path / "report.html")
    assert "smp" in (tmp_path / "report.html").read_text(encoding="utf-8")
    tile = load_model_config(stopped).training.tile_size
    settings = ExportSettings(precision="fp32", threads=1, window=tile)
    assert export_run(stopped, tmp_path / "exported", settings).card.check.flipped == []
