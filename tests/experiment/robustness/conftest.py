"""A finished run whose model is a formula: everything but the network is real, and fast."""

import numpy as np
import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.experiment import train_model
from flawsmith.experiment.inspection_model import save_thresholds
from flawsmith.experiment.robustness import testing
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.train_model import COMPOSITION_FILE, configure_model
from flawsmith.inspection.thresholds import Thresholds

CLASSES = 6


def predict(image):
    """Say "defect" where a pixel differs much from the median, each class a little less."""
    unit = image.astype(np.float32) / 255
    found = np.clip(4 * np.abs(unit - np.median(unit)), 0, 1)
    return np.stack([1 - found, *(found * (1 - 0.05 * k) for k in range(CLASSES))])


@pytest.fixture
def formula(monkeypatch):
    for module in (testing, train_model):
        monkeypatch.setattr(module, "load_predict", lambda run: predict)


@pytest.fixture(scope="session")
def trained(pouch_folder, tmp_path_factory):
    """An inspection model's run; tests write into other folders."""
    run = tmp_path_factory.mktemp("runs") / "real"
    config = configure_model(
        "fc_hardnet70", "tiny", pouch_folder, fold=1, synthetic=[], arm=None, overrides=[]
    )
    create_run(run, config, DefectDataset.open(pouch_folder).schema)
    save_thresholds(run, Thresholds(pixel=[0.5] * CLASSES, region=0.9))
    (run / COMPOSITION_FILE).write_text("{}")
    return run
