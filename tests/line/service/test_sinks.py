"""Each sink against a real receiver; what it did not take counts as not delivered."""

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest
from receivers import Receiver, free_port, wait_for

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.sinks import SINKS, Message, open_sink
from flawsmith.line.sinks.base import UndeliveredError


def message(sequence=7, verdict=Verdict.FAIL) -> Message:
    values = {"id": f"id{sequence}", "sequence": sequence, "part": "cell 3", "verdict": verdict}
    return Message(**values, body=json.dumps(values).encode())


# --- file


def test_file_has_a_line_for_each_message(tmp_path: Path):
    path = tmp_path / "out.jsonl"
    sink = open_sink(f"file://{path}")
    for n in (1, 2):
        sink.deliver(message(n))
    assert [json.loads(line)["sequence"] for line in path.read_text().splitlines()] == [1, 2]
    path.rename(tmp_path / "old.jsonl")
    sink.deliver(message(3))
    assert json.loads(path.read_text())["sequence"] == 3


def test_file_closes_a_line_that_a_crash_left_open(tmp_path: Path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"seq')
    open_sink(f"file:{path}").deliver(message(1))
    broken, whole = path.read_text().splitlines()
    assert broken == '{"seq'
    assert json.loads(whole)["sequence"] == 1


def test_full_disk_leaves_the_file_as_it_was():
    sink = open_sink("file:///dev/full")
    with pytest.raises(OSError, match="No space left"):
        sink.deliver(message())


def test_file_takes_back_what_was_written_in_part(tmp_path: Path, monkeypatch):
    path = tmp_path / "out.jsonl"
    sink = open_sink(f"file://{path}")
    sink.deliver(message(1))
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="gone"):
        sink.deliver(message(2))
    assert path.read_bytes() == before


# --- webhook


def test_webhook_posts_json_with_the_id_as_key(receiver):
    web = receiver()
    sink = open_sink(web.url.replace("http://", "http://line:s%3Acret@") + "?token=hidden")
    sink.deliver(message())
    ((headers, body),) = web.requests
    assert (body["part"], body["verdict"]) == ("cell 3", "FAIL")
    assert headers["Idempotency-Key"] == "id7"
    assert headers["Authorization"] == "Basic bGluZTpzOmNyZXQ="  # line:s:cret
    assert "s%3Acret" not in sink.name
    assert "hidden" not in sink.name


@pytest.mark.parametrize("status", [302, 307, 400, 404, 500, 503])
def test_webhook_takes_nothing_but_success_for_delivered(receiver, status):
    web = receiver([status])
    sink = open_sink(web.url)
    with pytest.raises(UndeliveredError, match=f"answered {status}"):
        sink.deliver(message())
    assert len(web.requests) == 1
    sink.deliver(message())


def test_webhook_that_is_not_there_fails_and_works_when_it_is():
    port = free_port()
    sink = open_sink(f"http://127.0.0.1:{port}/")
    with pytest.raises(OSError, match="refused"):
        sink.deliver(message())
    web = Receiver(port=port)
    try:
        sink.deliver(message())
        assert web.parts == ["cell 3"]
    finally:
        web.close()


# --- MQTT


class Listener:
    """A subscriber that comes back after the broker does."""

    def __init__(self, port: int) -> None:
        from paho.mqtt import client as mqtt

        self.got: list[tuple[str, int]] = []
        self.subscribed = 0
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("line", "s:cret")
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("ok/#", qos=1)
        self.client.on_subscribe = self._count
        self.client.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, json.loads(message.payload)["sequence"])
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _count(self, *_: object) -> None:
        self.subscribed += 1

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_mqtt_delivers_through_a_broker_and_after_its_restart(broker):
    broker.start()
    listener = Listener(broker.port)
    wait_for(lambda: listener.subscribed == 1, "subscription")
    sink = open_sink(f"mqtt://line:s%3Acret@127.0.0.1:{broker.port}/ok/verdicts")
    assert sink.name == f"mqtt://line@127.0.0.1:{broker.port}/ok/verdicts"
    sink.deliver(message(1))
    sink.deliver(message(2))
    broker.stop()
    began = time.monotonic()
    assert _try(sink, message(3)) is not None
    assert time.monotonic() - began < 5
    broker.start()
    wait_for(lambda: listener.subscribed == 2, "subscription")
    sink.deliver(message(3))
    wait_for(lambda: len(listener.got) == 3, "messages")
    assert listener.got == [("ok/verdicts", n) for n in (1, 2, 3)]
    sink.close()
    listener.close()


def _try(sink, what) -> Exception | None:
    try:
        sink.deliver(what)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(
    ("login", "topic", "said"),
    [
        ("line:wrong", "ok/verdicts", "did not let us in: Not authorized"),
        ("line:s%3Acret", "forbidden", "refused it: Not authorized"),
    ],
)
def test_mqtt_refusals_are_no_deliveries(broker, login, topic, said):
    broker.start()
    sink = open_sink(f"mqtt://{login}@127.0.0.1:{broker.port}/{topic}")
    with pytest.raises(UndeliveredError, match=said):
        sink.deliver(message())
    sink.close()


def test_mqtt_speaks_the_older_version_too(broker):
    broker.start()
    url = f"mqtt://line:s%3Acret@127.0.0.1:{broker.port}/ok/verdicts?version=3.1.1"
    sink = open_sink(url)
    sink.deliver(message())
    sink.close()


