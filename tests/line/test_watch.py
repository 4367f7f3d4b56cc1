"""A watched folder, step by step with a clock of its own."""

import os
import shutil

import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.line.inspector import Inspector
from flawsmith.line.part_pattern import PartPattern
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store
from flawsmith.line.watch import PATIENCE_SECONDS, SETTLE_SECONDS, FolderWatch

from .spots import IDENTITY, SpotModel, png, rules

PASS, REVIEW, FAIL = Verdict.PASS, Verdict.REVIEW, Verdict.FAIL


class Line:
    """A folder, a store and a watch that can be started anew."""

    def __init__(self, root):
        self.folder = root / "in"
        self.folder.mkdir()
        self.store = Store(str(root / "results.db"))
        self.now = 1000.0
        self.copies = []
        self.start()

    def start(self, *views, pattern="{part}.*", timeout=None):
        """Begin as after a crash: with nothing but the folder and the store."""
        self.model = SpotModel()
        inspector = Inspector(
            self.model, IDENTITY, rules(*views, timeout=timeout), self.store, once=True
        )
        self.watch = FolderWatch(
            self.folder, inspector, PartPattern(pattern), clock=lambda: self.now,
            on_copy=self.copies.append,
        )  # fmt: skip

    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def pass_time(self, seconds=SETTLE_SECONDS):
        """Look, wait and look again; return part and verdict of what came out."""
        found = [r for _, r in self.watch.poll()]
        self.now += seconds
        found += [r for _, r in self.watch.poll()]
        return [(r.verdict.part, r.verdict.verdict) for r in found]


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path)
    yield made
    made.store.close()


def test_an_image_is_taken_up_when_it_rests_and_only_once(line):
    line.put("a.png", png(1))
    line.put("b.png", png(2, spot=True))
    assert line.pass_time(SETTLE_SECONDS / 2) == []
    assert line.pass_time(SETTLE_SECONDS / 2) == [("a", PASS), ("b", FAIL)]
    assert line.pass_time(100) == []
    line.start()  # after a restart
    assert line.pass_time() == []
    assert line.model.calls == 0
    os.utime(line.folder / "a.png", (1, 1))  # somebody touches it
    assert line.pass_time() == []
    line.put("a.png", png(3))  # another image under the same name
    assert line.pass_time() == [("a", PASS)]
    assert [r.id for r in line.store.find()] == [1, 2, 3]


def test_a_file_that_is_being_written_is_waited_for(line):
    data = png(1)
    for end in (10, 200, len(data) - 1):
        line.put("a.png", data[:end])
        assert line.pass_time(SETTLE_SECONDS * 0.9) == []
    line.put("a.png", data)
    assert line.pass_time() == [("a", PASS)]


def test_a_file_of_full_size_without_its_content_is_waited_for(line):
    data = png(1)
    path = line.put("a.png", bytes(len(data)))
    assert line.pass_time() == []
    assert line.pass_time(PATIENCE_SECONDS / 2) == []
    path.write_bytes(data)
    assert line.pass_time() == [("a", PASS)]


def test_a_damaged_file_is_review_in_the_end_also_after_a_restart(line):
    line.put("a.png", png(1)[:-100])
    assert line.pass_time(PATIENCE_SECONDS * 0.9) == []
    line.start()
    assert line.pass_time(PATIENCE_SECONDS * 0.9) == []
    assert line.pass_time(PATIENCE_SECONDS * 0.2) == [("a", REVIEW)]
    assert "truncated" in line.store.get(1).verdict.reasons[0].text
    line.start()
    assert line.pass_time(PATIENCE_SECONDS * 2) == []


