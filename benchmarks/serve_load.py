"""The service under load on loopback: latency, memory, losses, and what twice too much does.

``python benchmarks/serve_load.py --model EXPORTED --minutes 30`` starts ``flawsmith serve`` with a
new results store and posts images in three phases: two callers without a pause (its full rate),
the same for ``--minutes``, and twice that rate. At the end the store is compared with the answers:
every part that was answered has to be there once, and no other. Callers and service share the
machine's cores, so that the rate is lower than that of a line PC whose images come from elsewhere.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import encode_png
from flawsmith.inspection.exported import ExportedModel
from flawsmith.line.store import Store

COMMAND = str(Path(sys.executable).with_name("flawsmith"))
PERCENTILES = (50, 90, 99, 99.9)
CALLERS = 2
CRASHED = 0  # in the place of a status: no answer came


@dataclass
class Load:
    """Answers of one phase.

    Attributes:
        answers: (part, status, seconds), in any order.
        memory: (seconds since the phase began, MiB resident in the service).
    """

    name: str
    seconds: float = 0.0
    answers: list[tuple[str, int, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Images inspected a second."""
        return len(self.times(200)) / self.seconds

    def times(self, status: int) -> list[float]:
        """Return the seconds of all answers with a status."""
        return [seconds for _, found, seconds in self.answers if found == status]

    def summary(self) -> dict[str, object]:
        """Return the figures that are printed."""
        statuses = sorted({status for _, status, _ in self.answers})
        memory = np.array([mib for _, mib in self.memory])
        third = max(1, len(memory) // 3)
        return {
            "phase": self.name,
            "seconds": round(self.seconds, 1),
            "images_per_second": round(self.rate, 2),
            "answers": {str(s): len(self.times(s)) for s in statuses},
            "latency_ms": _percentiles(self.times(200)),
            "refusal_ms": _percentiles(self.times(503)),
            "memory_mib": {
                "first_third": round(float(np.median(memory[:third])), 1),
                "last_third": round(float(np.median(memory[-third:])), 1),
                "peak": round(float(memory.max()), 1),
            },
        }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = np.percentile(np.array(seconds) * 1000, PERCENTILES)
    return {f"p{p:g}": round(float(v), 1) for p, v in zip(PERCENTILES, values, strict=True)}


class Service:
    """``flawsmith serve`` in a process of its own."""

    def __init__(self, model: Path, store: Path, queue: int, sinks: list[str]) -> None:
        more = [word for sink in sinks for word in ("--sink", sink)]
        self.process = subprocess.Popen(
            [COMMAND, "serve", "--model", model, "--store", store, "--port", "0",
             "--queue", str(queue), *more],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for line in self.process.stdout:
            if line.startswith("serving at http://"):
                self.address = line.split()[2].removeprefix("http://")
                return
        raise SystemExit("the service did not start")

    def memory_mib(self) -> float:
        """Return its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def end(self) -> int:
        """Let it finish; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


class Callers:
    """Threads that post images.

    Args:
        service: to post to.
        images: encoded; taken in turn.
    """

    def __init__(self, service: Service, images: list[bytes]) -> None:
        self._service = service
        self._images = images
        self._numbers = count()

    def run(self, name: str, seconds: float, *, callers: int, rate: float | None = None) -> Load:
        """Post for some seconds; with a rate, every caller keeps its share of the beat."""
        load = Load(name)
        began = time.monotonic()
        threads = [
            threading.Thread(
                target=self._post,
                args=(load, began + seconds, callers / rate if rate else 0.0,
                      began + (n / rate if rate else 0.0)),
            )
            for n in range(callers)
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            load.memory.append((time.monotonic() - began, self._service.memory_mib()))
            time.sleep(0.5)
        load.seconds = time.monotonic() - began
        return load

    def _post(self, load: Load, end: float, pause: float, turn: float) -> None:
        connection = HTTPConnection(self._service.address, timeout=60)
        while (now := time.monotonic()) < end:
            if now < turn:
                time.sleep(min(turn, end) - now)
                continue
            turn = max(turn + pause, now - 10 * pause)  # late turns are made up for, to a point
            number = next(self._numbers)
            part, began = f"part-{number}", time.monotonic()
            try:
                image = self._images[number % len(self._images)]
                # The name behind it: an image that another part had goes to review.
                body = image + part.encode()
                connection.request("POST", f"/parts/{part}", body=body)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except OSError:
                connection.close()
                status = CRASHED
            load.answers.append((part, status, time.monotonic() - began))
        connection.close()


def make_images(model: ExportedModel, height: int, width: int, copies: int) -> list[bytes]:
    """Return encoded grey or colour noise of the model's depth, in the middle of its levels."""
    schema, random = model.schema, np.random.default_rng(0)
    shape = (height, width) if schema.channels == 1 else (height, width, 3)
    kind = np.uint8 if schema.bit_depth == 8 else np.uint16
    middle, spread = (schema.black_level + schema.white_level) / 2, schema.white_level / 50

    def image() -> NDArray[np.generic]:
        noise = random.normal(middle, spread, shape)
        return np.clip(noise, schema.black_level, schema.white_level).astype(kind)

    return [encode_png(image()) for _ in range(copies)]


def compare(store: Path, loads: list[Load]) -> dict[str, int]:
    """Return how many answered parts are lost, and how many stored ones nobody was told of."""
    told = [part for load in loads for part, status, _ in load.answers if status == 200]
    with Store(str(store)) as opened:
        stored = [record.verdict.part for record in opened.find()]
    return {
        "answered": len(told),
        "stored": len(stored),
        "lost": len(set(told) - set(stored)),
        "stored_twice": len(stored) - len(set(stored)),
        "not_answered": len(set(stored) - set(told)),
    }


def main() -> None:
    """Run the phases and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="exported model")
    parser.add_argument("--minutes", type=float, default=0.25, help="at the full rate")
    parser.add_argument("--overload-seconds", type=float, default=15.0)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("H", "W"))
    parser.add_argument("--queue", type=int, default=4)
    parser.add_argument("--sink", action="append", default=[], help="as of flawsmith serve")
    arguments = parser.parse_args()
    images = make_images(ExportedModel.load(arguments.model), *arguments.size, copies=8)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "results.db"
        service = Service(arguments.model, store, arguments.queue, arguments.sink)
        try:
            callers = Callers(service, images)
            warm = callers.run("warm-up", 5, callers=CALLERS)
            full = callers.run("full rate", arguments.minutes * 60, callers=CALLERS)
            over = callers.run(
                "twice the full rate", arguments.overload_seconds,
                callers=4 * (arguments.queue + 1), rate=2 * full.rate,
            )  # fmt: skip
            status = service.end()
        finally:
            service.process.kill()
        for load in (warm, full, over):
            print(json.dumps(load.summary()))
        print(json.dumps({**compare(store, [warm, full, over]), "exit_status": status}))


if __name__ == "__main__":
    main()
