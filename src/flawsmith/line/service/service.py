"""The service: images come in over HTTP, verdicts go out after they are stored."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import ClientDisconnect

from flawsmith import __version__
from flawsmith.errors import FlawsmithError
from flawsmith.line.image_archive import ImageArchive
from flawsmith.line.inspector import Inspector
from flawsmith.line.part_pattern import MAX_NAME
from flawsmith.line.service.answers import (
    PART_RESPONSES,
    VIEW_RESPONSES,
    PartAnswer,
    Problem,
    WaitingAnswer,
)
from flawsmith.line.service.auth import AUTHORISED, Guard, require_token
from flawsmith.line.service.health import Health, HealthCheck, Metrics
from flawsmith.line.service.parts import TOO_LARGE, Outcome, ServiceParts, newest_number
from flawsmith.line.service.queue import InspectionQueue
from flawsmith.line.sinks.base import Sink
from flawsmith.line.sinks.courier import Couriers, Patience
from flawsmith.line.store.part_record import PartRecord

KEEP_ALIVE_SECONDS = 75
"""How long a caller's connection stays open between parts: longer than the cycle of a slow line."""

_UPLOAD = {
    "requestBody": {
        "required": True,
        "description": "The image as a file: PNG, JPEG, TIFF or BMP.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceSettings:
    """How the service takes images.

    Attributes:
        host: address to listen at; beyond this machine it needs a token.
        port: 0 for any free one.
        queue: images at once, being received, waiting or inspected.
        max_pixels: of an image.
        max_bytes: of an image as it comes.
        body_seconds: in which an image has to be here, so that a slow sender holds no place.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    queue: int = 8
    max_pixels: int = 64_000_000
    max_bytes: int = 64 << 20
    body_seconds: float = 30.0


class Service:
    """Everything between the wire and the store.

    Args:
        inspector: inspects and stores; it knows the names of the sinks.
        sinks: are told of every verdict, after it is stored.
        settings: of the wire.
        patience: of the sinks.
        archive: keeps the posted images; None keeps none.

    Raises:
        FlawsmithError: if other machines could get in without a token.
    """

    def __init__(
        self,
        inspector: Inspector,
        settings: ServiceSettings,
        sinks: Sequence[Sink] = (),
        patience: Patience | None = None,
        archive: ImageArchive | None = None,
    ) -> None:
        require_token(settings.host, settings.token)
        self.settings = settings
        self._store = inspector.store
        self._couriers = Couriers(inspector.store, sinks, patience)
        self._parts = ServiceParts(
            inspector, max_pixels=settings.max_pixels, archive=archive, stored=self._stored
        )
        self._queue = InspectionQueue(self._parts, limit=settings.queue)
        self._health = HealthCheck(inspector.store, self._queue)
        self._metrics = Metrics(inspector.store, self._queue, self._couriers.names)

    def run(self, ready: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT, then finish what was accepted.

        Args:
            ready: called with the service's URL when it can be used.

        Raises:
            FlawsmithError: if the address is not free, or accepted parts could not be stored.
        """
        listener = _listen(self.settings.host, self.settings.port)
        host, port = listener.getsockname()[:2]
        config = uvicorn.Config(
            self.app(), log_config=None, access_log=False, lifespan="off", ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        # uvicorn raises the signal again after its own end; what follows has to be done first.
        before = {s: signal.signal(s, _note_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        self.start()
        try:
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            server.run(sockets=[listener])
        finally:
            unstored = self.close()
            listener.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        if unstored:
            raise FlawsmithError(
                "parts that could not be stored and have no verdict: "
                f"{', '.join(unstored[:10])}; inspect again those that have none after the next "
                "start"
            )

    def start(self) -> None:
        """Begin to inspect, and go on with what an earlier process waited for or left over."""
        self._parts.restore()
        self._couriers.start()
        self._queue.start()

    def close(self) -> list[str]:
        """Finish what was accepted; return the names of parts that could not be stored."""
        unstored = self._queue.close()
        self._couriers.stop()
        return unstored

    def _stored(self, record: PartRecord) -> None:
        self._metrics.stored(record)
        self._couriers.wake()

    def app(self) -> FastAPI:
        """Return the application; its description is at ``/openapi.json``."""
        # The pages that show the description fetch their scripts from elsewhere: no line PC can.
        app = FastAPI(
            title="Flawsmith",
            version=__version__,
            description="Inspection of parts. No answer but PASS means that a part is good.",
            docs_url=None,
            redoc_url=None,
        )
        app.add_middleware(Guard, token=self.settings.token)
        app.add_exception_handler(FlawsmithError, self._store_failed)
        for path, handler, summary in (
            ("/parts/{part}/views/{view}", self._post_view, "Inspect a view of a part"),
            ("/parts/{part}", self._post_part, "Inspect a part of which there is one image"),
        ):
            app.post(
                path, summary=summary, response_model=PartAnswer, responses=VIEW_RESPONSES,
                openapi_extra=_UPLOAD,
            )(handler)  # fmt: skip
        app.get(
            "/parts/{part}", summary="Last verdict of a part", response_model=PartAnswer,
            responses=PART_RESPONSES,
        )(self._get_part)  # fmt: skip
        not_ready: dict[int | str, dict[str, Any]] = {
            503: {"model": Health, "description": "Not ready."}
        }
        app.get("/health", summary="Whether it works", response_model=Health, responses=not_ready)(
            self._get_health
        )
        app.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)(
            self._get_metrics
        )
        return app

    async def _post_view(self, part: str, view: str, request: Request) -> Response:
        began = time.monotonic()
        response = await self._inspect(part, view, request)
        self._metrics.answered(response.status_code, time.monotonic() - began)
        return response

    async def _post_part(self, part: str, request: Request) -> Response:
        return await self._post_view(part, "", request)

    async def _inspect(self, part: str, view: str, request: Request) -> Response:
        for what, name in (("part", part), ("view", view)):
            if len(name) > MAX_NAME or not name.isprintable():
                text = f"the {what}'s name has over {MAX_NAME} characters, or unprintable ones"
                return _problem(HTTPStatus.BAD_REQUEST, text)
        if not self._queue.reserve():
            text = f"{self._queue.length} images are being handled, and this service takes no more"
            return self._busy(text)
        data: bytes | Response | None = None
        try:
            data = await self._body(request)
        finally:
            if not isinstance(data, bytes):
                self._queue.release()
        if not isinstance(data, bytes):
            return data or Response(status_code=HTTPStatus.BAD_REQUEST)
        task = asyncio.wrap_future(self._queue.submit(part, view, data))
        del data
        try:
            # Shielded: a client that goes away does not undo what was accepted.
            outcome = await asyncio.shield(task)
        except FlawsmithError as error:
            _log.error("part %s is not stored yet: %s", part, error)
            return self._busy(f"there is no verdict, and nothing is promised: {error}")
        return self._answer(outcome)

    async def _body(self, request: Request) -> bytes | Response:
        """Return the image, or the answer to a request that does not bring one."""
        limit = self.settings.max_bytes
        large = _problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"an image may have {limit:,} bytes; nothing of this one is stored",
        )
        claimed = request.headers.get("content-length", "")
        if claimed.isdecimal() and int(claimed[:20]) > limit:
            return large
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.body_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        return large
                    chunks.append(chunk)
        except TimeoutError:
            text = f"the image did not come within {self.settings.body_seconds:g} s"
            return _problem(HTTPStatus.REQUEST_TIMEOUT, text)
        except ClientDisconnect:
            return _problem(HTTPStatus.BAD_REQUEST, "the image ended before its announced length")
        return b"".join(chunks)

    def _busy(self, text: str) -> Response:
        wait = {"Retry-After": str(self._queue.retry_after())}
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, text, headers=wait)

    def _answer(self, outcome: Outcome) -> Response:
        result = None
        if outcome.record is not None:
            result = PartAnswer.of(outcome.record, repeated=outcome.repeated)
        if outcome.refusal and outcome.seen is not None:
            large = outcome.refusal == TOO_LARGE
            status = (
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.UNPROCESSABLE_ENTITY
            )
            detail = outcome.seen.problem or outcome.refusal
            return _problem(status, detail, result=result, missing=list(outcome.missing))
        if result is not None:
            return _json(HTTPStatus.OK, result)
        assert outcome.seen is not None
        waiting = WaitingAnswer(
            part=outcome.seen.part, missing=list(outcome.missing),
            timeout_seconds=self._parts.timeout, image=outcome.seen,
        )  # fmt: skip
        return _json(HTTPStatus.ACCEPTED, waiting)

    def _get_part(self, part: str) -> Response:
        number = newest_number(self._store, part) if part.isprintable() else None
        if number is None:
            return _problem(HTTPStatus.NOT_FOUND, f"part {part} has no verdict")
        return _json(HTTPStatus.OK, PartAnswer.of(self._store.get(number)))

    def _get_health(self, request: Request) -> Response:
        found = self._health.look()
        if not request.scope.get(AUTHORISED):
            found = found.model_copy(update={"problems": []})
        return _json(HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE, found)

    def _get_metrics(self) -> Response:
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _store_failed(self, _request: Request, error: Exception) -> Response:
        return self._busy(str(error))


def _json(status: HTTPStatus, value: PartAnswer | WaitingAnswer | Problem | Health,
          headers: dict[str, str] | None = None) -> Response:  # fmt: skip
    return Response(value.model_dump_json(), status, headers=headers, media_type="application/json")


def _problem(
    status: HTTPStatus,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401 - of Problem
) -> Response:
    return _json(status, Problem(detail=detail, **more), headers)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        FlawsmithError: if the address is none of this machine's, or taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        raise FlawsmithError(
            f"cannot listen at {host} port {port}: {error}; give another --host or --port"
        ) from None
    return listener


def _note_signal(number: int, _frame: object) -> None:
    _log.info("ended by %s; what was accepted is finished", signal.Signals(number).name)
