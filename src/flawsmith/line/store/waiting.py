"""Views that were answered for but have no verdict yet: a kill must not lose them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from flawsmith.line.results import ImageInspection
from flawsmith.line.store.store import Store
from flawsmith.line.store.tables import PartRow, WaitingRow


@dataclass(frozen=True)
class WaitingView:
    """One inspected image of a part whose other views are missing.

    Attributes:
        received_at: when it was kept.
        refusal: why the service could not inspect it, or empty.
    """

    inspection: ImageInspection
    received_at: datetime
    refusal: str = ""


def keep_waiting(store: Store, holder: str, inspection: ImageInspection, refusal: str = "") -> None:
    """Store a view durably until its part is recorded.

    Args:
        store: where.
        holder: name of the service that waits; several may share a store.
        inspection: of the view.
        refusal: why it could not be inspected, or empty.

    Raises:
        FlawsmithError: if it could not be stored.
    """
    with store.transaction() as session:
        session.add(
            WaitingRow(
                holder=holder, part=inspection.part, received_at=datetime.now(UTC),
                refusal=refusal, inspection=inspection.model_dump(mode="json"),
            )
        )  # fmt: skip


def waiting_views(store: Store, holder: str) -> list[WaitingView]:
    """Return the views that a service kept and whose parts are not recorded, oldest first.

    A part that another service has recorded since is done: its views here are out of date.
    """
    found = sa.select(WaitingRow).where(WaitingRow.holder == holder, ~out_of_date())
    found = found.order_by(WaitingRow.id)
    with store.reading() as session:
        return [
            WaitingView(
                ImageInspection.model_validate(row.inspection), row.received_at, row.refusal
            )
            for row in session.scalars(found)
        ]


def waiting_elsewhere(store: Store, holder: str) -> dict[str, int]:
    """Return the other services that wait for views in a store, each with how many it has kept."""
    found = (
        sa.select(WaitingRow.holder, sa.func.count())
        .where(WaitingRow.holder != holder, ~out_of_date())
        .group_by(WaitingRow.holder)
        .order_by(WaitingRow.holder)
    )
    with store.reading() as session:
        return {name: count for name, count in session.execute(found)}


def out_of_date() -> sa.ColumnElement[bool]:
    """Return the condition of a kept view whose part was recorded since, by whichever service."""
    return sa.exists().where(
        PartRow.part == WaitingRow.part, PartRow.finished_at > WaitingRow.received_at
    )
