"""Who may talk to the service: a token beyond this machine, no foreign web pages on it."""

import hmac
import ipaddress
import json
import re
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from flawsmith.errors import FlawsmithError

MIN_TOKEN = 16
"""Characters; 16 random ones cannot be found by trying."""

OPEN_PATH = "/health"
"""Answers everybody, so that a supervisor needs no token; details are for those who have it."""

AUTHORISED = "flawsmith.authorised"
"""Key in a request's scope: whether its sender may see details."""


def is_loopback(host: str) -> bool:
    """Tell whether an address or name is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """Return the token in the first and only line of a file.

    Raises:
        FlawsmithError: if it cannot be read, or is no safe token.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(4096).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FlawsmithError(f"the token file {path} cannot be read: {error}") from None
    if len(text) < MIN_TOKEN or re.fullmatch(r"[\x21-\x7e]+", text) is None:
        raise FlawsmithError(
            f"{path} has no token: expected one line with {MIN_TOKEN} or more letters and digits, "
            "such as openssl rand -hex 32 prints"
        )
    return text


def require_token(host: str, token: str | None) -> None:
    """Raise a `FlawsmithError` if others could reach the service and it had no token."""
    if token is None and not is_loopback(host):
        raise FlawsmithError(
            f"--host {host} lets other machines in: give --token-file FILE with a secret that they "
            "have to send, or leave the host at 127.0.0.1"
        )


class Guard:
    """Lets a request through only if it has the token.

    Without a token only this machine gets here, but so do web pages in its browser: those are told
    by their ``Origin``, and by a ``Host`` that is not this machine (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token.encode("ascii") if token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403 in the application's place, or hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        problem = self._problem(headers)
        if problem is None or scope["path"] == OPEN_PATH:
            scope[AUTHORISED] = problem is None
            await self._app(scope, receive, send)
            return
        status, text = problem
        answer = [(b"content-type", b"application/json")]
        if status == 401:
            answer.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": answer})
        body = json.dumps({"detail": text}).encode()
        await send({"type": "http.response.body", "body": body})

    def _problem(self, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if self._token is not None:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            # In constant time: how long it takes must not tell how much of a guess was right.
            if kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
                return None
            return 401, "send the service's token in the header Authorization: Bearer TOKEN"
        host = headers.get(b"host", b"localhost").decode("latin-1")
        name = host[: host.rindex("]") + 1] if "]" in host else host.partition(":")[0]
        if b"origin" in headers or not is_loopback(name):
            return 403, "without a token no web page and no other machine may use this service"
        return None
