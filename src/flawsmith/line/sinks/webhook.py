"""``http://`` and ``https://``: the message is posted; any 2xx answer means that it was taken."""

import base64
import http.client
from urllib.parse import SplitResult

from flawsmith.line.sinks.base import (
    SINKS,
    TIMEOUT_SECONDS,
    Message,
    Sink,
    UndeliveredError,
    credentials,
    public_name,
    split_url,
)

_ANSWER_BYTES = 200


@SINKS.register("http")
@SINKS.register("https")
class WebhookSink(Sink):
    """Posts JSON; the id is also in the header ``Idempotency-Key``.

    A redirection is not followed: it would turn the message into another request. User and
    password in the URL go out as HTTP basic authentication.
    """

    def __init__(self, url: str) -> None:
        self._parts: SplitResult = split_url(url, "https://host/path")
        self.name = public_name(self._parts)
        self._target = self._parts.path or "/"
        if self._parts.query:
            self._target += f"?{self._parts.query}"

    def deliver(self, message: Message) -> None:
        """Post the message on a connection of its own."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": message.id,
            "User-Agent": "flawsmith",
        }
        if (found := credentials(self._parts)) is not None:
            text = base64.b64encode(":".join(found).encode("utf-8")).decode("ascii")
            headers["Authorization"] = f"Basic {text}"
        connection = self._connection()
        try:
            connection.request("POST", self._target, body=message.body, headers=headers)
            answer = connection.getresponse()
            text = answer.read(_ANSWER_BYTES).decode("utf-8", "replace")
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            detail = f": {' '.join(text.split())}" if text.strip() else ""
            raise UndeliveredError(f"answered {answer.status} {answer.reason}{detail}")

    def _connection(self) -> http.client.HTTPConnection:
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(str(self._parts.hostname), self._parts.port, timeout=TIMEOUT_SECONDS)
