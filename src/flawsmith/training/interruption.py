"""Ctrl-C and SIGTERM end a run after the step in hand, with a checkpoint."""

import signal
import threading
from types import FrameType
from typing import Self

from flawsmith.errors import InterruptionError


class Interruption:
    """While open, notes the first SIGINT or SIGTERM; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True

    def error(self, images: int, go_on: str) -> InterruptionError:
        """Return what to raise after the checkpoint is written; ``go_on`` is a command."""
        return InterruptionError(f"stopped after {images:,} images; go on with: {go_on}")
