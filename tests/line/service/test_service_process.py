"""The service as a process: killed, stopped, flooded, and cut off by its callers."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from receivers import Receiver, free_port
from services import Process, figure, png, until

from flawsmith.line.results import Verdict
from flawsmith.line.store import Store


@pytest.fixture
def start(tmp_path: Path):
    """Start services on one store; whatever is left of them is killed."""
    started: list[Process] = []

    def one(**options) -> Process:
        started.append(Process(tmp_path / "r.db", **options))
        return started[-1]

    yield one
    for service in started:
        service.kill()


def stored(tmp_path: Path) -> dict[str, Verdict]:
    with Store(str(tmp_path / "r.db")) as store:
        records = list(store.find())
    found = {record.verdict.part: record.verdict.verdict for record in records}
    assert len(found) == len(records), "a part is stored twice"
    return found


def test_killed_between_commit_and_delivery_it_delivers_after_a_restart(start, tmp_path):
    port = free_port()  # nobody listens there
    sinks = [f"http://127.0.0.1:{port}/verdicts"]
    service = start(sinks=sinks)
    for n in range(5):
        assert service.post(f"p{n}", "top", png(n)).status_code == 200
    until(lambda: figure(httpx.get(f"{service.url}/metrics").text, "flawsmith_sink_pending"), "lag")
    service.kill()
    web = Receiver(port=port)
    try:
        service = start(sinks=sinks)
        until(lambda: len(web.requests) >= 5, "deliveries")
        assert service.end() == 0
        assert web.parts == [f"p{n}" for n in range(5)]
        assert [body["sequence"] for _, body in web.requests] == [1, 2, 3, 4, 5]
        assert len({body["id"] for _, body in web.requests}) == 5
    finally:
        web.close()


def test_killed_while_parts_wait_it_goes_on_waiting_after_a_restart(start, tmp_path):
    service = start(views=["top", "side"], timeout=4.0)
    for n, part in enumerate(("whole", "broken_off")):
        assert service.post(part, "top", png(n)).status_code == 202
    service.kill()
    assert stored(tmp_path) == {}
    service = start(views=["top", "side"], timeout=4.0)
    answer = service.post("whole", "side", png(4)).json()
    assert (answer["verdict"], len(answer["images"])) == ("PASS", 2)
    where = f"{service.url}/parts/broken_off"
    until(lambda: httpx.get(where).status_code == 200, "verdict of the part without its view")
    left = httpx.get(where).json()
    assert [(r["rule"], r["view"]) for r in left["reasons"]] == [("missing view", "side")]
    service.kill()
    service = start(views=["top", "side"], timeout=0.1)  # nothing is left to go on with
    time.sleep(0.6)
    assert stored(tmp_path) == {"whole": Verdict.PASS, "broken_off": Verdict.REVIEW}


def test_when_it_is_stopped_what_was_accepted_is_finished(start, tmp_path):
    lines = tmp_path / "verdicts.jsonl"
    service = start(seconds=0.5, queue=4, views=["top"], sinks=[f"file://{lines}"])
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(service.post, f"p{n}", "top", png(n)) for n in range(3)]
        waits = pool.submit(service.post, "open", "side", png(9))
        metrics = f"{service.url}/metrics"
        until(lambda: figure(httpx.get(metrics).text, "flawsmith_queue_length") == 4, "queue")
        assert service.end() == 0
        assert [answer.result().json()["verdict"] for answer in answers] == ["PASS"] * 3
        assert waits.result().status_code == 202
    found = stored(tmp_path)
    assert found.pop("open") is Verdict.REVIEW
    assert found == {f"p{n}": Verdict.PASS for n in range(3)}
    told = [json.loads(line)["part"] for line in lines.read_text().splitlines()]
    assert sorted(told) == ["open", "p0", "p1", "p2"]


def test_twice_as_much_as_it_can_is_partly_sent_away_and_nothing_is_lost(start, tmp_path):
    """10 images/s are possible; 4 callers at once ask for 20/s, with a megapixel each."""
    service = start(seconds=0.1, queue=2)
    images = [png(n, size=1000) for n in range(4)]
    answers: list[tuple[str, int]] = []
    memory: list[float] = []
    end = time.monotonic() + 6

    def flood(caller: int) -> None:
        with httpx.Client(timeout=30) as client:
            count = 0
            while time.monotonic() < end:
                part = f"p{caller}-{count}"
                count += 1
                where = f"{service.url}/parts/{part}/views/top"
                began = time.monotonic()
                picture = images[caller] + part.encode()  # no camera gives the same bytes twice
                answer = client.post(where, content=picture)
                if answer.status_code == 503:
                    assert 1 <= int(answer.headers["Retry-After"]) <= 60
                answers.append((part, answer.status_code))
                time.sleep(max(0.0, began + 0.2 - time.monotonic()))

    callers = [threading.Thread(target=flood, args=(n,)) for n in range(4)]
    for caller in callers:
        caller.start()
    while any(caller.is_alive() for caller in callers):
        memory.append(service.memory_mib())
        time.sleep(0.2)
    for caller in callers:
        caller.join()
    taken = {part for part, status in answers if status == 200}
    refused = [part for part, status in answers if status == 503]
    assert len(taken) + len(refused) == len(answers)
    assert len(taken) > 5
    assert len(refused) > 5
    assert service.end() == 0
    assert stored(tmp_path) == dict.fromkeys(taken, Verdict.PASS)
    later = memory[len(memory) // 3 :]
    assert max(later) - later[0] < 20, memory


def _raw(service: Process, request: bytes, *, wait: bool = True) -> bytes:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(request)
        return wire.recv(4096) if wait else b""


def test_callers_that_cut_off_or_dawdle_hold_no_place(start, tmp_path):
    service = start(queue=1, body_seconds=0.5, max_bytes=10_000)
    head = b"POST /parts/a/views/top HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
    _raw(service, head % 5000 + b"half", wait=False)
    metrics = f"{service.url}/metrics"
    until(lambda: figure(httpx.get(metrics).text, "flawsmith_queue_length") == 0, "place")
    assert b" 408 " in _raw(service, head % 5000 + b"half")
    assert b" 413 " in _raw(service, head % 20_000)
    assert b" 413 " in _raw(service, head % 10**15)
    chunked = head.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    assert b" 413 " in _raw(service, chunked + b"4e20\r\n" + bytes(20_000))
    assert b" 400 " in _raw(service, b"\x16\x03\x01 no HTTP\r\n\r\n")
    # A caller that sends all before it reads finds its answer too.
    assert service.post("a", "top", bytes(5_000_000)).status_code == 413
    assert service.post("a", "top", png()).status_code == 200
    assert stored(tmp_path) == {"a": Verdict.PASS}
    assert figure(httpx.get(metrics).text, "flawsmith_queue_length") == 0
