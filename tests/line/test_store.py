"""The results store on SQLite and on a real PostgreSQL server."""

import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.line.results import ImageInspection, Novelty, PartVerdict, Reason, Verdict
from flawsmith.line.store import Query, Store
from flawsmith.line.store import store as store_module
from flawsmith.line.store.part_record import Review
from flawsmith.line.store.tables import DeliveryRow


def region(name="crack", score=0.8, length_mm=None):
    return Region(
        class_id=1, class_name=name, score=score, box=(1, 2, 3, 4), centroid=(2.25, 3.5),
        area_px=9, length_px=4.125, width_px=3.0, diameter_px=3.4, length_mm=length_mm,
    )  # fmt: skip


def image(part="a", view="", regions=(), **values):
    name = f"in/{part}_{view}.png"
    values = {"image": name, "sha256": f"sha of {name}", "model": "m1", **values}
    return ImageInspection(part=part, view=view, regions=list(regions), **values)


def verdict(part="a", value=Verdict.PASS, rule="size"):
    reasons = [Reason(verdict=value, rule=rule, text="9 mm long")] if value.severity else []
    return PartVerdict(part=part, verdict=value, reasons=reasons, rules="r1")


def test_a_record_comes_back_whole(url):
    images = [
        image(
            view="left", regions=[region(length_mm=1.5), region("hole")], width=640, height=480,
            novelty=Novelty(score=0.25, box=(5, 6, 7, 8)), warnings=["old"], seconds={"decode": 1},
        ),
        image(view="right", sha256="", problem="it is damaged"),
    ]  # fmt: skip
    given = verdict(value=Verdict.FAIL).model_copy(update={"hidden": ["a speck of 2 px"]})
    began = datetime(2024, 3, 1, 12, tzinfo=UTC)
    with Store(url) as store:
        assert store.record(given, images, started_at=began, seconds=0.75) == 1
    with Store(url) as store:  # after a restart
        found = store.get(1)
    assert (found.verdict, found.images) == (given, images)
    assert (found.started_at, found.seconds, found.audited) == (began, 0.75, False)
    assert abs(datetime.now(UTC) - found.finished_at) < timedelta(minutes=1)
    line = json.loads(found.line())
    assert list(line)[:3] == ["id", "part", "verdict"]
    assert line["images"][0]["regions"][0]["length_mm"] == 1.5


def test_the_same_handling_is_stored_once_and_numbers_have_no_gap(url):
    with Store(url) as store:
        assert store.record(verdict(), [image()]) == 1
        assert store.record(verdict(), [image(seconds={"decode": 2})]) == 1
        assert store.record(verdict("b"), [image("b")]) == 2
        # Anything else is another handling: content, model, rules, what was decided.
        assert store.record(verdict(), [image(sha256="other")]) == 3
        assert store.record(verdict(), [image(model="m2")]) == 4
        assert store.record(verdict(value=Verdict.REVIEW), [image()]) == 5
        assert store.record(verdict(value=Verdict.REVIEW, rule="timeout"), [image()]) == 6
        assert [record.id for record in store.find()] == [1, 2, 3, 4, 5, 6]


def test_once_refuses_an_image_that_is_part_of_another_record(url):
    with Store(url) as store:
        store.record(verdict(value=Verdict.REVIEW, rule="missing view"), [image(view="left")])
        with pytest.raises(FlawsmithError, match=r"in/a_left.png is part of result 1"):
            store.record(verdict(), [image(view="left"), image(view="right")], once=True)
        assert store.handled("in/a_left.png", "sha of in/a_left.png")
        assert not store.handled("in/a_left.png", "another")
        assert not store.handled("in/a_right.png", "sha of in/a_right.png")
        assert store.record(verdict("b"), [image("b")]) == 2


def test_queries(url, monkeypatch):
    monkeypatch.setattr(store_module, "PAGE", 2)
    with Store(url) as store:
        for number in range(5):
            part = f"p{number}"
            store.record(verdict(part), [image(part, regions=[region("Crack")] * number)])
        store.record(verdict("q", Verdict.FAIL), [image("q")])
        middle = store.get(3).finished_at

        def ids(**values):
            return [record.id for record in store.find(Query(**values))]

        assert ids() == [1, 2, 3, 4, 5, 6]
        assert ids(verdict=Verdict.FAIL) == [6]
        assert ids(part="p3") == [4]
        assert ids(defect_class="cRACK") == [2, 3, 4, 5]
        assert ids(since=middle) == [3, 4, 5, 6]
        assert ids(until=middle) == [1, 2]
        east = middle.astimezone(tz=None)
        assert ids(since=east, verdict=Verdict.PASS) == [3, 4, 5]
        assert store.count() == {Verdict.PASS: 5, Verdict.REVIEW: 0, Verdict.FAIL: 1}
        with pytest.raises(FlawsmithError, match="no result 7"):
            store.get(7)


