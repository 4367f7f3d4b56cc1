"""Answers of the service: what is stored, what is refused, who is let in."""

import io
import json
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from fake_service import FakeModel, fail_any
from PIL import Image
from services import client_of, figure, png, until, verdicts

from flawsmith.data.images import encode_png
from flawsmith.errors import FlawsmithError
from flawsmith.line.inspector import Inspector
from flawsmith.line.replay import replay
from flawsmith.line.results import ImageInspection, PartVerdict, Verdict
from flawsmith.line.service.auth import is_loopback, read_token, require_token
from flawsmith.line.service.parts import MAX_OPEN, ServiceParts
from flawsmith.line.store import Store
from flawsmith.line.store.tables import WaitingRow
from flawsmith.line.store.waiting import keep_waiting, waiting_elsewhere, waiting_views

TOKEN = "0123456789abcdef"


# --- verdicts


def test_an_image_gets_the_verdict_that_is_stored(store):
    with client_of(store) as client:
        good = client.post("/parts/a/views/top", content=png())
        bad = client.post("/parts/b", content=png(255))
        assert (good.status_code, bad.status_code) == (200, 200)
        assert good.json()["verdict"] == "PASS"
        assert bad.json()["verdict"] == "FAIL"
        assert bad.json()["images"][0]["regions"][0]["class_name"] == "scratch"
        stored = json.loads(store.get(bad.json()["id"]).line())
        assert {k: bad.json()[k] for k in ("part", "reasons", "images", "rules")} == {
            k: stored[k] for k in ("part", "reasons", "images", "rules")
        }
        assert client.get("/parts/b").json() == bad.json()
        assert client.get("/parts/c").status_code == 404
        text = client.get("/metrics").text
        for verdict, count in (("PASS", 1), ("FAIL", 1), ("REVIEW", 0)):
            assert figure(text, f'flawsmith_parts_total{{verdict="{verdict}"}}') == count
        assert figure(text, "flawsmith_image_seconds_count") == 2
        assert figure(text, "flawsmith_queue_length") == 0


def test_views_wait_for_each_other_and_the_order_does_not_matter(store):
    with client_of(store, views=["top", "bottom"]) as client:
        first = client.post("/parts/a/views/bottom", content=png())
        assert first.status_code == 202
        assert first.json()["missing"] == ["top"]
        assert "verdict" not in first.json()
        assert first.json()["image"]["view"] == "bottom"
        assert verdicts(store) == []
        assert client.post("/parts/b/views/top", content=png()).status_code == 202
        last = client.post("/parts/a/views/top", content=png(1))
        assert (last.status_code, last.json()["verdict"]) == (200, "PASS")
        assert len(last.json()["images"]) == 2
    # The other part has no verdict when the service ends: it gets one, and it is no PASS.
    assert verdicts(store) == [("a", Verdict.PASS), ("b", Verdict.REVIEW)]


def test_a_part_that_waits_too_long_is_stored_as_not_seen(store):
    with client_of(store, views=["top", "bottom"], timeout=0.3) as client:
        assert client.post("/parts/a/views/top", content=png()).status_code == 202
        until(lambda: verdicts(store), "verdict")
        answer = client.get("/parts/a").json()
        assert answer["verdict"] == "REVIEW"
        assert [(r["rule"], r["view"]) for r in answer["reasons"]] == [("missing view", "bottom")]


