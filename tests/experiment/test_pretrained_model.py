"""An inspection model on a pretrained encoder, from configuration to scores."""

import numpy as np
import pytest

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.inspection_model import InspectionModel, load_model_config
from flawsmith.experiment.train_model import configure_model, train_model
from flawsmith.models import efficientnet_lite0
from flawsmith.systems.segmentation import SegmentationTraining
from flawsmith.training.loop import Hooks


def configure(folder, *overrides):
    return configure_model(
        "efficientnet_lite0", "tiny", folder, fold=1, synthetic=[], arm=None, overrides=overrides
    )


@pytest.fixture(scope="module")
def trained(pouch_folder, tmp_path_factory):
    pytest.importorskip(efficientnet_lite0.PACKAGE)
    run = tmp_path_factory.mktemp("runs") / "real"
    train_model(configure(pouch_folder), run, Hooks(), resume=False)
    return run


def test_run_is_used_and_goes_on_without_the_package_of_weights(trained, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package_of_weights")
    image = np.random.default_rng(0).integers(0, 255, (70, 150), np.uint8)
    scores = InspectionModel.load(trained).predict(image)
    assert scores.shape == (7, 70, 150)
    assert np.allclose(scores.sum(axis=0), 1.0, atol=1e-4)
    train_model(load_model_config(trained), trained, Hooks(), resume=True)


def test_saved_configuration_is_complete(trained):
    assert load_model_config(trained).network == {"pretrained": True, "encoder": "tuned"}


def test_configuration_names_a_wrong_setting(pouch_folder):
    with pytest.raises(FlawsmithError, match="did you mean 'pretrained'"):
        configure(pouch_folder, "network.pretraind=false")
    with pytest.raises(FlawsmithError, match="unknown key 'encoder'"):
        configure_model(
            "fc_hardnet70", "tiny", pouch_folder, fold=1, synthetic=[], arm=None,
            overrides=["network.encoder=frozen"],
        )  # fmt: skip


def test_encoder_has_its_own_learning_rate_or_none(pouch_folder):
    schema = Schema.load(pouch_folder)
    config = configure(pouch_folder, "network.pretrained=false", "optimizer.encoder_share=0.1")
    decoder, encoder = SegmentationTraining(config, schema).optimizer.param_groups
    assert encoder["lr"] == pytest.approx(0.1 * decoder["lr"])
    config = configure(pouch_folder, "network.encoder=frozen")
    training = SegmentationTraining(config, schema, load=False)
    groups = training.optimizer.param_groups
    assert len(groups) == 1
    trained = {id(p) for p in groups[0]["params"]}
    assert trained.isdisjoint(id(p) for p in training.segmenter.encoder.parameters())
