"""Classes renamed, merged and dropped, against what numpy says of the old masks."""

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata
from flawsmith.data.history import read_history
from flawsmith.data.relabelling import Relabelling, plan_classes, relabel
from flawsmith.data.schema import Defect, Schema
from flawsmith.errors import FlawsmithError


def masks(root) -> dict[str, np.ndarray]:
    dataset = DefectDataset.open(root)
    return {r.file_name: dataset.label_map(r).defects for r in dataset}


def test_merged_ids_are_contiguous_and_masks_labels_and_colours_follow(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    old, colours = masks(root), [d.colour for d in Schema.load(root).defects]
    lines = relabel(root, Relabelling({"pore": "hole"}, [(("crack", "dent"), "split")]))
    dataset = DefectDataset.open(root)
    # ids: crack 1, pore 2, dent 3 -> split 1, hole 2
    assert [(d.id, d.name, d.aliases) for d in dataset.schema.defects] == [
        (1, "split", ["crack", "dent"]),
        (2, "hole", ["pore"]),
    ]
    assert [d.colour for d in dataset.schema.defects] == colours[:2]
    new = masks(root)
    for name, before in old.items():
        expected = np.where(before == 3, 1, before)
        np.testing.assert_array_equal(new[name], expected)
    for record in dataset:
        present = set(np.unique(new[record.file_name])) - {0, 255}
        assert sorted(record.labels) == sorted(dataset.schema.defect_names[i - 1] for i in present)
        if record.mask_file_name:
            with Image.open(root / record.mask_file_name) as mask:
                assert mask.getpalette()[: 3 * 3] == dataset.schema.palette()[:9]
    counts = {
        n: sum(i in m for m in old.values()) for i, n in enumerate(["crack", "pore", "dent"], 1)
    }
    assert lines == [
        f"crack ({counts['crack']} images) + dent ({counts['dent']} images) -> split",
        f"pore ({counts['pore']} images) -> hole",
    ]
    assert read_history(root)[0].arguments == [
        "--rename", "pore=hole", "--merge", "crack,dent=split",
    ]  # fmt: skip


def test_a_rename_leaves_masks_alone_and_the_old_name_finds_the_class(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    before = {p: p.stat().st_mtime_ns for p in (root / "masks").iterdir()}
    relabel(root, Relabelling({"CRACK": "split"}))
    assert {p: p.stat().st_mtime_ns for p in (root / "masks").iterdir()} == before
    schema = Schema.load(root)
    assert schema.defect_names == ["split", "pore", "dent"]
    assert schema.defect("crack").name == "split"


def test_names_can_be_swapped(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    relabel(root, Relabelling({"crack": "pore", "pore": "crack"}))
    schema = Schema.load(root)
    assert schema.defect_names == ["pore", "crack", "dent"]
    assert [d.aliases for d in schema.defects] == [[], [], []]
    assert schema.defect("crack").id == 2


def test_dropped_pixels_are_ignored_and_lone_images_excluded(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    old = masks(root)
    relabel(root, Relabelling({}, drops=["dent"]))
    dataset = DefectDataset.open(root)
    for record in dataset:
        before = old[record.file_name]
        expected = np.where(before == 3, 255, before)
        np.testing.assert_array_equal(dataset.label_map(record).defects, expected)
        assert "dent" not in record.labels
        assert record.excluded is None  # each shows another class too
    relabel(root, Relabelling({}, drops=["crack", "pore"]))
    states = {r.file_name: (r.labels, r.excluded) for r in DefectDataset.open(root)}
    assert states["images/img0.png"] == ([], None)
    assert states["images/img1.png"][1] is not None
    assert "dropped by data relabel" in states["images/img1.png"][1]


def test_dropped_as_good_removes_empty_masks(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    relabel(root, Relabelling({}, drops=["crack", "pore", "dent"], dropped_as="good"))
    dataset = DefectDataset.open(root)
    assert dataset.schema.defects == []
    for record in dataset:
        assert (record.labels, record.excluded) == ([], None)
        values = set(np.unique(dataset.label_map(record).defects))
        assert values <= {0, 255}
        assert (record.mask_file_name is None) == (values == {0})
    assert len(list((root / "masks").iterdir())) == sum(
        r.mask_file_name is not None for r in dataset
    )


def test_whole_image_and_weak_labels_of_a_dropped_class_exclude_the_image(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    records = DefectDataset.open(root).records
    places = {r.file_name: i for i, r in enumerate(records)}
    whole, weak = places["images/img0.png"], places["images/img1.png"]
    records[whole] = records[whole].model_copy(update={"labels": ["pore", "dent"]})
    instances = [{"label": "dent", "weak": True}, {"label": "pore", "weak": False}]
    records[weak] = records[weak].model_copy(
        update={"labels": ["pore", "dent"], "weak_labels": ["dent"], "instances": instances}
    )
    write_metadata(root / METADATA_FILE, records)
    relabel(root, Relabelling({"pore": "hole"}, drops=["dent"]))
    found = {r.file_name: r for r in DefectDataset.open(root)}
    for name in ("images/img0.png", "images/img1.png"):
        assert found[name].excluded == "shows 'dent', dropped by data relabel"
        assert found[name].labels == ["hole"]
    assert found["images/img1.png"].weak_labels == []
    assert found["images/img1.png"].instances == [{"label": "hole", "weak": False}]


def test_merging_into_a_class_keeps_its_colour_and_renames_instances(tmp_path, make_set):
    root = make_set(tmp_path / "set")
    colour = Schema.load(root).defect("dent").colour
    relabel(root, Relabelling({}, [(("crack",), "dent")]))
    first = Schema.load(root).defects[0]
    assert (first.id, first.name, first.colour) == (1, "dent", colour)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (Relabelling({"crak": "x"}), "'crak' is no defect of set; did you mean 'crack'"),
        (Relabelling({}, drops=["xyz"]), r"classes: crack, pore, dent"),
        (Relabelling({"crack": "pore"}), "--merge A,B=pore"),
        (Relabelling({"crack": "METAL"}), "name of two classes or backgrounds"),
        (Relabelling({"crack": "x"}, drops=["crack"]), "'crack' is named twice"),
        (Relabelling({}, [(("crack", "pore"), "x"), (("pore", "dent"), "y")]), "named twice"),
        (Relabelling({}, [(("crack",), "x")]), "needs two classes"),
        (Relabelling({"crack": "a,b"}), "is no name for a class"),
        (Relabelling({}), "nothing to do"),
    ],
)
def test_everything_is_checked_before_anything_is_written(
    tmp_path, make_set, contents, what, message
):
    root = make_set(tmp_path / "set")
    before = contents(root)
    with pytest.raises(FlawsmithError, match=message):
        relabel(root, what)
    assert contents(root) == before
    assert not (root / ".history").exists()


@pytest.mark.parametrize("damage", ["torn", "gone", "beyond"])
def test_a_mask_that_cannot_be_read_stops_it(tmp_path, make_set, contents, damage):
    root = make_set(tmp_path / "set")
    path = root / "masks/img5.png"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "gone":
        path.unlink()
    else:
        Image.fromarray(np.full((6, 7), 9, np.uint8)).save(path)
    before = contents(root)
    with pytest.raises(FlawsmithError, match=r"img5\.png"):
        relabel(root, Relabelling({}, [(("pore", "dent"), "x")]))
    assert contents(root) == before
    assert read_history(root) == []


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path, make_set, contents):
    root = make_set(tmp_path / "set")
    before = contents(root)
    what = Relabelling({}, [(("pore", "dent"), "x")], ["crack"])
    said = relabel(root, what, dry_run=True)
    assert contents(root) == before
    assert not (root / ".history").exists()
    assert relabel(root, what) == said


def test_an_alias_is_found_and_a_class_name_goes_before_it():
    schema = Schema(
        name="s",
        backgrounds=[{"id": 0, "name": "b", "colour": "#000000"}],
        defects=[
            Defect(id=1, name="one", aliases=["two"], colour="#111111"),
            Defect(id=2, name="two", aliases=["zwei"], colour="#222222"),
        ],
    )
    assert plan_classes(schema, Relabelling({"two": "x"})).names == {"one": "one", "two": "x"}
    assert plan_classes(schema, Relabelling({"Zwei": "x"})).names == {"one": "one", "two": "x"}
