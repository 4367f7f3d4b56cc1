"""The outbox in the results store: what each sink has still to be told, and how it went so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from flawsmith.errors import FlawsmithError
from flawsmith.line.sinks.base import Message
from flawsmith.line.sinks.message import build_message
from flawsmith.line.store import Store
from flawsmith.line.store.tables import CounterRow, DeliveryRow, PartRow

MAX_ERROR = 500
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class Delivery:
    """One message that a sink has not taken yet.

    Attributes:
        id: of its row.
        sequence: number of the part.
        attempts: tries so far, all in vain.
        next_try_at: not before this time.
    """

    id: int
    sequence: int
    attempts: int
    next_try_at: datetime


@dataclass(frozen=True)
class SinkState:
    """How far a sink is behind.

    Attributes:
        delivered: messages that it has taken.
        pending: messages that it has not.
        skipped: messages that a person gave up.
        first_pending: sequence number of the oldest of those; None if there is none.
        lag_seconds: age of that one.
        attempts: tries at that one so far.
        next_try_at: when it is tried next.
        error: why the last try failed.
    """

    sink: str
    delivered: int
    pending: int
    skipped: int = 0
    first_pending: int | None = None
    lag_seconds: float = 0.0
    attempts: int = 0
    next_try_at: datetime | None = None
    error: str | None = None


class Outbox:
    """The messages of all sinks in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def next(self, sink: str, *, after: int = 0) -> tuple[Delivery | None, int]:
        """Return the oldest message that a sink has not taken, and where to look from next time.

        Sequence numbers are given out in the order of the commits, so that below the number
        returned nothing can come up any more.

        Args:
            sink: its name.
            after: parts up to this number are known to be delivered.
        """
        with self._store.reading() as session:
            # First, so that a part that is stored between the two statements is not stepped over.
            newest = session.scalar(sa.select(CounterRow.value).where(CounterRow.name == "part"))
            row = session.scalar(
                sa.select(DeliveryRow)
                .where(
                    DeliveryRow.sink == sink,
                    DeliveryRow.part_id > after,
                    DeliveryRow.waits(),
                )
                .order_by(DeliveryRow.part_id)
                .limit(1)
            )
            if row is None:
                return None, max(after, newest or 0)
            return Delivery(row.id, row.part_id, row.attempts, row.next_try_at), row.part_id - 1

    def message(self, sequence: int) -> Message:
        """Return what is to be said of a part."""
        with self._store.reading() as session:
            key = session.scalar(sa.select(PartRow.key).where(PartRow.id == sequence))
        return build_message(self._store.get(sequence), key or "")

    def delivered(self, delivery: Delivery) -> None:
        """Note that the sink has taken it."""
        # Taken is taken, also if a person gave it up meanwhile.
        values = {"delivered_at": datetime.now(UTC), "skipped_at": None, "last_error": None}
        self._note(delivery, values)

    def failed(self, delivery: Delivery, error: str, next_try_at: datetime) -> None:
        """Note why a try failed and when the next one is due."""
        values = {"last_error": error[:MAX_ERROR], "next_try_at": next_try_at}
        self._note(delivery, values, DeliveryRow.waits())

    def _note(
        self,
        delivery: Delivery,
        values: Mapping[str, object],
        *conditions: sa.ColumnElement[bool],
    ) -> None:
        step = sa.update(DeliveryRow).where(DeliveryRow.id == delivery.id, *conditions)
        with self._store.transaction() as session:
            session.execute(step.values(attempts=delivery.attempts + 1, **values))

    def retry(self, sink: str | None = None) -> int:
        """Make everything that waits due at once; return how many messages that are."""
        step = sa.update(DeliveryRow).where(DeliveryRow.waits())
        if sink is not None:
            step = step.where(DeliveryRow.sink == sink)
        step = step.values(next_try_at=datetime.now(UTC)).returning(DeliveryRow.id)
        with self._store.transaction() as session:
            return len(session.scalars(step).all())

    def skip(self, sink: str, sequence: int, reason: str) -> None:
        """Give up the oldest message of a sink, which holds up all behind it; its row stays.

        Args:
            sink: its name.
            sequence: of the message, so that no other one is given up by mistake.
            reason: of the person who does it.

        Raises:
            FlawsmithError: if another message, or none, is the oldest that waits.
        """
        delivery, _ = self.next(sink)
        if delivery is None or delivery.sequence != sequence:
            oldest = "nothing waits" if delivery is None else f"the oldest is {delivery.sequence}"
            raise FlawsmithError(
                f"message {sequence} does not hold up {sink}: {oldest}; "
                "flawsmith sinks status shows it"
            )
        step = sa.update(DeliveryRow).where(DeliveryRow.id == delivery.id, DeliveryRow.waits())
        values = {"skipped_at": datetime.now(UTC), "last_error": f"skipped: {reason}"[:MAX_ERROR]}
        with self._store.transaction() as session:
            done = session.execute(step.values(values).returning(DeliveryRow.id)).all()
        if not done:
            raise FlawsmithError(f"message {sequence} was taken by {sink} just now")

    def states(self) -> list[SinkState]:
        """Return how far every sink is that has ever been written to, by name."""
        waits = DeliveryRow.waits()
        rows = sa.select(
            DeliveryRow.sink,
            sa.func.count(sa.case((waits, 1))),
            sa.func.count(DeliveryRow.delivered_at),
            sa.func.count(DeliveryRow.skipped_at),
            sa.func.min(sa.case((waits, DeliveryRow.part_id))),
        )
        rows = rows.group_by(DeliveryRow.sink).order_by(DeliveryRow.sink)
        with self._store.reading() as session:
            found = session.execute(rows).all()
            heads = {
                (row.sink, row.part_id): (row, finished)
                for sink, *_, first in found
                if first is not None
                for row, finished in session.execute(
                    sa.select(DeliveryRow, PartRow.finished_at)
                    .join(PartRow, PartRow.id == DeliveryRow.part_id)
                    .where(DeliveryRow.sink == sink, DeliveryRow.part_id == first)
                )
            }
            return [_state(*row, *heads.get((row[0], row[-1]), (None, None))) for row in found]

    def lag(self, sink: str) -> tuple[int, float]:
        """Return how many messages wait for a sink, and the age of the oldest in seconds."""
        waiting = (
            sa.select(sa.func.count(), sa.func.min(PartRow.finished_at))
            .join(DeliveryRow, PartRow.id == DeliveryRow.part_id)
            .where(DeliveryRow.sink == sink, DeliveryRow.waits())
        )
        with self._store.reading() as session:
            count, oldest = session.execute(waiting).one()
        return count, _age(oldest)


def _state(
    sink: str,
    pending: int,
    delivered: int,
    skipped: int,
    first: int | None,
    row: DeliveryRow | None,
    finished: datetime | None,
) -> SinkState:
    if row is None or first is None:
        return SinkState(sink, delivered, pending, skipped)
    return SinkState(
        sink=sink, delivered=delivered, pending=pending, skipped=skipped, first_pending=first,
        lag_seconds=_age(finished), attempts=row.attempts, next_try_at=row.next_try_at,
        error=row.last_error,
    )  # fmt: skip


def _age(since: datetime | None) -> float:
    """Return seconds from a time to now, 0 where the clock was put back."""
    return max(0.0, (datetime.now(UTC) - since).total_seconds()) if since else 0.0