def test_posted_images_are_kept_and_can_be_replayed(store, tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    with client_of(store, keep=str(folder)) as client:
        first = client.post("/parts/a/views/top", content=png(255)).json()
        path = Path(first["images"][0]["image"])
        assert path.read_bytes() == png(255)
        assert folder in path.parents
        inspector = Inspector(FakeModel(0.0), "fake", fail_any(), store)
        assert replay(store.get(first["id"]), inspector).same
        again = client.post("/parts/a/views/top", content=png(255)).json()
        assert again["repeated"]

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            refused = client.post("/parts/b/views/top", content=png())
            assert refused.status_code == 503
            assert "No space left on device" in refused.json()["detail"]
        assert client.get("/parts/b").status_code == 404
        assert client.post("/parts/b/views/top", content=png()).json()["verdict"] == "PASS"
    assert len(list(folder.glob("??/*"))) == 2


def test_nothing_is_forgotten_while_the_store_fails(store, monkeypatch):
    monkeypatch.setattr("flawsmith.line.service.parts.RETRY_SECONDS", 0.2)
    record, broken = Store.record, [True]

    def record_sometimes(self, *values, **more):
        if broken:
            raise FlawsmithError("disk is full")
        return record(self, *values, **more)

    monkeypatch.setattr(Store, "record", record_sometimes)
    with client_of(store, views=["top", "bottom"]) as client:
        assert client.post("/parts/a/views/top", content=png()).status_code == 202
        refused = client.post("/parts/a/views/bottom", content=png(1))
        assert refused.status_code == 503
        assert "disk is full" in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["result"] is None
        broken.clear()
        until(lambda: verdicts(store), "verdict")  # even if nobody asks again
        again = client.post("/parts/a/views/bottom", content=png(1))
        assert (again.status_code, again.json()["verdict"]) == (200, "PASS")
    assert verdicts(store) == [("a", Verdict.PASS)]


def test_a_view_that_cannot_be_kept_is_not_acknowledged(store, monkeypatch):
    broken = [True]

    def keep_sometimes(*values):
        if broken:
            raise FlawsmithError("disk is full")
        return keep_waiting(*values)

    monkeypatch.setattr("flawsmith.line.service.parts.keep_waiting", keep_sometimes)
    with client_of(store, views=["top", "bottom"]) as client:
        refused = client.post("/parts/a/views/top", content=png())
        assert refused.status_code == 503
        assert waiting_views(store, "line 1") == []
        broken.clear()
        assert client.post("/parts/a/views/top", content=png()).status_code == 202
        assert [v.inspection.view for v in waiting_views(store, "line 1")] == ["top"]
        assert waiting_views(store, "line 2") == []
        assert client.post("/parts/a/views/bottom", content=png(1)).json()["verdict"] == "PASS"
        assert waiting_views(store, "line 1") == []
    assert verdicts(store) == [("a", Verdict.PASS)]


def test_views_of_another_service_on_the_same_store_are_left_to_it(store):
    theirs = ImageInspection(image="a/top", sha256="1", part="a", view="top")
    keep_waiting(store, "line 2", theirs, "unreadable")
    with client_of(store, views=["top", "bottom"]) as client:
        assert client.post("/parts/a/views/bottom", content=png()).status_code == 202
        assert client.post("/parts/a/views/top", content=png(1)).json()["verdict"] == "PASS"
        assert verdicts(store) == [("a", Verdict.PASS)]
    with store.reading() as session:  # not deleted with part a, though out of date
        assert session.scalars(sa.select(WaitingRow.holder)).all() == ["line 2"]
    assert waiting_elsewhere(store, "line 1") == {}
    keep_waiting(store, "line 2", theirs, "unreadable")
    (left,) = waiting_views(store, "line 2")
    assert (left.inspection, left.refusal) == (theirs, "unreadable")


def test_after_a_restart_parts_wait_once_more_as_long(store):
    view = ImageInspection(
        image="a/top", sha256="1", part="a", view="top", model="fake", width=8, height=8
    )
    for _ in range(2):  # the answer to the first attempt was lost on its way
        keep_waiting(store, "line 1", view)
    with store.transaction() as session:
        session.execute(sa.update(WaitingRow).values(received_at=datetime(2020, 1, 1, tzinfo=UTC)))
    with client_of(store, views=["top", "bottom"], timeout=30.0) as client:
        time.sleep(0.6)
        answer = client.post("/parts/a/views/bottom", content=png(1)).json()
        assert (answer["verdict"], len(answer["images"])) == ("PASS", 2)
    (record,) = store.find()
    assert record.started_at.year == 2020
    assert waiting_views(store, "line 1") == []


def test_views_of_a_part_that_was_recorded_since_are_out_of_date(store):
    keep_waiting(store, "line 1", ImageInspection(image="a/top", sha256="1", part="a", view="top"))
    assert waiting_elsewhere(store, "line 2") == {"line 1": 1}
    with client_of(store) as client:  # another service, or before its names were right
        client.post("/parts/b", content=png())
        image = ImageInspection(image="a/top", sha256="2", part="a")
        store.record(PartVerdict(part="a", verdict=Verdict.PASS), [image])
    assert waiting_views(store, "line 1") == []


def test_a_model_that_breaks_is_no_pass_and_no_end(store):
    with client_of(store) as client:
        broken = client.post("/parts/a", content=png(7))
        assert (broken.status_code, broken.json()["verdict"]) == (200, "REVIEW")
        assert "broken" in broken.json()["reasons"][0]["text"]
        assert client.post("/parts/b", content=png()).json()["verdict"] == "PASS"


# --- hostile bodies


def _bomb() -> bytes:
    """A PNG whose header claims 60,000 x 60,000 pixels."""
    data = bytearray(png())
    data[16:24] = (60_000).to_bytes(4) * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    return bytes(data)


def _saved(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 422, "not a readable image"),
        (b"<html>", 422, "not a readable image"),
        (png(size=64)[:-40], 422, "damaged or truncated"),
        (_saved(Image.new("F", (8, 8)), "TIFF"), 422, "floating-point"),
        (_bomb(), 413, "claims 60000 x 60000 pixels"),
        (png(size=200), 413, "claims 200 x 200 pixels"),
        (encode_png(np.zeros((8, 8, 3), np.uint8)), 200, "it takes grey|takes grey"),
    ],
    ids=["empty", "text", "truncated", "float", "bomb", "large", "colour"],
)
def test_images_that_cannot_be_inspected_are_stored_and_never_pass(store, data, status, said):
    with client_of(store, max_pixels=100 * 100) as client:
        answer = client.post("/parts/a/views/top", content=data)
        assert answer.status_code == status
        result = answer.json() if status == 200 else answer.json()["result"]
        assert result["verdict"] == "REVIEW"
        text = result["reasons"][0]["text"]
        assert any(words in text for words in said.split("|"))
        assert client.get("/parts/a").json() == result
        assert client.post("/parts/b", content=png()).json()["verdict"] == "PASS"
    assert verdicts(store) == [("a", Verdict.REVIEW), ("b", Verdict.PASS)]


