"""What is told of stored parts, and what shows that inspection is alive."""

import io
import json
import shutil

import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.line import heartbeat as heartbeat_module
from flawsmith.line.announcer import Announcer
from flawsmith.line.heartbeat import Heartbeat
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage
from flawsmith.line.store import Store

from .spots import IDENTITY, SCHEMA, SpotModel, png, rules


@pytest.fixture
def part_and_record(tmp_path):
    with Store(str(tmp_path / "results.db")) as store:
        inspector = Inspector(SpotModel(), IDENTITY, rules(), store, keep_pixels=True)
        part = OpenPart("a")
        inspector.look(PartImage.from_bytes(png(), name="a.png", part="a"), part)
        yield part, inspector.conclude(part)


def test_lines_are_collected_over_runs(part_and_record, tmp_path):
    for _ in range(2):
        stream = io.StringIO()
        Announcer(stream, "csv", out=tmp_path / "out").tell(*part_and_record)
        assert len(stream.getvalue().splitlines()) == 2
    collected = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in collected] == ["id", "1", "1"]
    assert not (tmp_path / "out" / "overlays").exists()


def test_a_picture_that_cannot_be_written_stops_nothing(part_and_record, tmp_path):
    said = []
    stream = io.StringIO()
    announcer = Announcer(stream, out=tmp_path / "out", schema=SCHEMA, warn=said.append)
    announcer.tell(*part_and_record)
    assert [p.name for p in (tmp_path / "out" / "overlays").iterdir()] == ["000001_a_0.png"]
    shutil.rmtree(tmp_path / "out" / "overlays")
    announcer.tell(*part_and_record)
    assert len(stream.getvalue().splitlines()) == 2
    assert "no overlay of result 1" in said[0]


def test_a_file_of_lines_that_cannot_be_written_is_told(part_and_record, tmp_path):
    announcer = Announcer(io.StringIO(), out=tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(FlawsmithError, match="result 1 is in the results store"):
        announcer.tell(*part_and_record)
    with pytest.raises(FlawsmithError, match="cannot write into"):
        Announcer(io.StringIO(), out=tmp_path / "results.db")


def test_heartbeat_says_how_far_inspection_is(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(heartbeat_module.time, "monotonic", lambda: clock[0])
    path = tmp_path / "beat"
    beat = Heartbeat(path)
    beat.part_done(17)
    beat.beat(waiting=3, problem="away")
    found = json.loads(path.read_text())
    assert [found[key] for key in ("state", "parts", "last_result", "waiting", "problem")] == [
        "running", 1, 17, 3, "away",
    ]  # fmt: skip
    beat.part_done(18)
    clock[0] += 0.5
    beat.beat()
    assert json.loads(path.read_text()) == found  # not more often than needed
    clock[0] += 0.5
    beat.beat()
    assert json.loads(path.read_text())["last_result"] == 18
    beat.beat(stopped=True)
    assert json.loads(path.read_text())["state"] == "stopped"
    assert list(tmp_path.iterdir()) == [path]


def test_a_heartbeat_that_cannot_be_written_only_grows_old(tmp_path):
    Heartbeat(tmp_path / "absent" / "beat").beat()
    Heartbeat(None).beat()
