"""Which images stay, in place and as a new data set."""

import json
import os

import pytest

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.data.filtering import Filter, filter_in_place, filter_to, select
from flawsmith.data.history import read_history
from flawsmith.errors import FlawsmithError


def numbers(records) -> set[int]:
    return {int(r.file_name[len("images/img") : -len(".png")]) for r in records}


@pytest.fixture
def root(tmp_path, make_set):
    """Six images; 0 and 3 are good, 5 is excluded, 2 is synthetic and made from 1."""
    root = make_set(tmp_path / "set", backgrounds=("metal", "paint"))
    records = DefectDataset.open(root).records
    records[5] = records[5].model_copy(update={"excluded": "blurred"})
    update = {"source": "synthetic", "parents": ["images/img1.png"]}
    records[2] = records[2].model_copy(update=update)
    write_metadata(root / METADATA_FILE, records)
    return root


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (Filter(classes=["crack"]), {2, 5}),
        (Filter(classes=["crack", "PORE"]), {1, 2, 4, 5}),
        (Filter(classes=["crack"], folds=[0]), {2}),
        (Filter(classes=["crack"], invert=True), {0, 1, 3, 4}),
        (Filter(parts=["part1"]), {2, 3}),
        (Filter(parts=["part[01]", "part2"]), None),
        (Filter(parts=["*0", "part?"]), {0, 1, 2, 3, 4, 5}),
        (Filter(views=["v1"]), {1, 3, 5}),
        (Filter(folds=[0, 1], state="good"), {0, 3}),
        (Filter(state="defective"), {1, 2, 4}),
        (Filter(state="excluded", invert=True), {0, 1, 2, 3, 4}),
        (Filter(source="synthetic"), {2}),
    ],
)
def test_every_option_must_match_and_one_of_its_values(root, what, expected):
    if expected is None:
        with pytest.raises(FlawsmithError, match=r"no image has the part 'part\[01\]'"):
            select(DefectDataset.open(root), what)
        return
    report = select(DefectDataset.open(root), what)
    assert numbers(report.kept) == expected
    assert numbers(report.kept) | numbers(report.removed) == set(range(6))


def test_classes_of_the_mask_are_what_class_looks_for(root):
    dataset = DefectDataset.open(root)
    shown = {
        r.file_name for r in dataset if (dataset.label_map(r).defects == 1).any()
    }  # crack has id 1
    kept = select(dataset, Filter(classes=["crack"])).kept
    assert {r.file_name for r in kept} == shown


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (Filter(), "say what to keep"),
        (Filter(invert=True), "say what to keep"),
        (Filter(classes=["crak"]), "did you mean 'crack'"),
        (Filter(parts=["part7"]), "no image has the part 'part7'"),
        (Filter(folds=[9]), r"no image has the fold '9'.*there are: 0, 1"),
        (Filter(parts=["part1"], views=["v0"], state="good"), "needs an image at least"),
        (Filter(findings=["excluded"]), r"check\.json, which is not there; write it first"),
    ],
)
def test_what_matches_nothing_is_told_and_changes_nothing(root, contents, what, message):
    before = contents(root)
    with pytest.raises(FlawsmithError, match=message):
        filter_in_place(root, what)
    assert contents(root) == before
    assert not (root / ".history").exists()


def test_in_place_removes_all_files_of_an_image_and_nothing_else(root, contents):
    before = contents(root)
    filter_in_place(root, Filter(classes=["crack"]))
    after = contents(root)
    assert set(before) - set(after) == {
        *(f"images/img{i}.png" for i in (0, 1, 3, 4)),
        *(f"masks/img{i}.png" for i in (1, 4)),
        *(f"backgrounds/img{i}.png" for i in (1, 3)),
    }
    assert {k: v for k, v in before.items() if k in after and k != METADATA_FILE} == {
        k: v for k, v in after.items() if k != METADATA_FILE
    }
    (operation,) = read_history(root)
    assert operation.arguments == ["--class", "crack"]
    assert operation.summary[0] == "2 of 6 images kept"


def test_a_new_data_set_holds_the_same_files_and_says_where_from(root, tmp_path, contents):
    before = contents(root)
    filter_to(root, tmp_path / "new", Filter(classes=["crack"]))
    assert contents(root) == before
    new = contents(tmp_path / "new")
    kept = {k: v for k, v in new.items() if k != METADATA_FILE}
    assert kept.items() <= before.items()
    assert len(DefectDataset.open(tmp_path / "new")) == 2
    (origin,) = read_history(tmp_path / "new")
    assert origin.summary[0] == f"made from {root}"
    assert origin.files == []


def test_a_new_data_set_is_not_there_if_a_file_is_missing(root, tmp_path):
    (root / "masks/img5.png").unlink()
    with pytest.raises(FlawsmithError, match=r"img5\.png"):
        filter_to(root, tmp_path / "new", Filter(classes=["crack"]))
    assert not (tmp_path / "new").exists()


def test_torn_parts_and_orphaned_synthetic_images_are_told(root):
    report = select(DefectDataset.open(root), Filter(parts=["part1"]))
    assert any("1 synthetic images stay whose real images are removed" in n for n in report.notes)
    report = select(DefectDataset.open(root), Filter(views=["v0"]))
    assert "2 parts keep only some of their images" in report.notes


def test_findings_of_an_image_and_its_mask_count_if_they_are_up_to_date(root):
    findings = [
        {"kind": "out_of_focus", "file": "images/img0.png", "message": ""},
        {"kind": "tiny_regions", "file": "masks/img4.png", "message": ""},
    ]
    (root / "check.json").write_text(json.dumps({"findings": findings}))
    dataset = DefectDataset.open(root)
    kept = select(dataset, Filter(findings=["out of focus", "tiny_regions"])).kept
    assert numbers(kept) == {0, 4}
    with pytest.raises(FlawsmithError, match=r"no kind; did you mean 'out_of_focus'"):
        select(dataset, Filter(findings=["outoffocus"]))
    newer = (root / "check.json").stat().st_mtime_ns + 1
    os.utime(root / METADATA_FILE, ns=(newer, newer))
    with pytest.raises(FlawsmithError, match="older than the last change"):
        select(dataset, Filter(findings=["out_of_focus"]))
