"""Shared fixtures: where the public test images are, one thread a process."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

# A slow minute of a shared machine is no failure; in CI the same cases are drawn every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def _real_data_folder() -> Path | None:
    given = os.environ.get("FLAWSMITH_DATA")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = _real_data_folder()
    if folder is None:
        pytest.skip("no public images: set FLAWSMITH_DATA or put them into ../shared/data")
    return folder


@pytest.fixture(scope="session")
def pouch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated data set with three frozen folds; tests must not change it."""
    from flawsmith.data.dataset import METADATA_FILE, write_metadata
    from flawsmith.data.folds import split_folds
    from flawsmith.data.pouch import PouchSettings, write_pouch

    folder = tmp_path_factory.mktemp("data") / "pouch"
    settings = PouchSettings(
        good_parts=9, defective_parts=36, min_parts_per_class=6, views=1, tile_size=64
    )
    dataset = write_pouch(folder, settings)
    write_metadata(dataset.root / METADATA_FILE, split_folds(dataset, k=3))
    return folder


@pytest.fixture(scope="session")
def labels_only_folder(pouch_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images and folds of `pouch_folder` with labels for whole images and no mask."""
    from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata

    folder = tmp_path_factory.mktemp("data") / "labels_only"
    shutil.copytree(pouch_folder, folder, ignore=shutil.ignore_patterns("masks", "backgrounds"))
    nowhere = {"mask_file_name": None, "background_file_name": None, "instances": []}
    records = [
        record.model_copy(update={**nowhere, "weak_labels": record.labels})
        for record in DefectDataset.open(pouch_folder)
    ]
    write_metadata(folder / METADATA_FILE, records)
    return folder


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    """Load a page in Chromium with further options; return what it prints, without a complaint."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    log = tmp_path / "browser.log"

    def load(page: Path, *options: str, fragment: str = "") -> str:
        log.unlink(missing_ok=True)
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--enable-logging", f"--log-file={log}", "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}", *options,
            f"{page.resolve().as_uri()}{fragment}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        messages = done.stderr + (log.read_text(errors="replace") if log.exists() else "")
        assert "CONSOLE" not in messages
        return done.stdout

    return load


@pytest.fixture
def photograph(chromium: Callable[..., str], tmp_path: Path) -> Callable[..., NDArray[np.int64]]:
    """Return a page as height x 1366 x 3 RGB pixels, as Chromium draws it."""
    from flawsmith.data.images import read_image

    def draw(page: Path, height: int) -> NDArray[np.int64]:
        shot = tmp_path / "shot.png"
        chromium(page, f"--window-size=1366,{height}", f"--screenshot={shot}")
        pixels = read_image(shot)[..., :3].astype(np.int64)
        assert pixels.shape == (height, 1366, 3)
        return pixels

    return draw


@pytest.fixture(scope="session")
def write_settings() -> Callable[..., None]:
    """Write the ``synthesis.json`` of a synthetic set, complete, with some values of one's own."""
    from flawsmith.experiment.synthesis import SynthesisSettings

    usual = {"run": "run", "checkpoint": "16", "system": "dbs_gan", "fold": 0, "seed": 0,
             "plan": {}, "max_defects": 1, "tile_size": 64, "data": "0"}  # fmt: skip

    def write(folder: Path, **values: object) -> None:
        SynthesisSettings(**(usual | values)).save(folder)

    return write
