"""A comparison on a small simulated data set: interrupted, gone on with, one system broken."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from flawsmith.errors import FlawsmithError, InterruptionError
from flawsmith.experiment.compare import CompareSettings, SystemComparison, work
from flawsmith.experiment.compare.page import write_page
from flawsmith.experiment.score import figures
from flawsmith.inspection import machine_vision
from flawsmith.training.loop import Hooks

START_WITH = ("copy_paste", "dbs_gan_exemplar")
SETTINGS = CompareSettings(
    systems=["dcgan", "cyclegan", "copy_paste"],
    images=10,
    seeds=1,
    model="fc_hardnet70",
    per_class=5,
    preset="tiny",
    overrides=["training.total_images=8"],
)
BROKEN, REASON = "cyclegan", "g/adversarial is no longer a number after 8 images"
STOPPED_AT = "copy_paste: make the balanced set"


@dataclass
class Finished:
    """What a test may look at.

    Attributes:
        first: titles of the steps before the interruption, the one that was stopped included.
        second: titles of the steps after it.
    """

    test: SystemComparison
    data: Path
    first: list[str]
    second: list[str]
    page: str
    settings: CompareSettings
    broken: str = BROKEN
    reason: str = REASON
    stopped_at: str = STOPPED_AT
    start_with: tuple[str, ...] = START_WITH


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Two defects of each class in training and one for the test, at least."""
    from flawsmith.data.dataset import METADATA_FILE, write_metadata
    from flawsmith.data.folds import split_folds
    from flawsmith.data.pouch import PouchSettings, write_pouch

    folder = tmp_path_factory.mktemp("compare") / "pouch"
    settings = PouchSettings(
        good_parts=6, defective_parts=18, min_parts_per_class=3, views=1, tile_size=64
    )
    dataset = write_pouch(folder, settings)
    write_metadata(folder / METADATA_FILE, split_folds(dataset, k=3))
    return folder


@pytest.fixture(scope="session")
def finished(small_data, tmp_path_factory):
    """Interrupt a comparison, go on with it, and let one system fail."""
    out = tmp_path_factory.mktemp("compared") / "out"
    first, second = [], []
    train = work.train

    def broken_train(config, run, hooks):
        if config.system == BROKEN:
            raise FlawsmithError(REASON)
        return train(config, run, hooks)

    def stop(title):
        first.append(title)
        if title == STOPPED_AT:
            raise InterruptionError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "train", broken_train)
        for name, values in {"WINDOWS": (15,), "BLURS": (0.0,), "RATES": (0.01,)}.items():
            patch.setattr(machine_vision, name, values)
        patch.setattr(figures, "RESAMPLES", 20)
        patch.setattr(figures, "HALVES", 5)
        with pytest.raises(InterruptionError):
            SystemComparison(small_data, out, SETTINGS).run(Hooks(), stop)
        test = SystemComparison(small_data, out, SETTINGS)
        assert test.run(Hooks(), second.append)
        _, page = write_page(test, START_WITH)
    return Finished(test, small_data, first, second, page.read_text(encoding="utf-8"), SETTINGS)