def test_parts_wait_for_their_views(line):
    line.start("left", "right", pattern="{part}_{view}.png", timeout=20)
    line.put("a_left.png", png(1))
    line.put("b_right.png", png(2))
    line.put("c_left.png", png(3))
    assert line.pass_time() == []
    line.put("b_left.png", png(4, spot=True))
    line.put("a_right.png", png(5))
    assert sorted(line.pass_time()) == [("a", PASS), ("b", FAIL)]
    assert line.watch.waiting == 1
    assert line.pass_time(20) == [("c", REVIEW)]
    (reason,) = line.store.get(3).verdict.reasons
    assert (reason.rule, reason.view) == ("missing view", "right")
    assert "right" in reason.text
    assert line.watch.waiting == 0
    line.put("c_right.png", png(6))  # too late: never a PASS by halves
    assert line.pass_time() == []
    assert line.pass_time(20) == [("c", REVIEW)]


def test_views_that_waited_when_the_process_died_are_taken_up_again(line):
    line.start("left", "right", pattern="{part}/{view}.png")
    line.put("a/left.png", png(1))
    assert line.pass_time() == []
    line.start("left", "right", pattern="{part}/{view}.png")
    line.put("a/right.png", png(2))
    assert line.pass_time() == [("a", PASS)]
    assert [i.view for i in line.store.get(1).images] == ["left", "right"]


def test_copies_make_no_second_verdict(line):
    line.start("left", "right", pattern="*{part}_{view}.png".replace("*", "*-"))
    line.put("1-a_left.png", png(1))
    line.put("2-a_left.png", png(1))
    line.put("1-a_right.png", png(2))
    assert line.pass_time() == [("a", PASS)]
    line.put("3-a_right.png", png(2))
    assert line.pass_time() == []
    assert line.pass_time(60) == []
    assert ["result 1" in text for text in line.copies] == [True]


def test_a_name_that_does_not_fit_is_review_at_once(line):
    line.start("left", "right", pattern="{part}_{view}.png")
    line.put("stray.png", png(1))
    line.put(".._left.png", png(2))
    line.put("notes.txt", b"no image")
    line.put("._a_left.png", b"what macOS leaves behind")
    ((part, verdict),) = line.pass_time()
    assert (part, verdict) == (str(line.folder / "stray.png"), REVIEW)
    assert any("does not fit" in r.text for r in line.store.get(1).verdict.reasons)


def test_a_stop_leaves_the_rest_for_later(line):
    for number in range(3):
        line.put(f"{number}.png", png(number))
    list(line.watch.poll())
    line.now += SETTLE_SECONDS
    answers = iter([True, True, False])
    assert len(list(line.watch.poll(lambda: next(answers)))) == 2
    assert line.watch.waiting == 1
    assert line.pass_time(0) == [("2", PASS)]


def test_a_share_that_is_away_comes_back(line):
    line.put("a.png", png(1))
    assert line.pass_time() == [("a", PASS)]
    away = line.folder.with_name("away")
    line.folder.rename(away)
    assert line.pass_time() == []
    assert "cannot look into" in line.watch.problem
    shutil.copytree(away, line.folder)
    line.put("b.png", png(2))
    assert line.pass_time() == [("b", PASS)]
    assert line.watch.problem is None


def test_a_second_watch_with_the_same_store_is_noticed(line):
    line.put("a.png", png(1))
    first, model = line.watch, line.model
    line.start()
    assert [r for _, r in first.poll()] == [r for _, r in line.watch.poll()] == []
    line.now += SETTLE_SECONDS
    stored = line.store.handled
    line.store.handled = lambda *_: False  # both look before either has stored
    assert len([r for _, r in first.poll()]) == 1
    line.store.handled, line.store.find_copy = stored, lambda *_: None
    assert [r for _, r in line.watch.poll()] == []
    line.start()
    line.store.handled = lambda *_: False
    line.watch._inspector.rules = rules("", timeout=5)  # not the same handling
    next(iter(line.watch.poll()), None)
    line.now += SETTLE_SECONDS
    with pytest.raises(FlawsmithError, match="stop one of the two"):
        list(line.watch.poll())
    assert model.calls == 1


def test_what_cannot_be_watched_is_told(line, tmp_path):
    with pytest.raises(FlawsmithError, match="nobody says which views"):
        line.start(pattern="{part}_{view}.png")
    line.folder = tmp_path / "absent"
    with pytest.raises(FlawsmithError, match="no folder"):
        line.start()
