"""Receivers and the store that the tests of the sinks and of the service share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from receivers import broker, receiver

from flawsmith.line.store import Store

__all__ = ["broker", "receiver"]


@pytest.fixture
def store(tmp_path):
    """An empty results store."""
    with Store(str(tmp_path / "r.db")) as store:
        yield store
