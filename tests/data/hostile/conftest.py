"""Makes the cases of this folder and the samples of the fuzzer importable."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "benchmarks")]


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch):
    """Leave flushing to the system: no power is cut here, and hundreds of imports are many times
    faster."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
