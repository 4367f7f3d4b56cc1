"""PatchCore as an inspection model: good images in, verdicts on parts out."""

import cv2
import numpy as np
import pytest
import torch

from flawsmith.data.dataset import DefectDataset
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import AnyDefect, encoder_features
from flawsmith.experiment.inspection_model import load_model_config, load_predict
from flawsmith.experiment.train_model import configure_model, evaluate_run, train_model
from flawsmith.inspection.patchcore import PatchCore
from flawsmith.models import efficientnet_lite0
from flawsmith.training.loop import Hooks


def configure(folder, *overrides):
    return configure_model(
        "patchcore", "tiny", folder, fold=1, synthetic=[], arm=None, overrides=list(overrides)
    )


@pytest.fixture(scope="module")
def run(pouch_folder, tmp_path_factory):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    run = tmp_path_factory.mktemp("runs") / "patchcore"
    train_model(configure(pouch_folder), run, Hooks(), resume=False)
    return run


@pytest.fixture(scope="module")
def evaluation(run):
    return evaluate_run(run, Hooks())


def test_configuration_is_complete_and_checked(run, pouch_folder):
    config = load_model_config(run)
    assert config.arm == "patchcore"
    assert config.network["bank_size"] == 50
    assert len(PatchCore.load(run / "patchcore.npz").bank) == 50
    with pytest.raises(FlawsmithError, match="did you mean 'bank_size'"):
        configure(pouch_folder, "network.banksize=3")
    with pytest.raises(FlawsmithError, match="odd"):
        configure(pouch_folder, "network.window=4")


def test_scores_are_good_and_anomalous_without_the_package(run, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package_of_weights")
    image = np.random.default_rng(0).integers(0, 255, (70, 150), np.uint8)
    scores = load_predict(run)(image)
    assert scores.shape == (2, 70, 150)
    np.testing.assert_allclose(scores.sum(axis=0), 1.0, atol=1e-6)
    assert scores.min() >= 0


def test_parts_have_verdicts_and_classes_have_no_figures(evaluation, pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    tested = {r.part for r in dataset if r.fold == 1}
    assert {part.part for part in evaluation.parts} == tested
    assert evaluation.classes == []
    assert evaluation.macro_iou is None
    assert 0 <= evaluation.part_auroc <= 1
    for part in evaluation.parts:
        assert (part.verdict == "FAIL") == (part.score >= 0.5)
        assert part.counts == {}
    labels = {label for part in evaluation.parts for label in part.labels}
    assert labels <= set(dataset.schema.defect_names)
    assert evaluation.data_fingerprint == dataset.fingerprint()
    assert set(evaluation.composition) == {"real"}
    assert set(evaluation.composition["real"]) == {"good"}


def test_heat_maps_belong_to_their_images(evaluation, run):
    dataset = DefectDataset.open(load_model_config(run).data.path)
    predict = load_predict(run)
    names = sorted(evaluation.predictions)
    for record in (r for r in dataset if r.file_name in (names[0], names[-1])):
        name = evaluation.predictions[record.file_name].replace("predictions", "heat_maps")
        written = cv2.imread(str(run / name), cv2.IMREAD_GRAYSCALE)
        expected = np.round(predict(dataset.image(record))[1] * 255)
        np.testing.assert_allclose(written, expected, atol=1)


def test_all_defects_are_one_and_ignored_pixels_stay(pouch_folder):
    dataset = DefectDataset.open(pouch_folder)
    merged = AnyDefect(dataset)
    assert merged.schema.defect_names == ["anomaly"]
    for record in dataset.records[:20]:
        before, after = dataset.label_map(record).defects, merged.label_map(record).defects
        assert np.array_equal(after == 1, (before > 0) & (before < 255))
        assert np.array_equal(after == 255, before == 255)


def test_features_are_the_maps_at_strides_8_and_16():
    encoder = efficientnet_lite0.EfficientNetLite0().eval()
    tiles = np.random.default_rng(0).standard_normal((2, 64, 96, 3)).astype(np.float32)
    found = encoder_features(encoder)(tiles)
    assert [m.shape for m in found] == [(2, 8, 12, 40), (2, 4, 6, 112)]
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(tiles.transpose(0, 3, 1, 2).copy()))[2:4]
    for maps, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(maps, wanted.permute(0, 2, 3, 1).numpy())


def test_without_good_validation_parts_it_says_so(pouch_folder, tmp_path):
    config = configure(pouch_folder, "data.validation_share=0")
    with pytest.raises(FlawsmithError, match="validation_share"):
        train_model(config, tmp_path / "run", Hooks(), resume=False)


def test_too_few_good_validation_parts_are_reported(pouch_folder, tmp_path):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    lines = []
    train_model(configure(pouch_folder), tmp_path / "a", Hooks(report=lines.append), resume=False)
    assert len(lines) == 1
    assert "2 good validation parts: too few to promise 5% overkill, which takes 19" in lines[0]
    enough = configure(pouch_folder, "network.overkill=0.4")
    train_model(enough, tmp_path / "b", Hooks(report=lines.append), resume=False)
    assert len(lines) == 1
