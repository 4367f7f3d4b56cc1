"""What the verbs that read a results store share: its address, and a period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from flawsmith.line.store import Store

StoreUrl = Annotated[str, typer.Option("--store", help="Results store: file or URL.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From this time on (UTC).")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this time (UTC).")]


def open_store(url: str) -> Store:
    """Return a store that is there already.

    Raises:
        FlawsmithError: if it is not, or cannot be opened.
    """
    from pathlib import Path

    from flawsmith.errors import FlawsmithError
    from flawsmith.line.store import Store
    from flawsmith.line.store.database import parse_url

    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
        raise FlawsmithError(
            f"there is no results store {parsed.database}; flawsmith inspect makes one, "
            "and --store says where it is"
        )
    return Store(url)


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return both ends of a period as times.

    Raises:
        FlawsmithError: if one is no time, or the end is not after the beginning.
    """
    from flawsmith.line.reviews.periods import check_order, parse_time

    begin = parse_time(since, option="--since") if since is not None else None
    end = parse_time(until, option="--until") if until is not None else None
    check_order(begin, end)
    return begin, end
