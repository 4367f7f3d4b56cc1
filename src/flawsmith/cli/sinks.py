"""``flawsmith sinks``: how far the receivers of verdicts are behind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.stored import StoreUrl, open_store
from flawsmith.errors import FlawsmithError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flawsmith.line.sinks.outbox import Outbox, SinkState
    from flawsmith.line.store import Store

SinkUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--sink", metavar="URL", envvar="FLAWSMITH_SINKS",
        help="mqtt://host/topic, opc.tcp://..., https://..., file:...; may be repeated.",
    ),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    sinks = typer.Typer(no_args_is_help=True, help="What receivers of verdicts have been told.")
    sinks.command("status")(status)
    sinks.command("retry")(retry)
    sinks.command("skip")(skip)
    app.add_typer(sinks, name="sinks")


def status(
    store: StoreUrl = "results.db",
    json: Annotated[bool, typer.Option("--json", help="One line of JSON for each sink.")] = False,
) -> None:
    """Show for each sink what it has taken, what waits and why; status 1 if something waits."""
    import dataclasses
    from json import dumps

    from flawsmith.line.sinks.outbox import Outbox

    with open_store(store) as opened:
        states = Outbox(opened).states()
    if json:
        for state in states:
            print(dumps(dataclasses.asdict(state), default=str, ensure_ascii=False))
    elif not states:
        console.print("no sink has ever been given to this store")
    else:
        for state in states:
            print(_words(state))
    if any(state.pending for state in states):
        raise typer.Exit(1)


def _words(state: SinkState) -> str:
    told = f"{state.sink}: {state.delivered} delivered"
    told += f", {state.skipped} skipped" * bool(state.skipped)
    if not state.pending:
        return f"{told}, nothing waits"
    tries = f"{state.attempts} tries" if state.attempts != 1 else "1 try"
    return (
        f"{told}, {state.pending} waiting for {state.lag_seconds:.0f} s; the oldest is "
        f"{state.first_pending}, after {tries}: {state.error or 'not tried yet'}"
    )


def retry(
    sink: Annotated[
        str | None, typer.Argument(help="Name, as flawsmith sinks status shows it. [all]")
    ] = None,
    store: StoreUrl = "results.db",
) -> None:
    """Make what waits due at once; the service that has the sink then tries it."""
    from flawsmith.line.sinks.outbox import Outbox

    with open_store(store) as opened:
        outbox = Outbox(opened)
        if sink is not None:
            _require_sink(outbox, sink)
        count = outbox.retry(sink)
    console.print(f"{count} messages are due now")


def skip(
    sink: Annotated[str, typer.Argument(help="Name, as flawsmith sinks status shows it.")],
    message: Annotated[int, typer.Option(help="Number of the oldest message, which is given up.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the message.")],
    store: StoreUrl = "results.db",
) -> None:
    """Give up the message that a sink will never take, so that those behind it get through."""
    from flawsmith.line.sinks.outbox import Outbox

    with open_store(store) as opened:
        outbox = Outbox(opened)
        _require_sink(outbox, sink)
        outbox.skip(sink, message, reason)
    console.print(
        f"{sink} will not be told of result {message}; flawsmith results has it", markup=False
    )


def _require_sink(outbox: Outbox, sink: str) -> None:
    from flawsmith.registry import nearest_name

    known = [state.sink for state in outbox.states()]
    if sink not in known:
        raise FlawsmithError(
            f"no sink {sink} in this store{nearest_name(sink, known)} "
            f"(known: {', '.join(known) or 'none'})"
        )


@contextmanager
def delivering(store: Store, urls: list[str] | None) -> Iterator[list[str]]:
    """Deliver to sinks while the block runs; yield their names.

    Raises:
        FlawsmithError: for a URL that is no sink, or given twice.
    """
    from flawsmith.line.sinks import open_sink
    from flawsmith.line.sinks.courier import Couriers

    couriers = Couriers(store, [open_sink(url) for url in urls or ()])
    couriers.start()
    try:
        yield couriers.names
    finally:
        couriers.stop()
