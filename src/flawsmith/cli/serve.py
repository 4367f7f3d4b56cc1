"""``flawsmith serve``: inspect images that come in over HTTP."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.inspect import (
    NOTHING_KEPT,
    Audit,
    Device,
    KeepImages,
    LayoutFile,
    RulesFile,
    load_model,
)
from flawsmith.cli.sinks import SinkUrls
from flawsmith.cli.stored import StoreUrl

if TYPE_CHECKING:
    from flawsmith.line.inspector import Inspector


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("serve")(serve)


def serve(
    model: Annotated[Path, typer.Option(help="Exported model.")],
    rules: RulesFile = None,
    store: StoreUrl = "results.db",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 8080,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the secret that callers have to send.")
    ] = None,
    queue: Annotated[
        int, typer.Option(min=1, max=1000, help="Images at once; more are sent away.")
    ] = 8,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=268, help="Largest image, in million pixels.")
    ] = 64.0,
    max_bytes: Annotated[
        int, typer.Option(min=1, max=1 << 31, help="Largest image as a file.")
    ] = 64 << 20,
    sink: SinkUrls = None,
    part_layout: LayoutFile = None,
    device: Device = "CPU",
    audit: Audit = 0.0,
    keep_images: KeepImages = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of this service; it finds its waiting parts again. [MACHINE:PORT]"),
    ] = None,
) -> None:
    """Inspect posted images: verdict and regions in the answer, stored before it is given."""
    _require_extra()
    from flawsmith.line.image_archive import ImageArchive
    from flawsmith.line.inspector import Inspector
    from flawsmith.line.reviews.audit import AuditLot
    from flawsmith.line.service import Service, ServiceSettings
    from flawsmith.line.sinks import open_sink
    from flawsmith.line.store import Store

    _start_log()
    if audit and keep_images is None:
        console.print(f"note: {NOTHING_KEPT}", markup=False)
    token = _token(host, token_file)
    settings = ServiceSettings(
        host=host, port=port, token=token, queue=queue, max_pixels=round(max_megapixels * 1e6),
        max_bytes=max_bytes,
    )  # fmt: skip
    sinks = [open_sink(url) for url in sink or ()]
    placed, identity, accepted, _ = load_model(model, rules, device=device, layout=part_layout)
    with Store(store) as opened:
        inspector = Inspector(
            placed, identity, accepted, opened, sinks=[s.name for s in sinks],
            audit=AuditLot(opened, audit).rate_for if audit else None,
            holder=name or f"{socket.gethostname()}:{port}",
        )  # fmt: skip
        archive = ImageArchive(keep_images, opened) if keep_images is not None else None
        service = Service(inspector, settings, sinks, archive=archive)
        service.run(lambda url: _announce(url, inspector))


def _announce(url: str, inspector: Inspector) -> None:
    from flawsmith.line.store.waiting import waiting_elsewhere

    views = ", ".join(inspector.rules.expected_views) or "any"
    for holder, count in waiting_elsewhere(inspector.store, inspector.holder or "").items():
        console.print(
            f"note: {count} views wait for the service {holder} of this store; if it was renamed, "
            f"start it with --name {holder}",
            markup=False,
        )
    console.print(
        f"model {inspector.identity[:16]}, views of a part: {views}, "
        f"store {inspector.store.name}\nserving at {url} (description: {url}/openapi.json)",
        markup=False,
    )


def _token(host: str, token_file: Path | None) -> str | None:
    from flawsmith.line.service.auth import read_token, require_token

    token = read_token(token_file) if token_file is not None else None
    require_token(host, token)
    return token


def _require_extra() -> None:
    from flawsmith.line.sinks.base import require_package

    for package in ("fastapi", "prometheus_client", "uvicorn"):
        require_package(package, "serve", "flawsmith serve")


def _start_log() -> None:
    """Send what happens to standard error, without what libraries say of every step."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("alembic", "asyncua", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
