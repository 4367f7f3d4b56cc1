"""``mqtt://host/topic``: the message is published with quality of service 1."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from flawsmith.errors import FlawsmithError
from flawsmith.line.sinks.base import (
    SINKS,
    TIMEOUT_SECONDS,
    Message,
    Sink,
    UndeliveredError,
    credentials,
    public_name,
    require_package,
    split_url,
)

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS = ("5", "3.1.1")
_NO_ANSWER = f"no answer in {TIMEOUT_SECONDS:g} s"


@dataclass
class _Link:
    """What the broker has said on one connection.

    Attributes:
        entry: why it let nobody in, empty if it did, None before it has answered.
        answers: number of a message -> why it was refused, empty if it was taken.
    """

    entry: str | None = None
    answers: dict[int, str] = field(default_factory=dict)
    lost: bool = False


@SINKS.register("mqtt")
@SINKS.register("mqtts")
class MqttSink(Sink):
    """Publishes to one topic; delivered means acknowledged by the broker.

    MQTT 5 by default, in which a broker says when it refuses a message; ``?version=3.1.1`` is for
    brokers that know nothing newer and drop what they refuse in silence. ``mqtts`` is TLS with the
    system's certificates.
    """

    def __init__(self, url: str) -> None:
        self._parts = split_url(url, "mqtt://host/topic")
        self._topic = unquote(self._parts.path[1:])
        if not self._topic or any(c in self._topic for c in "+#\0"):
            raise FlawsmithError(
                f"the sink {public_name(self._parts)} needs a topic without + and #, such as "
                "mqtt://host/line1/verdicts"
            )
        options = parse_qs(self._parts.query, keep_blank_values=True)
        self._version = options.pop("version", [_VERSIONS[0]])[-1]
        if options or self._version not in _VERSIONS:
            raise FlawsmithError(
                f"the sink {public_name(self._parts)} has an unknown option; there is only "
                "version=5 and version=3.1.1"
            )
        require_package("paho", "mqtt", "an MQTT sink")
        self.name = public_name(self._parts)
        self._client: Client | None = None
        self._news = threading.Condition()
        self._link = _Link()

    def deliver(self, message: Message) -> None:
        """Publish and wait for the broker's acknowledgement."""
        try:
            client = self._connected()
            number = client.publish(self._topic, message.body, qos=1).mid
            answers, link = self._link.answers, self._link
            self._wait(lambda: number in answers or link.lost)
            if number not in answers:
                raise UndeliveredError("the connection was lost" if link.lost else _NO_ANSWER)
            if refusal := answers.pop(number):
                raise UndeliveredError(f"the broker refused it: {refusal}")
        except BaseException:
            self.close()  # what paho has still in its queue must not be published beside the retry
            raise

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _wait(self, ready: Callable[[], bool]) -> None:
        with self._news:
            self._news.wait_for(ready, TIMEOUT_SECONDS)

    def _connected(self) -> Client:
        if self._client is not None and not self._link.lost:
            return self._client
        self.close()
        from paho.mqtt import client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        protocol = mqtt.MQTTv5 if self._version == "5" else mqtt.MQTTv311
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False
        )
        if (found := credentials(self._parts)) is not None:
            client.username_pw_set(*found)
        if self._parts.scheme == "mqtts":
            client.tls_set()
        self._link = link = _Link()
        self._listen(client, link)
        client.connect_timeout = TIMEOUT_SECONDS
        client.connect(str(self._parts.hostname), self._parts.port or _PORTS[self._parts.scheme])
        self._client = client
        client.loop_start()
        self._wait(lambda: link.entry is not None or link.lost)
        if link.entry != "":
            raise UndeliveredError(f"the broker did not let us in: {link.entry or _NO_ANSWER}")
        return client

    def _listen(self, client: Client, link: _Link) -> None:
        """Note what the broker answers, in paho's thread."""

        def on_connect(*values: Any) -> None:  # noqa: ANN401 - paho's five arguments
            with self._news:
                link.entry = str(values[3]) if values[3].is_failure else ""
                self._news.notify()

        def on_publish(*values: Any) -> None:  # noqa: ANN401 - as above
            with self._news:
                link.answers[values[2]] = str(values[3]) if values[3].is_failure else ""
                self._news.notify()

        def on_disconnect(*_: Any) -> None:  # noqa: ANN401 - as above
            with self._news:
                link.lost = True
                self._news.notify()

        client.on_connect, client.on_publish = on_connect, on_publish
        client.on_disconnect = on_disconnect
