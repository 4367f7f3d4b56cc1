"""Whether the service can do its work, and its figures for Prometheus."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flawsmith.config import StrictModel
from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.service.queue import InspectionQueue
from flawsmith.line.sinks.outbox import Outbox
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import PartRecord
from flawsmith.line.store.tables import CounterRow

MIN_FREE_BYTES = 256 << 20
"""On the disk of the store; with less the service is not ready, before anything fails."""

_FRESH_SECONDS = 2.0
_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_log = logging.getLogger(__name__)


class Health(StrictModel):
    """Answer of ``GET /health``.

    Attributes:
        live: the process answers.
        ready: it can inspect and store; each of the checks says yes.
        checks: model, queue, store, disk.
        problems: in words; only for those who may see details.
    """

    live: bool = True
    ready: bool
    checks: dict[str, bool]
    problems: list[str] = []


class HealthCheck:
    """Looks whether images can be inspected and results stored."""

    def __init__(self, store: Store, queue: InspectionQueue) -> None:
        self._store = store
        self._queue = queue
        self._lock = threading.Lock()
        self._last: tuple[float, Health] | None = None

    def look(self) -> Health:
        """Return the state, at most two seconds old, so that asking costs the disk little."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _FRESH_SECONDS:
                self._last = (time.monotonic(), self._look())
            return self._last[1]

    def _look(self) -> Health:
        found: dict[str, str] = {
            "model": "",  # it was loaded before the service answers at all
            "queue": "" if self._queue.works else "the inspection hangs or has ended",
            "store": self._store_problem(),
            "disk": self._disk_problem(),
        }
        problems = [text for text in found.values() if text]
        for text in problems:
            _log.warning("not ready: %s", text)
        checks = {name: not text for name, text in found.items()}
        return Health(ready=not problems, checks=checks, problems=problems)

    def _store_problem(self) -> str:
        # The row is written as it is: only a commit shows that the disk takes it.
        step = sa.update(CounterRow).where(CounterRow.name == "part")
        try:
            with self._store.transaction() as session:
                session.execute(step.values(value=CounterRow.value))
        except FlawsmithError as error:
            return str(error)
        return ""

    def _disk_problem(self) -> str:
        if "://" in self._store.name:  # another machine's disk
            return ""
        folder = Path(self._store.name).absolute().parent
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            return f"the disk of {folder}: {error}"
        if free < MIN_FREE_BYTES:
            return f"only {free >> 20} MiB are free in {folder}; {MIN_FREE_BYTES >> 20} are needed"
        return ""


class Metrics:
    """The figures of one service, in a registry of their own."""

    def __init__(self, store: Store, queue: InspectionQueue, sinks: Sequence[str]) -> None:
        self._registry = CollectorRegistry()
        self._parts = Counter(
            "flawsmith_parts", "Parts stored, by verdict.", ["verdict"], registry=self._registry
        )
        for verdict in Verdict:
            self._parts.labels(verdict.value)
        self._answers = Counter(
            "flawsmith_images", "Images posted, by status.", ["status"], registry=self._registry
        )
        self._seconds = Histogram(
            "flawsmith_image_seconds", "From the request to the answer, of images inspected.",
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        figures: dict[str, tuple[str, Callable[[], float]]] = {
            "flawsmith_queue_length": (
                "Images received, waiting or inspected.",
                lambda: queue.length,
            ),
            "flawsmith_queue_limit": ("Most of them at once.", lambda: queue.limit),
            "flawsmith_open_parts": ("Parts that wait for a view.", lambda: queue.open_parts),
        }
        for name, (text, value) in figures.items():
            Gauge(name, text, registry=self._registry).set_function(value)
        self._registry.register(_SinkFigures(Outbox(store), sinks))

    def stored(self, record: PartRecord) -> None:
        """Count a part."""
        self._parts.labels(record.verdict.verdict.value).inc()

    def answered(self, status: int, seconds: float) -> None:
        """Count an image; its time counts if it was inspected."""
        self._answers.labels(str(status)).inc()
        if status in (200, 202):
            self._seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self._registry)


class _SinkFigures(Collector):
    def __init__(self, outbox: Outbox, sinks: Sequence[str]) -> None:
        self._outbox = outbox
        self._sinks = sinks

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield nothing: so that registering does not ask the store."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what waits for each sink, and for how long the oldest of it does."""
        pending = GaugeMetricFamily(
            "flawsmith_sink_pending", "Messages not delivered yet.", labels=["sink"]
        )
        lag = GaugeMetricFamily(
            "flawsmith_sink_lag_seconds", "Age of the oldest of them.", labels=["sink"]
        )
        try:
            for sink in self._sinks:
                count, seconds = self._outbox.lag(sink)
                pending.add_metric([sink], count)
                lag.add_metric([sink], seconds)
        except FlawsmithError as error:  # the other figures are worth the more
            _log.warning("no figures of the sinks: %s", error)
        yield from (pending, lag)
