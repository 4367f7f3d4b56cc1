"""Receivers that the tests of the sinks and of the service share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from receivers import broker, receiver

__all__ = ["broker", "receiver"]
