"""Which results may go: old ones, of which nobody will ask again."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.store.store import Store
from flawsmith.line.store.tables import DeliveryRow, PartRow, WaitingRow
from flawsmith.line.store.waiting import out_of_date

MAX_DAYS = 36_500
BATCH = 500
"""Parts removed in one transaction, so that the line never waits long for its turn."""


@dataclass(frozen=True)
class Retained:
    """What retention did, or would do.

    Attributes:
        removed: passed parts that nobody has looked at.
        removed_reviewed: failed, doubtful or reviewed ones.
        under_review: parts that were old enough, but wait for a person.
        undelivered: parts that were old enough, but not all sinks have them.
        before: parts finished before this time were old enough.
    """

    removed: int
    removed_reviewed: int
    under_review: int
    undelivered: int
    before: datetime


def retain(
    store: Store,
    keep_days: float,
    *,
    keep_reviewed_days: float | None = None,
    dry_run: bool = False,
) -> Retained:
    """Remove parts that are older than they have to be, with their images, regions and reviews.

    What waits for a person is never removed: a failed, doubtful or audited part without a review.
    Neither is what a sink has not taken yet. Age counts from the newest result where the clock is
    ahead of it, so that a clock that has jumped, or a line that stood still, empties no store.

    Args:
        store: to remove from.
        keep_days: for passed parts that are neither audited nor reviewed.
        keep_reviewed_days: for all others once they are reviewed; None keeps them for good.
        dry_run: count and remove nothing.

    Raises:
        FlawsmithError: for impossible days.
    """
    for days in (keep_days, keep_reviewed_days):
        if days is not None and not 0 < days <= MAX_DAYS:
            raise FlawsmithError(f"{days:g} days; expected more than 0 and at most {MAX_DAYS}")
    if keep_reviewed_days is not None and keep_reviewed_days < keep_days:
        raise FlawsmithError(
            f"failed, doubtful and reviewed parts would be kept for {keep_reviewed_days:g} days, "
            f"passed ones for {keep_days:g}; expected at least as long"
        )
    with store.reading() as session:
        newest = session.scalar(sa.select(sa.func.max(PartRow.finished_at)))
    now = min(newest or datetime.now(UTC), datetime.now(UTC))
    before = now - timedelta(days=keep_days)
    plain = (PartRow.verdict == Verdict.PASS.value) & ~PartRow.audit.has() & ~PartRow.reviews.any()
    old = PartRow.finished_at < before
    undelivered = sa.exists().where(DeliveryRow.part_id == PartRow.id, DeliveryRow.waits())
    if not dry_run:  # before the parts go by which it is known that nobody waits for them
        with store.transaction() as session:
            session.execute(sa.delete(WaitingRow).where(out_of_date()))
    removed = _remove(store, [old, plain, ~undelivered], dry_run=dry_run)
    reviewed = 0
    if keep_reviewed_days is not None:
        settled = [
            PartRow.finished_at < now - timedelta(days=keep_reviewed_days),
            PartRow.reviews.any(), ~undelivered,
        ]  # fmt: skip
        reviewed = _remove(store, settled, dry_run=dry_run)
    return Retained(
        removed=removed,
        removed_reviewed=reviewed,
        under_review=_count(store, [old, ~plain, ~PartRow.reviews.any()]),
        undelivered=_count(store, [old, undelivered]),
        before=before,
    )


def _count(store: Store, conditions: list[sa.ColumnElement[bool]]) -> int:
    with store.reading() as session:
        return (
            session.scalar(sa.select(sa.func.count()).select_from(PartRow).where(*conditions)) or 0
        )


def _remove(store: Store, conditions: list[sa.ColumnElement[bool]], *, dry_run: bool) -> int:
    if dry_run:
        return _count(store, conditions)
    total = 0
    while True:
        chosen = sa.select(PartRow.id).where(*conditions).order_by(PartRow.id).limit(BATCH)
        with store.transaction() as session:
            numbers = session.scalars(chosen).all()
            session.execute(sa.delete(PartRow).where(PartRow.id.in_(numbers)))
        total += len(numbers)
        if len(numbers) < BATCH:
            return total
