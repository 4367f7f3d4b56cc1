"""Several data sets as one: classes, files, parts, folds, and what is refused."""

import shutil

import numpy as np
import pytest

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.data.history import read_history
from flawsmith.data.merging import merge
from flawsmith.data.schema import PixelSize, Schema
from flawsmith.errors import FlawsmithError


def edit(root, **updates) -> None:
    records = [r.model_copy(update=updates) for r in DefectDataset.open(root)]
    write_metadata(root / METADATA_FILE, records)


def test_label_maps_are_equal_class_by_class_after_a_merge(tmp_path, make_set, contents):
    a = make_set(tmp_path / "a", backgrounds=("metal", "paint"))
    b = make_set(tmp_path / "b", classes=("dent", "rust", "CRACK"), seed=1, backgrounds=("paint",))
    before = contents(a), contents(b)
    report = merge([a, b], tmp_path / "new")
    assert (contents(a), contents(b)) == before
    new = DefectDataset.open(tmp_path / "new")
    assert new.schema.defect_names == ["crack", "pore", "dent", "rust"]
    assert len({d.colour for d in new.schema.defects}) == 4
    assert report.classes == [
        ("crack", ["crack", "CRACK"]),
        ("pore", ["pore", None]),
        ("dent", ["dent", "dent"]),
        ("rust", [None, "rust"]),
    ]
    by_original = {r.original: r for r in new}
    assert len(by_original) == len(new) == 12
    for label, root in (("a", a), ("b", b)):
        old = DefectDataset.open(root)
        for record in old:
            copy = by_original[f"{label}/{record.file_name}"]
            assert copy.sha256 == record.sha256
            maps, copied = old.label_map(record), new.label_map(copy)
            for defect in old.schema.defects:
                there = new.schema.defect(defect.name).id
                np.testing.assert_array_equal(maps.defects == defect.id, copied.defects == there)
            np.testing.assert_array_equal(maps.defects == 255, copied.defects == 255)
            names = [bg.name for bg in new.schema.backgrounds]
            for surface in old.schema.backgrounds:
                same = copied.backgrounds == names.index(surface.name)
                np.testing.assert_array_equal(maps.backgrounds == surface.id, same)
            expected = {new.schema.defect(name).name for name in record.labels}
            assert set(copy.labels) == expected


def test_names_of_files_and_parts_that_clash_get_the_set_in_front(tmp_path, make_set):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2, seed=1)
    report = merge([a, b], tmp_path / "new")
    new = DefectDataset.open(tmp_path / "new")
    files = {r.original: (r.file_name, r.part) for r in new}
    assert files["a/images/img0.png"] == ("images/a_img0.png", "a/part0")
    assert files["b/images/img0.png"] == ("images/b_img0.png", "b/part0")
    assert files["a/images/img5.png"] == ("images/img5.png", "part2")
    assert len(new.parts()) == report.parts == 4
    assert any("1 part names occur in several sets" in note for note in report.notes)


def test_same_parts_joins_parts_of_one_name(tmp_path, make_set):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2, seed=1)
    merge([a, b], tmp_path / "new", same_parts=True)
    parts = DefectDataset.open(tmp_path / "new").parts()
    assert {name: len(records) for name, records in parts.items()} == {
        "part0": 4, "part1": 2, "part2": 2,
    }  # fmt: skip


def test_equal_images_share_a_part_whatever_its_name(tmp_path, make_set):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2, seed=1)
    shutil.copy(a / "images/img4.png", b / "images/img0.png")
    records = DefectDataset.open(b).records
    digest = DefectDataset.open(a).records[4].sha256
    records = [r.model_copy(update={"part": "other"}) for r in records]
    records[0] = records[0].model_copy(update={"sha256": digest})
    write_metadata(b / METADATA_FILE, records)
    report = merge([a, b], tmp_path / "new")
    parts = {r.original: r.part for r in DefectDataset.open(tmp_path / "new")}
    assert parts["b/images/img0.png"] == parts["a/images/img4.png"] == "part2"
    assert parts["b/images/img1.png"] == "part2"  # the other view of that piece
    assert report.notes[0].startswith("1 images are in an earlier set byte for byte")


