from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.store import Store
from flawsmith.line.store import store as store_module
from flawsmith.line.store.part_record import Review
from flawsmith.line.store.retention import Retained, retain
from flawsmith.line.store.tables import DeliveryRow, ImageRow, RegionRow, WaitingRow
from flawsmith.line.store.waiting import keep_waiting, waiting_elsewhere

from .test_store import region

NOW = datetime.now(UTC)


class Clock(datetime):
    shown = NOW

    @classmethod
    def now(cls, tz=None):
        return cls.shown


@pytest.fixture
def store(url, monkeypatch):
    monkeypatch.setattr(store_module, "datetime", Clock)
    with Store(url) as opened:
        yield opened


def put(store, part, age, value=Verdict.PASS, **options):
    Clock.shown = NOW - timedelta(days=age)
    reasons = [Reason(verdict=value, rule="r", text="t")] if value.severity else []
    image = ImageInspection(image=f"{part}.png", sha256=part, part=part, regions=[region()])
    verdict = PartVerdict(part=part, verdict=value, reasons=reasons)
    return store.record(verdict, [image], **options)


def review(store, number):
    store.add_review(number, Review(person="ann", verdict=Verdict.FAIL, reviewed_at=NOW))


def parts(store):
    return {record.verdict.part for record in store.find()}


def test_a_view_that_waits_goes_only_when_its_part_is_recorded(store):
    for part in ("recorded since", "never recorded"):
        keep_waiting(store, "line 1", ImageInspection(image=f"{part}/top", part=part, view="top"))
    with store.transaction() as session:
        session.execute(sa.update(WaitingRow).values(received_at=NOW - timedelta(days=500)))
    put(store, "recorded since", 400)
    retain(store, 30, dry_run=True)
    with store.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(WaitingRow)) == 2
    retain(store, 30)
    with store.reading() as session:
        assert session.scalars(sa.select(WaitingRow.part)).all() == ["never recorded"]
    assert waiting_elsewhere(store, "line 2") == {"line 1": 1}


def test_only_what_nobody_asks_for_goes(store):
    put(store, "old", 40)
    put(store, "old failed", 40, Verdict.FAIL)
    review(store, put(store, "old reviewed", 40, Verdict.REVIEW))
    review(store, put(store, "ancient reviewed", 400, Verdict.FAIL))
    put(store, "ancient audited", 400, audit_rate=0.1)
    review(store, put(store, "ancient passed, reviewed", 400))
    put(store, "ancient doubtful", 400, Verdict.REVIEW)
    put(store, "old undelivered", 40, sinks=["mqtt"])
    put(store, "new", 0)
    everything = parts(store)

    dry = retain(store, 30, keep_reviewed_days=365, dry_run=True)
    assert parts(store) == everything
    done = retain(store, 30, keep_reviewed_days=365)
    assert done == dry
    assert done == Retained(
        removed=1, removed_reviewed=2, under_review=3, undelivered=1,
        before=NOW - timedelta(days=30),
    )  # fmt: skip
    gone = {"old", "ancient reviewed", "ancient passed, reviewed"}
    assert parts(store) == everything - gone
    with store.reading() as session:  # with all that belongs to them
        counts = [session.scalar(sa.select(sa.func.count(t.id))) for t in (ImageRow, RegionRow)]
    assert counts == [6, 6]

    with store.transaction() as session:
        session.execute(sa.update(DeliveryRow).values(delivered_at=NOW))
    assert retain(store, 30).removed == 1
    assert "old reviewed" in parts(store)  # for good without another word


def test_numbers_are_never_used_again(store):
    put(store, "a", 40)
    put(store, "b", 0)
    retain(store, 1)
    assert put(store, "c", 0) == 3


def test_a_clock_that_jumps_empties_no_store(store):
    for number in range(3):
        put(store, str(number), 200 + number)
    assert retain(store, 30).removed == 0  # the line stood still; nothing is older than the newest
    put(store, "from the future", -10_000)
    # The newest is ahead of the clock: then the clock counts.
    assert retain(store, 500).removed == 0
    assert retain(store, 100).removed == 3


def test_results_keep_their_order_when_the_clock_is_put_back(store):
    for number, age in enumerate((0, 5, 2)):
        put(store, str(number), age)
    assert [r.verdict.part for r in store.find()] == ["0", "1", "2"]


def test_many_go_in_several_transactions(store, monkeypatch):
    from flawsmith.line.store import retention

    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(5):
        put(store, str(number), 40)
    put(store, "new", 0)
    assert retain(store, 30).removed == 5
    assert parts(store) == {"new"}


@pytest.mark.parametrize(
    ("keep", "reviewed"), [(0, None), (-1, None), (float("nan"), None), (1e9, None), (30, 10)]
)
def test_impossible_days_are_told(store, keep, reviewed):
    with pytest.raises(FlawsmithError, match="expected"):
        retain(store, keep, keep_reviewed_days=reviewed)
