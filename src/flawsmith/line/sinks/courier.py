"""Carries what the outbox holds for one sink: in order, at least once, in a thread of its own."""

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flawsmith.errors import FlawsmithError
from flawsmith.line.sinks.base import Sink
from flawsmith.line.sinks.outbox import Delivery, Outbox
from flawsmith.line.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        first: after the first try that failed; doubled after each further one.
        longest: never more.
        poll: between looks into the store; other processes write into it too.
        farewell: for what is due when the courier is stopped.
    """

    first: float = 1.0
    longest: float = 300.0
    poll: float = 1.0
    farewell: float = 5.0

    def after(self, attempts: int) -> float:
        """Return the wait after this many tries in vain.

        Half of it is drawn by lot, so that many lines do not come back to a receiver at once.
        """
        full = min(self.longest, self.first * 2.0 ** min(attempts - 1, 60))
        return full * random.uniform(0.5, 1.0)


class Courier:
    """Delivers to one sink. A message that fails holds up those behind it: order is kept.

    The store remembers across restarts when the next try is due; within a process a monotonic
    clock measures the wait, so that a clock that is put back does not stretch it.
    """

    def __init__(self, store: Store, sink: Sink, patience: Patience | None = None) -> None:
        self._outbox = Outbox(store)
        self._sink = sink
        self._patience = patience or Patience()
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._after = 0
        self._not_before: dict[tuple[int, int], float] = {}

    def start(self) -> None:
        """Begin to deliver, what an earlier process left over first."""
        self._thread.start()

    def wake(self) -> None:
        """Tell that something new is in the outbox; never blocks."""
        self._news.set()

    def stop(self) -> None:
        """Deliver what is due if that works at once, and end; the outbox keeps the rest."""
        self._stopping.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        farewell: float | None = None
        while True:
            if self._stopping.is_set():
                farewell = farewell or time.monotonic() + self._patience.farewell
                if time.monotonic() >= farewell:
                    break
            progress = self._step()
            if not progress:
                if self._stopping.is_set():
                    break
                self._news.wait(self._patience.poll)
                self._news.clear()
        self._sink.close()

    def _step(self) -> bool:
        """Deliver one message; return whether that was done."""
        try:
            delivery, self._after = self._outbox.next(self._sink.name, after=self._after)
            if delivery is None or not self._is_due(delivery):
                return False
            return self._try(delivery)
        except FlawsmithError as error:  # the store is busy, full or gone
            _log.warning("sink %s: %s", self._sink.name, error)
        except Exception:  # the thread must outlive whatever a library raises
            _log.exception("sink %s", self._sink.name)
        return False

    def _is_due(self, delivery: Delivery) -> bool:
        remaining = (delivery.next_try_at - datetime.now(UTC)).total_seconds()
        if remaining <= 0:
            return True
        key = (delivery.id, delivery.attempts)
        if key not in self._not_before:
            self._not_before = {key: time.monotonic() + min(remaining, self._patience.longest)}
        return time.monotonic() >= self._not_before[key]

    def _try(self, delivery: Delivery) -> bool:
        message = self._outbox.message(delivery.sequence)
        try:
            self._sink.deliver(message)
        except Exception as error:  # every library raises its own, and all mean "again"
            cause = " ".join(str(error).split()) or type(error).__name__
            wait = self._patience.after(delivery.attempts + 1)
            _log.warning(
                "sink %s: result %d not delivered: %s; next try in %.1f s",
                self._sink.name, delivery.sequence, cause, wait,
            )  # fmt: skip
            self._outbox.failed(delivery, cause, datetime.now(UTC) + timedelta(seconds=wait))
            return False
        self._outbox.delivered(delivery)
        self._after = delivery.sequence
        return True


class Couriers:
    """The couriers of several sinks; one that is slow or gone does not hold up another.

    Raises:
        FlawsmithError: if two of the sinks are one and the same.
    """

    def __init__(
        self, store: Store, sinks: Sequence[Sink], patience: Patience | None = None
    ) -> None:
        self.names = [sink.name for sink in sinks]
        for name in self.names:
            if self.names.count(name) > 1:
                raise FlawsmithError(f"the sink {name} is given twice")
        self._couriers = [Courier(store, sink, patience) for sink in sinks]

    def start(self) -> None:
        """Begin to deliver."""
        for courier in self._couriers:
            courier.start()

    def wake(self) -> None:
        """Tell all that something new is in the outbox."""
        for courier in self._couriers:
            courier.wake()

    def stop(self) -> None:
        """End all, together."""
        ends = [threading.Thread(target=courier.stop) for courier in self._couriers]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
