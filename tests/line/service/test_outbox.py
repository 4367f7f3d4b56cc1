"""Messages leave the outbox in order, at least once, whatever receivers and clocks do."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from receivers import record, wait_for

from flawsmith.errors import FlawsmithError
from flawsmith.line.sinks.base import Message, Sink
from flawsmith.line.sinks.courier import Courier, Couriers, Patience
from flawsmith.line.sinks.outbox import Outbox
from flawsmith.line.store import Store
from flawsmith.line.store.tables import DeliveryRow

HASTE = Patience(first=0.01, longest=0.05, poll=0.02, farewell=1.0)


class FakeSink(Sink):
    """Keeps what it is given, after it has failed as often as it was told."""

    def __init__(self, url: str, failures: int = 0) -> None:
        self.name = url
        self.failures = failures
        self.taken: list[Message] = []
        self.tried: list[int] = []

    def deliver(self, message: Message) -> None:
        self.tried.append(message.sequence)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("not\nyet")
        self.taken.append(message)


@pytest.fixture
def store(url: str):
    with Store(url) as store:
        yield store


def sequences(sink: FakeSink) -> list[int]:
    return [message.sequence for message in sink.taken]


def delivered(store: Store, count: int):
    return lambda: sum(s.delivered for s in Outbox(store).states()) == count


def test_a_message_that_fails_holds_up_those_behind_it_and_no_other_sink(store):
    failing, well = FakeSink("a", failures=4), FakeSink("b")
    numbers = [record(store, f"p{n}", ["a", "b"]) for n in range(3)]
    couriers = Couriers(store, [failing, well], HASTE)
    couriers.start()
    wait_for(delivered(store, 6), "deliveries")
    couriers.stop()
    assert failing.tried == [numbers[0]] * 5 + numbers[1:]
    assert sequences(failing) == sequences(well) == numbers
    assert [m.id for m in failing.taken] == [m.id for m in well.taken]
    assert len({m.id for m in well.taken}) == 3


def test_what_was_not_delivered_is_after_a_restart(store):
    gone = FakeSink("a", failures=10**6)
    courier = Courier(store, gone, HASTE)
    courier.start()
    number = record(store, "p", ["a"])
    courier.wake()
    wait_for(lambda: Outbox(store).states()[0].attempts > 1, "tries")
    courier.stop()
    (state,) = Outbox(store).states()
    assert (state.delivered, state.pending, state.first_pending) == (0, 1, number)
    assert state.error == "not yet"
    assert state.lag_seconds >= 0
    back = FakeSink("a")
    courier = Courier(store, back, HASTE)
    courier.start()
    wait_for(delivered(store, 1), "delivery")
    courier.stop()
    assert [m.id for m in back.taken] == [Outbox(store).message(number).id]
    assert Outbox(store).states()[0].error is None


def test_stopping_delivers_what_is_due_and_ends_though_a_receiver_is_gone(store):
    well, gone = FakeSink("a"), FakeSink("b", failures=10**6)
    for n in range(20):
        record(store, f"p{n}", ["a", "b"])
    couriers = Couriers(store, [well, gone], Patience(first=60, poll=60, farewell=5))
    couriers.start()
    began = time.monotonic()
    couriers.stop()
    assert time.monotonic() - began < 5
    assert len(well.taken) == 20
    assert len(gone.tried) == 1


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_jumps_does_not_hold_up_a_message(store, days):
    """A next try that seems a day away, as after the clock was put back, is no day away."""
    number = record(store, "p", ["a"])
    with store.transaction() as session:
        session.execute(
            sa.update(DeliveryRow).values(
                next_try_at=datetime.now(UTC) + timedelta(days=days), attempts=1
            )
        )
    sink = FakeSink("a")
    courier = Courier(store, sink, HASTE)
    courier.start()
    wait_for(delivered(store, 1), "delivery", 5)
    courier.stop()
    assert sequences(sink) == [number]


def test_retry_makes_a_message_due_at_once(store):
    sink = FakeSink("a", failures=1)
    courier = Courier(store, sink, Patience(first=1000, longest=1000, poll=0.02))
    courier.start()
    record(store, "p", ["a"])
    wait_for(lambda: sink.tried, "try")
    wait_for(lambda: Outbox(store).states()[0].attempts, "note")
    time.sleep(0.2)
    assert len(sink.tried) == 1
    assert Outbox(store).retry("b") == 0
    assert Outbox(store).retry("a") == 1
    wait_for(delivered(store, 1), "delivery")
    courier.stop()


def test_a_message_that_is_never_taken_can_be_given_up(store):
    failing = FakeSink("a", failures=10**9)
    numbers = [record(store, f"p{n}", ["a", "b"]) for n in range(3)]
    couriers = Couriers(store, [failing], HASTE)
    couriers.start()
    wait_for(lambda: failing.tried, "try")
    outbox = Outbox(store)
    with pytest.raises(FlawsmithError, match=f"message {numbers[1]} does not hold up a: the old"):
        outbox.skip("a", numbers[1], "wrong number")
    outbox.skip("a", numbers[0], "the receiver refuses it")
    wait_for(lambda: numbers[1] in failing.tried, "the next one")
    failing.failures = 0
    wait_for(delivered(store, 2), "deliveries")
    couriers.stop()
    assert sequences(failing) == numbers[1:]
    state, other = outbox.states()
    assert (state.delivered, state.skipped, state.pending, state.first_pending) == (2, 1, 0, None)
    assert (other.sink, other.pending, other.skipped) == ("b", 3, 0)
    assert outbox.retry("a") == 0
    assert outbox.lag("a") == (0, 0.0)
    with store.reading() as session:
        kept = session.scalars(sa.select(DeliveryRow).where(DeliveryRow.skipped_at.is_not(None)))
        assert [row.last_error for row in kept] == ["skipped: the receiver refuses it"]
    with pytest.raises(FlawsmithError, match="nothing waits"):
        outbox.skip("a", numbers[0], "again")


def test_waits_grow_to_a_limit_and_differ():
    patience = Patience(first=1, longest=300)
    waits = [[patience.after(n) for _ in range(50)] for n in (1, 2, 5, 9, 10, 10**6)]
    for wait, full in zip(waits, (1, 2, 16, 256, 300, 300), strict=True):
        assert all(full / 2 <= w <= full for w in wait)
        assert len(set(wait)) > 40


def test_writers_are_not_held_up_by_a_sink_that_hangs(store):
    release = threading.Event()

    class Hanging(FakeSink):
        def deliver(self, message: Message) -> None:
            release.wait(20)
            super().deliver(message)

    sink = Hanging("a")
    courier = Courier(store, sink, HASTE)
    courier.start()
    began = time.monotonic()
    for n in range(20):
        record(store, f"p{n}", ["a"])
        courier.wake()
    assert time.monotonic() - began < 10
    assert sink.taken == []
    release.set()
    wait_for(delivered(store, 20), "deliveries")
    courier.stop()
    assert sequences(sink) == list(range(1, 21))


def test_a_courier_outlives_a_store_that_fails(tmp_path: Path, monkeypatch):
    with Store(str(tmp_path / "r.db")) as store:
        record(store, "p", ["a"])
        sink = FakeSink("a")
        courier = Courier(store, sink, HASTE)
        broken = [FlawsmithError("disk is full")] * 3
        note = Outbox.delivered

        def delivered_sometimes(self, delivery):
            if broken:
                raise broken.pop()
            note(self, delivery)

        monkeypatch.setattr(Outbox, "delivered", delivered_sometimes)
        courier.start()
        wait_for(delivered(store, 1), "delivery")
        courier.stop()
    # Taken four times, with one id by which the receiver knows the repeats.
    assert len(sink.taken) == 4
    assert len({message.id for message in sink.taken}) == 1


def test_the_same_sink_twice_is_refused(store):
    with pytest.raises(FlawsmithError, match="a is given twice"):
        Couriers(store, [FakeSink("a"), FakeSink("a")])


def test_rows_of_before_are_not_read_again(store):
    outbox = Outbox(store)
    number = record(store, "p", ["a"])
    first, after = outbox.next("a")
    assert first.sequence == number
    outbox.delivered(first)
    assert outbox.next("a", after=after) == (None, number)
    later = record(store, "q", ["a"])
    found, _ = outbox.next("a", after=number)
    assert found.sequence == later
