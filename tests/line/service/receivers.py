"""A store with parts to announce, and receivers that fail as they are told."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.store import Store


def record(store: Store, part: str, sinks, verdict=Verdict.PASS) -> int:
    """Store a part with one image and the order to announce it."""
    reasons = [] if verdict is Verdict.PASS else [Reason(verdict=verdict, rule="r", text="t")]
    image = ImageInspection(
        image=part, sha256=part, part=part, view="top", model="m", width=8, height=8
    )
    return store.record(
        PartVerdict(part=part, verdict=verdict, reasons=reasons), [image], sinks=sinks
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(ready: Callable[[], object], what: str, seconds: float = 15.0):
    """Return what ``ready`` returns as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.02)
    raise AssertionError(f"no {what} in {seconds} s")


class Receiver:
    """A web server that answers from a list, then 204; it keeps everything it was sent."""

    def __init__(self, answers=(), port: int = 0) -> None:
        self.requests: list[tuple[dict[str, str], dict]] = []
        self.answers = list(answers)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((dict(self.headers), json.loads(body)))
                status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/verdicts"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def parts(self) -> list[str]:
        return [body["part"] for _, body in self.requests]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    made: list[Receiver] = []

    def make(answers=(), port: int = 0) -> Receiver:
        made.append(Receiver(answers, port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def broker(tmp_path: Path):
    """Start a mosquitto that lets in the user ``line`` alone; yield start, stop and its port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    tool = shutil.which("mosquitto_passwd")
    if program is None or tool is None:
        pytest.skip("no MQTT broker: apt-get install mosquitto")
    folder = tmp_path / "broker"
    folder.mkdir()
    folder.chmod(0o755)
    port = free_port()
    subprocess.run([tool, "-b", "-c", folder / "users", "line", "s:cret"], check=True, timeout=30)
    (folder / "users").chmod(0o644)
    (folder / "acl").write_text("user line\ntopic readwrite ok/#\n")
    (folder / "conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/users\n"
        f"acl_file {folder}/acl\nuser root\n"
    )
    running: list[subprocess.Popen] = []

    class Broker:
        def __init__(self) -> None:
            self.port = port

        def start(self) -> None:
            log = (folder / "log").open("ab")
            running.append(
                subprocess.Popen([program, "-c", folder / "conf"], stdout=log, stderr=log)
            )
            wait_for(lambda: _listens(port), "broker")

        def stop(self) -> None:
            process = running.pop()
            process.kill()
            process.wait(10)

    yield Broker()
    for process in running:
        process.kill()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
