"""The service's bounded queue: one thread inspects what was accepted, and ends by finishing it."""

import logging
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from flawsmith.line.part_images import PartImage
from flawsmith.line.service.parts import MAX_OPEN, Outcome, ServiceParts

STUCK_SECONDS = 120.0
"""An image that takes longer means that the inspection hangs."""

_TICK_SECONDS = 0.25
_FAREWELL_SECONDS = 20.0
_log = logging.getLogger(__name__)


@dataclass
class _Job:
    part: str
    view: str
    data: bytes
    answer: "Future[Outcome]"


class InspectionQueue:
    """Images between their acceptance and their answer, one by one in the order of arrival.

    A place is reserved before an image is read from the wire, so that memory holds at most
    ``limit`` of them.

    Args:
        parts: inspects and stores; from `start` on, the queue's thread alone uses it.
        limit: images that are being received, waiting or inspected at once.
    """

    def __init__(self, parts: ServiceParts, *, limit: int) -> None:
        self.limit = limit
        self._parts = parts
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._places = 0
        self._closing = False
        self._seconds = 1.0
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)
        self.unstored: list[str] = []

    @property
    def length(self) -> int:
        """Images that are being received, waiting or inspected."""
        return self._places

    @property
    def open_parts(self) -> int:
        """Parts that wait for a view, or for the store."""
        return len(self._parts)

    @property
    def works(self) -> bool:
        """Whether the thread is alive and does not hang."""
        since = self._busy_since
        return self._thread.is_alive() and (
            since is None or time.monotonic() - since < STUCK_SECONDS
        )

    def start(self) -> None:
        """Begin to inspect."""
        self._thread.start()

    def reserve(self) -> bool:
        """Take a place for an image that is about to come; False if there is none."""
        with self._lock:
            free = self._places < self.limit and len(self._parts) < MAX_OPEN
            if self._closing or not free:
                return False
            self._places += 1
            return True

    def release(self) -> None:
        """Give back the place of an image that did not come."""
        with self._lock:
            self._places -= 1

    def submit(self, part: str, view: str, data: bytes) -> "Future[Outcome]":
        """Queue an image for which a place is reserved; the place is given back when it is done.

        From here on the image is inspected and its part stored, whether or not anyone waits.
        """
        answer: Future[Outcome] = Future()
        self._jobs.put(_Job(part, view, data, answer))
        return answer

    def retry_after(self) -> int:
        """Return in how many whole seconds a place should be free again."""
        return max(1, min(60, round(self._places * self._seconds)))

    def close(self) -> list[str]:
        """Finish what was accepted, conclude the parts that wait, and end.

        Returns:
            Names of parts that the store did not take.
        """
        with self._lock:
            self._closing = True
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join(STUCK_SECONDS + _FAREWELL_SECONDS)
        if self._thread.is_alive():
            return ["whatever was accepted last, as the inspection hangs"]
        return self.unstored

    def _run(self) -> None:
        ended = False
        while not ended:
            try:
                job = self._jobs.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                job = None
            else:
                if job is None:
                    ended = True
            if job is not None:
                self._do(job)
            self._settle()
        end = time.monotonic() + _FAREWELL_SECONDS
        while (failed := self._settle(everything=True)) and time.monotonic() < end:
            time.sleep(1.0)
        self.unstored = failed

    def _settle(self, *, everything: bool = False) -> list[str]:
        try:
            return self._parts.settle(everything=everything)
        except Exception:  # the thread must outlive whatever a library raises
            _log.exception("parts that wait")
            return ["?"] if everything else []

    def _do(self, job: _Job) -> None:
        self._busy_since = began = time.monotonic()
        try:
            name = f"{job.part}/{job.view}" if job.view else job.part
            image = PartImage.from_bytes(job.data, name=name, part=job.part, view=job.view)
            job.data = b""  # the image holds it until it is decoded
            outcome = self._parts.add(image)
        except Exception as error:
            self._end(began)
            job.answer.set_exception(error)
        else:
            self._end(began)
            job.answer.set_result(outcome)

    def _end(self, began: float) -> None:
        """Give back the place before the answer goes out, so that its reader finds it free."""
        self._seconds += 0.2 * (time.monotonic() - began - self._seconds)
        self._busy_since = None
        self.release()
