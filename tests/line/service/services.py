"""A fake service in this process (through Starlette's client) or in one of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from fake_service import build
from fastapi.testclient import TestClient
from receivers import wait_for

from flawsmith.data.images import encode_png
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store

LOCAL = "http://127.0.0.1"


def png(value: int = 0, size: int = 8) -> bytes:
    """A grey image; 255 is a scratch."""
    return encode_png(np.full((size, size), value, np.uint8))


@contextmanager
def client_of(store: Store, **options):
    """Yield a client of a service whose queue runs in this process."""
    service = build(store, options)
    service.start()
    try:
        yield TestClient(service.app(), base_url=LOCAL)
    finally:
        service.close()


class Process:
    """A service as a user has it: real uvicorn, real signals."""

    def __init__(self, store: Path | str, **options) -> None:
        script = Path(__file__).with_name("fake_service.py")
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, script, str(store), json.dumps(options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._drain, daemon=True).start()
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.lines

    def _drain(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line)

    def post(self, part: str, view: str, data: bytes, **more) -> httpx.Response:
        where = f"{self.url}/parts/{part}/views/{view}"
        return httpx.post(where, content=data, timeout=60, **more)

    def memory_mib(self) -> float:
        """Resident memory, from Linux's /proc."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def figure(text: str, name: str) -> float:
    """Return a figure from Prometheus's text format."""
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def until(ready, what: str):
    return wait_for(ready, what, 30)


def verdicts(store: Store) -> list[tuple[str, Verdict]]:
    """What the store has, in its order."""
    return [(record.verdict.part, record.verdict.verdict) for record in store.find()]