# --- OPC UA


class OpcUaServer:
    """A server in a thread with one node of each kind; every value that is written is kept."""

    def __init__(self, port: int) -> None:
        self.url = f"opc.tcp://127.0.0.1:{port}/"
        self.written: list[tuple[str, object]] = []
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    async def _serve(self) -> None:
        from asyncua import Server, ua
        from asyncua.common.callback import CallbackType

        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        names = {}
        for name, kind in {
            "Id": "String", "Part": "String", "Verdict": "String", "Sequence": "Int64",
            "Code": "UInt16", "Real": "Double",
        }.items():  # fmt: skip
            kind = ua.VariantType[kind]
            empty = "" if kind is ua.VariantType.String else 0
            node = await server.nodes.objects.add_variable(
                ua.NodeId(name, 2), name, ua.Variant(empty, kind)
            )
            await node.set_writable()
            names[node.nodeid] = name

        def keep(event, _dispatcher) -> None:
            if event.is_external:
                for write in event.request_params.NodesToWrite:
                    if write.NodeId in names:
                        self.written.append((names[write.NodeId], write.Value.Value.Value))

        server.subscribe_server_callback(CallbackType.PreWrite, keep)
        async with server:
            self._ready.set()
            while not self._stop.is_set():
                await asyncio.sleep(0.05)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)


def test_opcua_writes_the_sequence_number_last_and_again_after_a_restart():
    pytest.importorskip("asyncua")
    port = free_port()
    nodes = "sequence=ns=2;s=Sequence&verdict=ns=2;s=Verdict&part=ns=2;s=Part&id=ns=2;s=Id"
    sink = open_sink(f"opc.tcp://127.0.0.1:{port}/?{nodes}")
    began = time.monotonic()
    assert _try(sink, message()) is not None
    assert time.monotonic() - began < 15
    for n in (8, 9):
        server = OpcUaServer(port)
        wait_for(lambda n=n: _try(sink, message(n)) is None, "delivery")
        assert server.written[-4:] == [
            ("Id", f"id{n}"), ("Part", "cell 3"), ("Verdict", "FAIL"), ("Sequence", n),
        ]  # fmt: skip
        server.close()
    sink.close()


def test_opcua_writes_whole_numbers_and_refuses_what_a_node_cannot_hold():
    pytest.importorskip("asyncua")
    server = OpcUaServer(free_port())
    rest = "part=ns=2;s=Part&sequence=ns=2;s=Sequence"
    sink = open_sink(f"{server.url}?verdict=ns=2;s=Code&{rest}")
    for n, verdict in enumerate(Verdict):
        sink.deliver(message(n, verdict))
    assert [v for name, v in server.written if name == "Code"] == [1, 2, 3]
    sink.close()
    for node, said in (("Real", "is a Double; that cannot hold it"), ("None", "BadNodeIdUnknown")):
        sink = open_sink(f"{server.url}?verdict=ns=2;s={node}&{rest}")
        error = _try(sink, message())
        assert error is not None
        assert said in f"{error!r}"
        sink.close()
    server.close()


# --- URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqt://host/topic", "there is no sink 'mqt'; did you mean 'mqtt'"),
        ("nothing", "there is no sink 'nothing'"),
        ("mqtt://host", "needs a topic"),
        ("mqtt://host/a/%23", "needs a topic without"),
        ("mqtt://host/a/#", "or a character that"),
        ("mqtt://host/t?qos=0", "unknown option"),
        ("mqtt:///topic", "no readable host"),
        ("http://", "no readable host"),
        ("http://host:99999/", "no readable host"),
        ("http://[::1/", "no readable host"),
        ("http://a b/", "no readable host"),
        ("http://host/caf\u00e9", "or a character that"),
        ("file:", "no file"),
        ("file://server/share", "no file"),
        ("file:/no/such/folder/out.jsonl", "no folder"),
        ("opc.tcp://host:4840/", "needs one node each"),
        ("opc.tcp://host/?part=ns=2;s=a&verdict=ns=2;s=b&sequence=x&other=1", "needs one node"),
        ("opc.tcp://host/?part=ns=2;s=a&verdict=b&sequence=ns=2;s=c", "verdict=b .* is no node"),
    ],
)
def test_urls_that_cannot_work_are_refused_without_their_secrets(url, said):
    with pytest.raises(FlawsmithError, match=said):
        open_sink(url.replace("://", "://user:pa55@", 1) if url.startswith("mqtt://h") else url)
    assert {"file", "http", "https", "mqtt", "mqtts", "opc.tcp"} == set(SINKS.names())


@pytest.mark.parametrize(
    ("url", "extra"),
    [
        ("mqtt://host/topic", "mqtt"),
        ("opc.tcp://h/?part=ns=2;s=a&verdict=ns=2;s=b&sequence=ns=2;s=c", "opcua"),
    ],
)
def test_a_missing_package_names_the_extra(monkeypatch, url, extra):
    monkeypatch.setattr("flawsmith.line.sinks.base.find_spec", lambda _: None)
    with pytest.raises(FlawsmithError, match=rf"pip install 'flawsmith\[{extra}\]'"):
        open_sink(url)
