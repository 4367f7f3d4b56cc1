"""The audit's lot: which passed parts a person looks at too, so that escapes are measured."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import ImageInspection, PartVerdict, Verdict
from flawsmith.line.store import Query, Store
from flawsmith.line.store.part_record import handling_key
from flawsmith.line.store.tables import AuditRow, PartRow

KEY_NAME = "audit"
PAGE = 1000
"""Parts drawn in one transaction, so that the line never waits long."""


@dataclass(frozen=True)
class Sample:
    """What a drawing came to.

    Attributes:
        passed: passed parts of the period.
        drawn: of these, how many the lot fell on, now or before.
        added: how many of them it fell on only now.
    """

    passed: int
    drawn: int
    added: int


class AuditLot:
    """Draws passed parts by a keyed hash of what was inspected.

    The number of a part is the first 53 bits of HMAC-SHA256 (RFC 2104) with the store's own random
    key over the handling's key, as a fraction; the part is drawn if it is below the rate. The same
    handling is always drawn or always not, and whoever has the store can check every draw; without
    the key nobody can choose names or times that are never drawn. A part that is drawn at some
    rate is drawn at every higher one.

    Args:
        store: has the key; it is made if there is none.
        rate: share of the passed parts, 0 to 1.

    Raises:
        FlawsmithError: if the rate is no share.
    """

    def __init__(self, store: Store, rate: float) -> None:
        if not 0 <= rate <= 1:
            raise FlawsmithError(
                f"{rate} is no share of the passed parts; expected 0 to 1, such as 0.02"
            )
        self.rate = rate
        self._key = store.key(KEY_NAME)

    def draws(self, handling: str) -> bool:
        """Tell whether the lot falls on a handling's key (`handling_key`)."""
        return lot_number(self._key, handling) < self.rate

    def rate_for(self, verdict: PartVerdict, images: Sequence[ImageInspection]) -> float | None:
        """Return the ``audit_rate`` to record a part with: None unless it passed and is drawn."""
        drawn = verdict.verdict is Verdict.PASS and self.draws(handling_key(verdict, images))
        return self.rate if drawn else None


def lot_number(key: bytes, handling: str) -> float:
    """Return the number in [0, 1) that decides on a handling."""
    digest = hmac.new(key, handling.encode(), hashlib.sha256).digest()
    return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


def draw_sample(
    store: Store, rate: float, *, since: datetime | None = None, until: datetime | None = None
) -> Sample:
    """Draw from the passed parts of a period that are stored already, and remember the rate.

    Parts that were drawn before at a lower rate get this one: with it they would have been drawn
    too, so that all of the period has the same chance. A lower rate than before changes nothing.

    Raises:
        FlawsmithError: if the rate is no share, or the store cannot be written.
    """
    lot = AuditLot(store, rate)
    conditions = Query(since=since, until=until, verdict=Verdict.PASS).conditions()
    passed = drawn = added = last = 0
    while True:
        with store.transaction() as session:
            page = sa.select(PartRow.id, PartRow.key, AuditRow)
            page = page.outerjoin(AuditRow, AuditRow.part_id == PartRow.id)
            page = page.where(*conditions, PartRow.id > last).order_by(PartRow.id).limit(PAGE)
            rows = session.execute(page).all()
            now = datetime.now(UTC)
            for number, key, audit in rows:
                falls = lot.draws(key)
                drawn += falls or audit is not None
                if falls and audit is None:
                    session.add(AuditRow(part_id=number, rate=rate, sampled_at=now))
                    added += 1
                elif falls:
                    audit.rate = max(audit.rate, rate)
        passed += len(rows)
        if len(rows) < PAGE:
            return Sample(passed=passed, drawn=drawn, added=added)
        last = rows[-1].id
