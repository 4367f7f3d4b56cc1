"""Undo, redo and prune; any sequence of changes taken back leaves the bytes of the start."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.filtering import Filter, filter_in_place
from flawsmith.data.gallery.findings import CHECK_FILE, are_outdated
from flawsmith.data.history import (
    HISTORY_FOLDER,
    Changes,
    changing,
    kept_bytes,
    prune,
    read_history,
    undo,
    undoable,
)
from flawsmith.data.relabelling import Relabelling, relabel
from flawsmith.errors import FlawsmithError

NAMES = st.sampled_from(["crack", "pore", "dent", "split", "hole"])
RELABELLINGS = st.builds(
    lambda old, new, merged, drops, as_: Relabelling(
        {old: new} if old else {}, [(merged, "joined")] if merged else [], drops, as_
    ),
    st.none() | NAMES,
    NAMES,
    st.none() | st.tuples(NAMES, NAMES),
    st.lists(NAMES, max_size=1),
    st.sampled_from(["ignore", "good"]),
)
FILTERS = st.builds(
    Filter,
    classes=st.lists(NAMES, max_size=1),
    folds=st.lists(st.integers(0, 1), max_size=1),
    invert=st.booleans(),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(RELABELLINGS | FILTERS, min_size=1, max_size=5))
def test_undoing_everything_gives_the_bytes_of_the_start(tmp_path, make_set, contents, steps):
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    root = make_set(tmp_path / "set", 4)
    states = [contents(root)]
    for step in steps:
        try:
            if isinstance(step, Filter):
                filter_in_place(root, step)
            else:
                relabel(root, step)
        except FlawsmithError:
            assert contents(root) == states[-1]
            continue
        dataset = DefectDataset.open(root)
        for record in dataset:
            dataset.label_map(record)
        if contents(root) != states[-1]:
            states.append(contents(root))
    for state in states[-2::-1]:
        undo(root)
        assert contents(root) == state
    with pytest.raises(FlawsmithError, match="nothing to undo"):
        undo(root)


def test_undo_and_redo_are_recorded_in_order(tmp_path, make_set, contents):
    root = make_set(tmp_path / "set")
    states = [contents(root)]
    relabel(root, Relabelling({"crack": "a"}))
    states.append(contents(root))
    relabel(root, Relabelling({"a": "b"}))
    states.append(contents(root))
    assert undo(root).number == 2
    assert contents(root) == states[1]
    assert undo(root, redo=True).number == 3
    assert contents(root) == states[2]
    assert undo(root).number == 4
    assert undo(root).number == 1
    assert contents(root) == states[0]
    history = read_history(root)
    assert [(o.number, o.verb, o.reverts) for o in history] == [
        (1, "relabel", None),
        (2, "relabel", None),
        (3, "undo", 2),
        (4, "redo", 3),
        (5, "undo", 4),
        (6, "undo", 1),
    ]
    assert undoable(history) == []
    relabel(root, Relabelling({"pore": "c"}))
    with pytest.raises(FlawsmithError, match="no undo: nothing to redo"):
        undo(root, redo=True)


def test_files_that_changed_otherwise_are_not_overwritten(tmp_path, make_set, contents):
    root = make_set(tmp_path / "set")
    relabel(root, Relabelling({"crack": "a"}))
    with (root / "metadata.jsonl").open("a") as stream:
        stream.write("\n")
    before = contents(root)
    with pytest.raises(FlawsmithError, match=r"metadata\.jsonl changed since in another way"):
        undo(root)
    assert contents(root) == before


def test_a_file_in_the_place_of_a_removed_one_is_not_overwritten(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    filter_in_place(root, Filter(folds=[0]))
    (root / "images/img1.png").write_bytes(b"new")
    with pytest.raises(FlawsmithError, match=r"images/img1\.png changed since"):
        undo(root)
    assert (root / "images/img1.png").read_bytes() == b"new"


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_history_is_not_put_back(tmp_path, make_set, contents, damage):
    root = make_set(tmp_path / "set")
    filter_in_place(root, Filter(folds=[0]))
    kept = root / HISTORY_FOLDER / "0001-filter/before/images/img1.png"
    kept.unlink() if damage == "gone" else kept.write_bytes(b"x")
    before = contents(root)
    with pytest.raises(FlawsmithError, match=r"images/img1\.png is missing or damaged"):
        undo(root)
    assert contents(root) == before


def test_a_history_that_leads_out_of_the_data_set_is_refused(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    relabel(root, Relabelling({"crack": "a"}))
    path = root / HISTORY_FOLDER / "0001-relabel/operation.json"
    path.write_text(path.read_text().replace('"dataset.toml"', '"../dataset.toml"'))
    with pytest.raises(FlawsmithError, match="leads out of the data set"):
        undo(root)


def test_prune_frees_what_was_kept_and_the_record_stays(tmp_path, make_set, contents):
    root = make_set(tmp_path / "set")
    filter_in_place(root, Filter(folds=[0]))
    kept = root / HISTORY_FOLDER / "0001-filter/before"
    size = sum(p.stat().st_size for p in kept.rglob("*") if p.is_file())
    before = contents(root)
    assert kept_bytes(root, read_history(root)[0]) == size > 0
    assert prune(root) == size
    assert prune(root) == 0
    assert not kept.exists()
    assert contents(root) == before
    with pytest.raises(FlawsmithError, match="its old files were pruned"):
        undo(root)


def test_nothing_is_recorded_where_nothing_changed_or_an_error_came(tmp_path, make_set, contents):
    root = make_set(tmp_path / "set")
    before = contents(root)
    with changing(root, "relabel", []) as changes:
        changes.write("dataset.toml", (root / "dataset.toml").read_bytes())
    with pytest.raises(FlawsmithError, match="wrong"), changing(root, "relabel", []) as changes:
        _write_and_fail(changes)
    assert read_history(root) == []
    assert contents(root) == before
    assert not (root / HISTORY_FOLDER / ".partial").exists()


def _write_and_fail(changes: Changes) -> None:
    changes.write("dataset.toml", b"other")
    raise FlawsmithError("wrong")


def test_kept_findings_count_as_outdated_after_a_change_and_after_an_undo(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    (root / CHECK_FILE).write_text('{"findings": []}')
    assert not are_outdated(root)
    relabel(root, Relabelling({"crack": "a"}))
    assert are_outdated(root)
    (root / CHECK_FILE).write_text('{"findings": []}')
    assert not are_outdated(root)
    undo(root)  # metadata.jsonl is the old file again, but not of the old time
    assert are_outdated(root)


def test_old_files_and_data_set_share_no_storage(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    relabel(root, Relabelling({}, [(("crack", "pore"), "a")]))
    undo(root)
    assert all(p.stat().st_nlink == 1 for p in root.rglob("*") if p.is_file())


def test_links_to_images_are_moved_as_links(tmp_path, make_set, contents):
    root = make_set(tmp_path / "set")
    target = tmp_path / "camera.png"
    shutil.move(root / "images/img1.png", target)
    (root / "images/img1.png").symlink_to(target)
    before = contents(root)
    filter_in_place(root, Filter(folds=[0]))
    assert target.exists()
    undo(root)
    assert (root / "images/img1.png").is_symlink()
    assert contents(root) == before