def test_folds_stay_where_they_fit_and_are_dropped_where_not(tmp_path, make_set):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2, seed=1)
    for root in (a, b):  # whole parts in a fold
        records = DefectDataset.open(root).records
        records = [r.model_copy(update={"fold": i // 2 % 2}) for i, r in enumerate(records)]
        write_metadata(root / METADATA_FILE, records)
    dropped = merge([a, b], tmp_path / "one")  # b has fold 0 only
    assert {r.fold for r in DefectDataset.open(tmp_path / "one")} == {None}
    assert any("folds do not fit together" in note for note in dropped.notes)
    edit(a, fold=0)
    kept = merge([a, b], tmp_path / "two")
    assert {r.fold for r in DefectDataset.open(tmp_path / "two")} == {0}
    assert not any("folds" in note for note in kept.notes)


def test_parents_of_synthetic_images_follow_their_files(tmp_path, make_set):
    real, made = make_set(tmp_path / "real"), make_set(tmp_path / "made", 2, seed=1)
    edit(made, source="synthetic", parents=["images/img4.png", "images/gone.png"])
    own = make_set(tmp_path / "own", 6, seed=2)
    merge([own, real, made], tmp_path / "new")
    for record in DefectDataset.open(tmp_path / "new"):
        if record.source == "synthetic":
            assert record.parents == ["images/own_img4.png", "images/gone.png"]


def test_the_place_of_a_whole_image_label_stays_unknown(tmp_path, make_set):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2, seed=1)
    edit(b, labels=["pore"], weak_labels=["pore"], mask_file_name=None)
    merge([a, b], tmp_path / "new")
    new = DefectDataset.open(tmp_path / "new")
    for record in new:
        if (record.original or "").startswith("b/"):
            assert (record.labels, record.mask_file_name) == (["pore"], None)
            assert (new.label_map(record).defects == 255).all()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"pixel_size_mm": PixelSize(x=0.5, y=0.4)}, r"pixel_size_mm is unknown in .*0\.5 x 0\.4"),
        ({"white_level": 200}, "white_level is 255 in .* 200 in .*--white-level"),
        ({"channels": 3}, "channels is 1 in .* 3 in"),
        ({"simulated": True}, "simulated is False in .* True in"),
        ({"bit_depth": 12, "white_level": 4095}, "bit_depth is 8 .*white_level is 255"),
    ],
)
def test_pixels_of_another_meaning_are_refused(tmp_path, make_set, schema, message):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2, **schema)
    with pytest.raises(FlawsmithError, match=message):
        merge([a, b], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_classes_that_would_become_one_are_refused(tmp_path, make_set):
    a = make_set(tmp_path / "a", classes=("crack", "x"))
    b = make_set(tmp_path / "b", 2, classes=("crack", "split"))
    schema = Schema.load(a)
    aliased = schema.defects[0].model_copy(update={"aliases": ["Split"]})
    schema.model_copy(update={"defects": [aliased, schema.defects[1]]}).save(a)
    with pytest.raises(FlawsmithError, match=r"'crack' and 'split' of b have names .* relabel"):
        merge([a, b], tmp_path / "new")


def test_an_alias_matches_and_the_other_name_becomes_one(tmp_path, make_set):
    a = make_set(tmp_path / "a", classes=("crack", "x"))
    b = make_set(tmp_path / "b", 2, classes=("riss", "y"))
    schema = Schema.load(b)
    aliased = schema.defects[0].model_copy(update={"aliases": ["Crack"]})
    schema.model_copy(update={"defects": [aliased, schema.defects[1]]}).save(b)
    merge([a, b], tmp_path / "new")
    new = Schema.load(tmp_path / "new")
    assert [(d.name, d.aliases) for d in new.defects] == [
        ("crack", ["riss"]), ("x", []), ("y", []),
    ]  # fmt: skip


def test_folders_that_make_no_sense_are_refused(tmp_path, make_set):
    a, b = make_set(tmp_path / "a"), make_set(tmp_path / "b", 2)
    for folders in ([a], [a, tmp_path / "x/../a"]):
        with pytest.raises(FlawsmithError, match="two or more different data sets"):
            merge(folders, tmp_path / "new")
    with pytest.raises(FlawsmithError, match="exists already"):
        merge([a, b], b)
    (b / "images/img1.png").unlink()
    with pytest.raises(FlawsmithError, match=r"there is no image .*img1\.png"):
        merge([a, b], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


def test_folders_of_one_name_are_told_apart_and_the_origin_is_recorded(tmp_path, make_set):
    first = make_set(tmp_path / "one/set")
    second = make_set(tmp_path / "two/set", 2, seed=1)
    assert merge([first, second], tmp_path / "new").labels == ["set", "set_2"]
    (origin,) = read_history(tmp_path / "new")
    assert origin.arguments == [str(first), str(second)]
    assert origin.summary[:2] == ["6 images of set", "2 images of set_2"]
