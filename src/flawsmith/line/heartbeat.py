"""A file that says that inspection is alive; whoever watches the line looks at its age."""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

BEAT_SECONDS = 1.0


class Heartbeat:
    """Replaces a small JSON file about once a second, as long as the loop of inspection turns.

    A file that cannot be written grows old, which is what its reader looks at, so that an error is
    no reason to stop.

    Args:
        path: the file; None for no heartbeat.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._began = time.monotonic()
        self._last: float | None = None
        self._number: int | None = None
        self._parts = 0

    def part_done(self, number: int) -> None:
        """Note the sequence number of a part that was announced."""
        self._number = number
        self._parts += 1

    def beat(self, *, waiting: int = 0, problem: str | None = None, stopped: bool = False) -> None:
        """Write the file if the last time is long enough ago.

        Args:
            waiting: images and parts that are not concluded.
            problem: why nothing comes in.
            stopped: the last beat: inspection ended as it should.
        """
        now = time.monotonic()
        if self._path is None:
            return
        if self._last is not None and now - self._last < BEAT_SECONDS and not stopped:
            return
        self._last = now
        values = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "state": "stopped" if stopped else "running",
            "uptime_seconds": round(now - self._began, 3),
            "parts": self._parts,
            "last_result": self._number,
            "waiting": waiting,
            "problem": problem,
        }
        temporary = self._path.with_name(f".{self._path.name}.partial")
        with suppress(OSError):  # not flushed: after a power cut nobody asks whether it was alive
            temporary.write_text(json.dumps(values) + "\n", "utf-8")
            temporary.replace(self._path)