def test_reviews_add_up_and_select(url):
    then = datetime(2024, 3, 1, tzinfo=UTC)
    reviews = [
        Review(person="ann", verdict=Verdict.PASS, reason="dust", reviewed_at=then),
        Review(person="bob", verdict=Verdict.FAIL, defect_class="hole", reviewed_at=then),
    ]
    with Store(url) as store:
        store.record(verdict(value=Verdict.REVIEW), [image()])
        store.record(verdict("b"), [image("b")])
        for review in reviews:
            store.add_review(1, review)
        assert store.get(1).reviews == reviews
        assert [r.id for r in store.find(Query(reviewed=True))] == [1]
        assert [r.id for r in store.find(Query(reviewed=False))] == [2]
        with pytest.raises(FlawsmithError, match="no result 9"):
            store.add_review(9, reviews[0])


def test_outbox_and_audit_are_written_with_the_verdict(url):
    with Store(url) as store:
        number = store.record(verdict(), [image()], audit_rate=0.1, sinks=["mqtt", "file", "mqtt"])
        assert store.get(number).audited
        with store.reading() as session:
            rows = session.scalars(sa.select(DeliveryRow).order_by(DeliveryRow.id)).all()
        assert [(r.part_id, r.sink, r.attempts, r.delivered_at) for r in rows] == [
            (1, "mqtt", 0, None), (1, "file", 0, None)
        ]  # fmt: skip


def test_an_error_in_a_transaction_leaves_nothing(url, monkeypatch):
    def fail(*_):
        raise RuntimeError

    with Store(url) as store:
        with monkeypatch.context() as patched:
            patched.setattr(store_module, "_region_values", fail)
            with pytest.raises(RuntimeError):
                store.record(verdict(), [image(regions=[region()])])
            patched.setattr(store_module, "AuditRow", fail)  # after the part has been sent
            with pytest.raises(TypeError):
                store.record(verdict(), [image()], audit_rate=0.5)
        assert list(store.find()) == []
        assert store.record(verdict("b"), [image("b")]) == 1


def test_writers_of_several_stores_take_turns(url):
    stores = [Store(url) for _ in range(3)]

    def write(store, name):
        for number in range(8):
            store.record(verdict(f"{name}{number}"), [image(f"{name}{number}")])

    threads = [
        threading.Thread(target=write, args=(s, n)) for n, s in enumerate([*stores, *stores])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.id for record in stores[0].find()] == list(range(1, 49))
    for store in stores:
        store.close()


def test_processes_that_start_together_make_one_schema(url):
    errors = []

    def start():
        try:
            Store(url).close()
        except FlawsmithError as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_sqlite_is_durable(tmp_path):
    with Store(str(tmp_path / "a.db")) as store, store.reading() as session:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert session.scalar(sa.text(f"PRAGMA {pragma}")) == value


def test_postgresql_is_durable_whatever_its_default(postgres_url):
    with Store(postgres_url) as store, store.reading() as session:
        assert session.scalar(sa.text("SHOW synchronous_commit")) == "on"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://u:secret@h/d", r"no results store: mysql://u:\*\*\*@h/d"),
        ("sqlite://", "no results store: sqlite://"),
        ("://", "cannot be read"),
        ("/nowhere/at/all/r.db", "no folder /nowhere/at/all"),
        ("postgresql://u:secret@127.0.0.1:1/d", r"u:\*\*\*@127.0.0.1:1/d.*refused"),
    ],
)
def test_what_is_no_store_is_told(given, said):
    with pytest.raises(FlawsmithError, match=said) as caught:
        Store(given)
    assert "secret" not in str(caught.value)


def test_other_files_are_refused_untouched(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("my notes, long enough to be no empty database " * 20)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    for path, said in ((text, "give another one"), (other, "tables customers")):
        before = path.read_bytes()
        with pytest.raises(FlawsmithError, match=said):
            Store(str(path))
        assert path.read_bytes() == before or path == other  # WAL is noted in the header


def test_a_path_that_no_database_can_keep_is_told(tmp_path):
    with Store(str(tmp_path / "a.db")) as store:
        with pytest.raises(FlawsmithError, match="surrogates"):
            store.record(verdict(), [image(image="\udcff.png")])
        assert store.count()[Verdict.PASS] == 0
