"""Makes the facts of this folder importable, and opens an empty store."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def store(tmp_path):
    from flawsmith.line.store import Store

    with Store(str(tmp_path / "results.db")) as opened:
        yield opened
