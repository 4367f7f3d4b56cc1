"""What a person says of a part, and the lot that sends passed parts to a person."""

import hashlib
import hmac
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from line_facts import image, record, region, verdict

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.reviews.audit import AuditLot, draw_sample, lot_number
from flawsmith.line.reviews.reviews import confirm, disagreement, final_verdict, overturn
from flawsmith.line.store import Query, Store
from flawsmith.line.store.tables import AuditRow, KeyRow, PartRow

FAIL, PASS, REVIEW = Verdict.FAIL, Verdict.PASS, Verdict.REVIEW


def due(store):
    return [found.verdict.part for found in store.find(Query(due=True))]


def test_failed_doubtful_and_audited_parts_are_due_until_somebody_decides(url):
    with Store(url) as store:
        for part, value in (("good", PASS), ("bad", FAIL), ("odd", REVIEW)):
            record(store, part, value, [region()])
        record(store, "drawn", PASS, audit_rate=0.1)
        assert due(store) == ["bad", "odd", "drawn"]
        confirm(store, 2, person="Kim", defect_class="CRACK")
        overturn(store, 3, person="Kim", reason="dust")
        confirm(store, 4, person="Kim")
        assert due(store) == []
        said = [store.get(n).reviews[0] for n in (2, 3, 4)]
    assert [(r.verdict, r.defect_class, r.person) for r in said] == [
        (FAIL, "crack", "Kim"), (PASS, None, "Kim"), (PASS, None, "Kim"),
    ]  # fmt: skip


def test_of_several_reviews_the_last_one_counts_and_disagreement_is_told(store):
    number = record(store, "a", FAIL, [region()])
    assert not confirm(store, number, person="Kim").disagrees
    said = overturn(store, number, person=" Lee ", reason="only\n dust")
    assert said.disagrees
    assert (said.first_stage, said.review.person, said.review.reason) == (FAIL, "Lee", "only dust")
    assert [other.person for other in said.others] == ["Kim"]
    reviews = store.get(number).reviews
    assert final_verdict(reviews) is PASS
    assert disagreement(reviews)
    assert not disagreement(reviews[:1])
    assert final_verdict([]) is None


@pytest.mark.parametrize(
    ("call", "values", "message"),
    [
        (confirm, {"person": "  "}, "needs the name of the person"),
        (confirm, {"person": "a" * 201}, "201 characters; expected at most 200"),
        (confirm, {"person": "Kim\x1b[2J"}, "cannot be printed"),
        (confirm, {"person": "Kim", "defect_class": "crak"}, "did you mean 'crack'"),
        (overturn, {"person": "Kim", "reason": " "}, "needs a reason"),
        (overturn, {"person": "Kim", "reason": "x", "defect_class": "crack"}, "have no class"),
        (confirm, {"number": 99, "person": "Kim"}, "has no result 99"),
        (confirm, {"number": -1, "person": "Kim"}, "no sequence number"),
        (overturn, {"number": 2, "person": "Kim", "reason": "x"}, "which defect was missed"),
    ],
)
def test_a_wrong_review_is_refused_and_nothing_is_written(store, call, values, message):
    record(store, "a", FAIL, [region()])
    record(store, "b", PASS)
    with pytest.raises(FlawsmithError, match=message):
        call(store, **{"number": 1, **values})
    assert [found.reviews for found in store.find()] == [[], []]


def test_a_class_that_nobody_used_needs_a_word(store):
    number = record(store, "a", PASS)
    values = {"person": "Kim", "reason": "missed", "defect_class": "Burn"}
    with pytest.raises(FlawsmithError, match="none is known yet"):
        overturn(store, number, **values)
    overturn(store, number, **values, new_class=True)
    assert (
        overturn(store, number, **values | {"defect_class": "burn"}).review.defect_class == "Burn"
    )


def test_reviews_at_the_same_time_are_all_kept(url):
    with Store(url) as store:
        record(store, "a", FAIL)
        people = [f"P{n}" for n in range(6)]
        threads = [
            threading.Thread(target=confirm, args=(store, 1), kwargs={"person": p}) for p in people
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(review.person for review in store.get(1).reviews) == people


def test_the_lot_is_the_documented_hash_and_draws_its_share():
    key, handling = bytes(range(32)), "ab" * 32
    digest = hmac.new(key, handling.encode(), hashlib.sha256).hexdigest()
    assert lot_number(key, handling) == pytest.approx(int(digest[:16], 16) / 2**64, abs=1e-12)
    numbers = [lot_number(key, str(n)) for n in range(20_000)]
    assert 0 <= min(numbers)
    assert max(numbers) < 1
    for share in (0.05, 0.3, 0.9):  # five standard deviations
        drawn = sum(number < share for number in numbers) / 20_000
        assert abs(drawn - share) < 5 * (share * (1 - share) / 20_000) ** 0.5
    others = [lot_number(bytes(32), str(n)) for n in range(20_000)]
    both = sum(a < 0.3 and b < 0.3 for a, b in zip(numbers, others, strict=True)) / 20_000
    assert abs(both - 0.09) < 0.011  # another key draws others


def test_drawing_before_and_after_recording_is_the_same_lot(url):
    with Store(url) as store:
        lot = AuditLot(store, 0.4)
        drawn_first = set()
        for n in range(60):
            given, images = verdict(f"p{n}"), [image(f"p{n}")]
            if lot.rate_for(given, images) is not None:
                drawn_first.add(store.record(given, images))
            else:
                store.record(given, images)
        bad = verdict("bad", FAIL), [image("bad")]
        assert AuditLot(store, 1.0).rate_for(*bad) is None
        store.record(*bad)
        sample = draw_sample(store, 0.4)
        count = len(drawn_first)
        assert (sample.passed, sample.drawn, sample.added) == (60, count, count)
        assert {r.id for r in store.find(Query(due=True)) if r.audited} == drawn_first
        assert draw_sample(store, 0.4).added == 0  # the same again
    with Store(url) as again:
        assert draw_sample(again, 0.4).added == 0  # the key is kept


def test_a_higher_rate_holds_for_all_of_the_period_and_a_lower_one_changes_nothing(store):
    for n in range(80):
        record(store, f"p{n}")
    few = draw_sample(store, 0.2)
    many = draw_sample(store, 0.6)
    assert few.drawn < many.drawn == few.drawn + many.added
    assert draw_sample(store, 0.1) == type(many)(passed=80, drawn=many.drawn, added=0)
    with store.reading() as session:
        assert set(session.scalars(sa.select(AuditRow.rate))) == {0.6}
        key = session.scalar(sa.select(KeyRow.value))
        handlings = {r.id: r.key for r in session.scalars(sa.select(PartRow))}
        drawn = set(session.scalars(sa.select(AuditRow.part_id)))
    numbers = {n: lot_number(bytes.fromhex(key), handling) for n, handling in handlings.items()}
    assert drawn == {n for n, number in numbers.items() if number < 0.6}


def test_a_period_without_parts_and_a_wrong_rate(store):
    record(store, "a")
    later = datetime.now(UTC) + timedelta(days=1)
    assert draw_sample(store, 1.0, since=later).passed == 0
    assert draw_sample(store, 1.0, until=later).drawn == 1
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(FlawsmithError, match="no share of the passed parts"):
            draw_sample(store, rate)