def test_an_unreadable_view_says_what_is_still_missing(store):
    with client_of(store, views=["top", "bottom"]) as client:
        answer = client.post("/parts/a/views/top", content=b"no image")
        assert (answer.status_code, answer.json()["missing"]) == (422, ["bottom"])
        assert answer.json()["result"] is None
        last = client.post("/parts/a/views/bottom", content=png())
        assert (last.status_code, last.json()["verdict"]) == (200, "REVIEW")


def test_too_many_bytes_are_refused_with_and_without_an_announcement(store):
    with client_of(store, max_bytes=1000) as client:
        for body in (bytes(1001), iter([bytes(600), bytes(600)])):
            answer = client.post("/parts/a", content=body)
            assert answer.status_code == 413
            assert "1,000 bytes" in answer.json()["detail"]
        assert client.post("/parts/a", content=png()).status_code == 200
        assert figure(client.get("/metrics").text, "flawsmith_queue_length") == 0


@pytest.mark.parametrize("name", ["a%0Ab", "%00", "x" * 201, "%1b[31m"])
def test_names_that_cannot_be_names_are_refused(store, name):
    with client_of(store) as client:
        assert client.post(f"/parts/{name}/views/v", content=png()).status_code == 400
        assert client.post(f"/parts/a/views/{name}", content=png()).status_code == 400
        assert client.get(f"/parts/{name}").status_code == 404
    assert verdicts(store) == []


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "a/b/c", "%2E%2E/x"])
def test_names_with_slashes_lead_nowhere(store, name):
    with client_of(store) as client:
        assert client.post(f"/parts/{name}/views/v", content=png()).status_code in (404, 405)
    assert verdicts(store) == []


