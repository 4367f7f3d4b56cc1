"""Kills, full disks and missing permissions at every file operation of a change and of an undo."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.filtering import Filter, filter_in_place
from flawsmith.data.history import finish_pending, read_history, undo
from flawsmith.data.history.transaction import locked
from flawsmith.data.relabelling import Relabelling, relabel
from flawsmith.errors import FlawsmithError

DONE, REFUSED = 0, 3

RELABEL = Relabelling({"crack": "split"}, [(("pore", "dent"), "spot")])


def do_relabel(root: Path) -> None:
    relabel(root, RELABEL)


def do_filter(root: Path) -> None:
    filter_in_place(root, Filter(classes=["crack"]))


def do_undo(root: Path) -> None:
    undo(root)


CASES = {
    "relabel": (None, do_relabel),
    "filter": (None, do_filter),
    "undo relabel": (do_relabel, do_undo),
    "undo filter": (do_filter, do_undo),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path, make_set, contents):
    """A data set, what to do with it, and what it holds before and after."""
    prepare, work = CASES[request.param]
    start = make_set(tmp_path / "start", 3)
    if prepare:
        prepare(start)
    done = shutil.copytree(start, tmp_path / "done")
    work(done)
    before, after = contents(start), contents(done)
    assert before != after
    return start, work, before, after


def test_a_kill_at_any_file_operation_leaves_all_or_nothing(case, tmp_path, contents, in_child):
    start, work, before, after = case
    seen = []
    for at in range(1, 500):
        root = shutil.copytree(start, tmp_path / "copy")
        status = in_child(root, lambda root=root: work(root), at)
        DefectDataset.open(root)
        found = contents(root)
        assert found in (before, after), at
        assert not (root / ".history/pending").exists()
        # Afterwards everything works on: the same again, or back.
        if found == before:
            work(root)
            assert contents(root) == after, at
        else:
            number = len(read_history(root))
            assert number == len(read_history(start)) + 1, at
        if found == after and work is not do_undo:
            undo(root)
            assert contents(root) == before, at
        shutil.rmtree(root)
        if status == DONE:
            break
        assert status == -signal.SIGKILL
        seen.append(found == after)
    assert status == DONE
    assert at > 20
    assert set(seen) == {True, False}  # killed before and after the moment that counts
    assert seen == sorted(seen)


def test_an_error_at_any_file_operation_changes_nothing(case, tmp_path, contents, in_child):
    start, work, before, after = case
    refused = 0
    root = shutil.copytree(start, tmp_path / "copy")
    for at in range(1, 500):
        number = (errno.ENOSPC, errno.EACCES, errno.EIO)[at % 3]
        error = OSError(number, os.strerror(number))
        status = in_child(root, lambda: work(root), at, error)
        assert status in (DONE, REFUSED), at
        found = contents(root)
        # Leftovers are removed later, so an error there is none for the user.
        assert found == (after if status == DONE else before), at
        refused += status == REFUSED
        if status == DONE:
            DefectDataset.open(root)
            assert contents(root) == found
            shutil.rmtree(root)
            shutil.copytree(start, root)
            if at > 60:
                break
    assert refused > 15


def test_a_full_disk_is_told_and_changes_nothing(tmp_path, make_set, contents, in_child):
    start = make_set(tmp_path / "start")
    before = contents(start)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for at in (3, 8, 15, 20):

        def hit(event: str, path: str, number: int, at: int = at) -> bool:
            return number >= at and event in ("open", "os.mkdir", "os.link")

        assert in_child(start, lambda: relabel(start, RELABEL), 0, full, hit) == REFUSED
        assert contents(start) == before
    relabel(start, RELABEL)


def test_what_cannot_be_put_back_is_finished_by_the_next_reader(
    tmp_path, make_set, contents, in_child
):
    root = make_set(tmp_path / "set")
    before = contents(root)
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    # From the first mask on, nothing can be renamed any more: neither forward nor back.
    blocked = []

    def hit(event: str, path: str, number: int) -> bool:
        blocked[:] = blocked or ["x"] * (event == "os.rename" and "/after/masks/" in path)
        return bool(blocked) and event == "os.rename"

    assert in_child(root, lambda: relabel(root, RELABEL), 0, denied, hit) == REFUSED
    assert (root / ".history/pending").exists()
    dataset = DefectDataset.open(root)
    assert not (root / ".history/pending").exists()
    for record in dataset:
        dataset.label_map(record)
    if dataset.schema.defect_names == ["crack", "pore", "dent"]:
        assert contents(root) == before
    else:
        undo(root)
        assert contents(root) == before


def test_a_second_process_is_told_that_the_first_is_at_it(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    script = (
        "import sys; from pathlib import Path; from flawsmith.data.history import undo\n"
        "undo(Path(sys.argv[1]))"
    )
    with locked(root):
        done = subprocess.run(
            [sys.executable, "-c", script, str(root)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode
        assert f"another process is changing {root}" in done.stderr


def test_a_reader_waits_for_a_change_that_another_process_finishes(tmp_path, make_set, in_child):
    root = make_set(tmp_path / "set")
    for at in range(1, 200):
        in_child(root, lambda: relabel(root, RELABEL), at)
        if (root / ".history/pending").exists():
            break
    handle = os.open(root / ".history/lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    release = threading.Timer(0.3, os.close, [handle])
    release.start()
    assert DefectDataset.open(root).schema.defect_names == ["split", "spot"]
    release.join()


def test_nothing_pending_costs_a_reader_no_file(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    finish_pending(root)
    DefectDataset.open(root)
    assert not (root / ".history").exists()


def test_a_damaged_marker_is_told(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    (root / ".history").mkdir()
    (root / ".history/pending").write_text("{torn")
    with pytest.raises(FlawsmithError, match="pending is damaged"):
        DefectDataset.open(root)
