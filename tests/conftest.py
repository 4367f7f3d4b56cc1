"""Shared fixtures: where the public test images are, one thread a process."""

import os
from pathlib import Path

import pytest


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