# --- who may


def test_a_token_is_needed_where_there_is_one(store):
    with client_of(store, token=TOKEN) as client:
        for given in (None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}"):
            headers = {"Authorization": given} if given else {}
            answer = client.post("/parts/a", content=png(), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/metrics", "/openapi.json", "/parts/a"):
            assert client.get(path).status_code == 401
        assert client.get("/health").json()["live"] is True
        right = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://elsewhere"}
        assert client.post("/parts/a", content=png(), headers=right).status_code == 200
    assert len(verdicts(store)) == 1


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Host": "evil:80"}]
)
def test_web_pages_cannot_use_a_service_without_a_token(store, headers):
    with client_of(store) as client:
        assert client.post("/parts/a", content=png(), headers=headers).status_code == 403
        assert client.get("/health", headers={"Host": "[::1]:80"}).status_code == 200
    assert verdicts(store) == []


def test_other_machines_are_let_in_with_a_token_only(tmp_path):
    for host in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"):
        assert is_loopback(host)
        require_token(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.5", "line-pc", ""):
        with pytest.raises(FlawsmithError, match="lets other machines in"):
            require_token(host, None)
        require_token(host, TOKEN)
    path = tmp_path / "token"
    for text in (TOKEN, f"{TOKEN}\n"):
        path.write_text(text)
        assert read_token(path) == TOKEN
    for text in ("", "short", f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", "é" * 20):
        path.write_text(text)
        with pytest.raises(FlawsmithError, match="token"):
            read_token(path)
    with pytest.raises(FlawsmithError, match="cannot be read"):
        read_token(tmp_path / "none")


# --- health


def test_health_says_what_does_not_work(store, monkeypatch):
    monkeypatch.setattr("flawsmith.line.service.health._FRESH_SECONDS", 0.0)
    with client_of(store, token=TOKEN) as client:
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/health").json() == {
            "live": True, "ready": True, "problems": [],
            "checks": {"model": True, "queue": True, "store": True, "disk": True},
        }  # fmt: skip
        monkeypatch.setattr("flawsmith.line.service.health.MIN_FREE_BYTES", 1 << 60)
        answer = client.get("/health", headers=right)
        assert answer.status_code == 503
        assert answer.json()["checks"]["disk"] is False
        assert "MiB are free" in answer.json()["problems"][0]
        assert client.get("/health").json()["problems"] == []

        def fail(self):
            raise FlawsmithError("readonly")

        monkeypatch.setattr(Store, "transaction", fail)
        assert client.get("/health").json()["checks"]["store"] is False
    assert client.get("/health").json()["checks"]["queue"] is False  # it has ended


def test_description_has_an_example_of_every_answer(store):
    with client_of(store) as client:
        paths = client.get("/openapi.json").json()["paths"]
    post = paths["/parts/{part}/views/{view}"]["post"]
    assert "application/octet-stream" in post["requestBody"]["content"]
    for status in ("200", "202", "401", "403", "408", "413", "422", "503"):
        assert post["responses"][status]["content"]["application/json"]["example"]
    assert {"/parts/{part}", "/health", "/metrics"} < set(paths)


def test_open_parts_have_a_limit(store, monkeypatch):
    monkeypatch.setattr(ServiceParts, "__len__", lambda self: MAX_OPEN)
    with client_of(store) as client:
        assert client.post("/parts/a", content=png()).status_code == 503
