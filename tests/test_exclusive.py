"""One folder, one process at a time."""

import subprocess
import sys

import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.storage import exclusive

HOLD = """
import sys, time
from pathlib import Path
from flawsmith.storage import exclusive
with exclusive(Path(sys.argv[1]), what="set"):
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_and_a_killed_one_lets_go(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"in\n"
        with (
            pytest.raises(FlawsmithError, match="another process is writing the set"),
            exclusive(tmp_path, what="set"),
        ):
            pytest.fail("two processes are in the folder")
    finally:
        other.kill()
        other.wait()
    with exclusive(tmp_path, what="set"):
        pass
    assert list(tmp_path.iterdir()) == []
