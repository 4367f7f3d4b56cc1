"""Reviewed images become a defect data set that checks, imports and says where it comes from."""

import hashlib
import json
import os

import numpy as np
import pytest
from line_facts import region, verdict

from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats.importing import import_folder
from flawsmith.data.images import write_image
from flawsmith.data.merging import merge
from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.line.results import ImageInspection, PartVerdict, Reason, Verdict
from flawsmith.line.reviews import export as review_export
from flawsmith.line.reviews.export import PROVENANCE_FILE, export_reviews
from flawsmith.line.reviews.labels import ELSEWHERE, NO_CLASS, SOME_VIEW
from flawsmith.line.reviews.reviews import confirm, overturn

PASS, REVIEW, FAIL = Verdict
SQUARE = ((2, 3), (5, 3), (5, 6), (2, 6))


@pytest.fixture
def line(store, tmp_path):
    """Return what stores a part whose images are files of random pixels."""
    rng = np.random.default_rng(1)

    def add(part, value=PASS, *regions, views=("",), dtype=np.uint8, reasons=None):
        images = []
        for n, view in enumerate(views):
            path = tmp_path / f"{part}_{n}.png"
            write_image(path, rng.integers(0, 255, (20, 30), dtype))
            images.append(
                ImageInspection(
                    image=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    part=part, view=view, model="m1", width=30, height=20,
                    regions=list(regions) if n == 0 else [],
                )
            )  # fmt: skip
        given = verdict(part, value)
        if reasons is not None:
            reason = Reason(verdict=value, rule="r", text="t", view=views[0], regions=reasons)
            given = PartVerdict(part=part, verdict=value, reasons=[reason], rules="r1")
        return store.record(given, images)

    return add


def masks(folder):
    """Return the records and masks of a data set by part and view."""
    dataset = DefectDataset.open(folder)
    return dataset, {(r.part, r.view): (r, dataset.label_map(r).defects) for r in dataset}


def test_a_round_trip_through_check_and_import(store, line, tmp_path):
    line("good")
    line("outlined", FAIL, region("hole", class_id=2, polygon=SQUARE), region("crack"))
    line("escaped")
    line("doubted", REVIEW)
    line("not reviewed", FAIL)
    confirm(store, 1, person="Kim")
    confirm(store, 2, person="Kim", defect_class="hole")
    overturn(store, 3, person="Lee", reason="seen", defect_class="crack")
    overturn(store, 4, person="Lee", reason="dust")
    out = tmp_path / "set"
    done = export_reviews(store, out)
    assert (done.good, done.masks, done.weak, done.excluded, done.left_out) == (2, 1, 1, 0, [])
    dataset, found = masks(out)
    assert dataset.schema.defect_names == ["crack", "hole"]  # in the order of the model's ids
    record, mask = found["outlined", ""]
    expected = np.zeros((20, 30), np.uint8)
    expected[2:6, 1:4] = 255  # the crack that nobody spoke of
    expected[3:7, 2:6] = 2
    assert (mask == expected).all()
    assert (record.labels, record.mask_source) == (["hole"], "pseudo")
    record, mask = found["escaped", ""]
    assert (record.labels, record.weak_labels, set(mask.ravel())) == (["crack"], ["crack"], {255})
    assert (found["good", ""][0].labels, found["doubted", ""][0].mask_file_name) == ([], None)
    assert check(dataset).problems == []
    labels = {(r.part, tuple(r.labels), r.sha256) for r in dataset}
    (out / "dataset.toml").unlink()  # as anybody's folder of images with metadata
    import_folder(out, tmp_path / "imported")
    again = DefectDataset.open(tmp_path / "imported")
    assert {(r.part, tuple(r.labels), r.sha256) for r in again} == labels


def test_the_set_joins_the_one_that_the_model_learned_from(store, line, pouch_folder, tmp_path):
    known = DefectDataset.open(pouch_folder)
    name = known.schema.defect_names[-1]
    line("a", FAIL, region(name))
    confirm(store, 1, person="Kim", defect_class=name)
    export_reviews(store, tmp_path / "set", like=pouch_folder)
    assert DefectDataset.open(tmp_path / "set").schema == known.schema
    merge([pouch_folder, tmp_path / "set"], tmp_path / "joined")
    joined = DefectDataset.open(tmp_path / "joined")
    assert len(joined) == len(known) + 1
    assert [r.labels for r in joined if r.part.endswith("a")] == [[name]]


def test_every_image_has_a_line_of_provenance(store, line, tmp_path):
    line("a", FAIL, region("crack"))
    confirm(store, 1, person="Kim", reason="deep")
    export_reviews(store, tmp_path / "set")
    values = json.loads((tmp_path / "set" / PROVENANCE_FILE).read_text())
    assert (values["result"], values["part"], values["model"], values["rules"]) == (
        1, "a", "m1", "r1",
    )  # fmt: skip
    assert (values["store"], values["first_stage"]) == (store.name, "FAIL")
    assert [(r["person"], r["reason"]) for r in values["reviews"]] == [("Kim", "deep")]
    record = DefectDataset.open(tmp_path / "set").records[0]
    assert (values["file_name"], values["sha256"]) == (record.file_name, record.sha256)
    content = (tmp_path / "set" / record.file_name).read_bytes()
    assert content == (tmp_path / "a_0.png").read_bytes()


def test_without_a_class_the_regions_of_the_reasons_are_confirmed(store, line, tmp_path):
    line("a", FAIL, region("hole", class_id=2, polygon=SQUARE), region("crack"), reasons=[1])
    confirm(store, 1, person="Kim")
    export_reviews(store, tmp_path / "set")
    record, mask = masks(tmp_path / "set")[1]["a", ""]
    assert record.labels == ["crack"]
    assert set(mask.ravel()) == {0, 1, 255}


def test_views_that_nobody_spoke_of_do_not_train(store, line, tmp_path):
    line("seen", FAIL, region("crack"), views=("left", "right"))
    line("escaped", PASS, views=("left", "right"))
    line("nameless", FAIL)
    confirm(store, 1, person="Kim")
    confirm(store, 1, person="Kim", defect_class="crack")
    overturn(store, 2, person="Kim", reason="x", defect_class="crack")
    confirm(store, 3, person="Kim")
    done = export_reviews(store, tmp_path / "set")
    assert (done.masks, done.excluded) == (1, 4)
    reasons = {key: record.excluded for key, (record, _) in masks(tmp_path / "set")[1].items()}
    assert reasons == {
        ("seen", "left"): None, ("seen", "right"): ELSEWHERE, ("escaped", "left"): SOME_VIEW,
        ("escaped", "right"): SOME_VIEW, ("nameless", ""): NO_CLASS,
    }  # fmt: skip
    assert check(DefectDataset.open(tmp_path / "set")).problems == []


def test_outlines_that_are_not_exact_are_ignored_pixels(store, line, tmp_path):
    line("exact", FAIL, region("crack"))
    line("hull", FAIL, region("crack", polygon_is_hull=True))
    line("far", FAIL, region("crack", polygon=((2, 3), (400, 3), (-5, 10**12))))
    for number in (1, 2, 3):
        confirm(store, number, person="Kim", defect_class="crack")
    assert export_reviews(store, tmp_path / "set").weak == 2
    found = masks(tmp_path / "set")[1]
    for part in ("hull", "far"):
        assert found[part, ""][0].weak_labels == ["crack"]
        assert set(found[part, ""][1].ravel()) == {255}


def test_without_any_outline_the_set_has_labels_of_whole_images(store, line, tmp_path):
    line("a")
    overturn(store, 1, person="Kim", reason="x", defect_class="burn", new_class=True)
    export_reviews(store, tmp_path / "set")
    dataset = DefectDataset.open(tmp_path / "set")
    assert [(r.labels, r.mask_file_name) for r in dataset] == [(["burn"], None)]
    report = check(dataset)
    assert report.image_level
    assert report.problems == []


def test_the_last_review_of_the_same_image_is_taken(store, line, tmp_path):
    line("a", FAIL, region("crack"))
    first = store.get(1)
    store.record(verdict("a", PASS), first.images)
    overturn(store, 1, person="Kim", reason="dust")
    overturn(store, 2, person="Lee", reason="a crack", defect_class="crack")
    done = export_reviews(store, tmp_path / "set")
    assert (done.superseded, done.good, done.weak) == (1, 0, 1)


def test_levels_and_classes_of_another_set_apply(store, line, tmp_path):
    known = Schema(
        name="line 1", bit_depth=12, black_level=64, white_level=4000,
        pixel_size_mm=PixelSize(x=0.1, y=0.2), backgrounds=make_backgrounds(["steel"]),
        defects=make_defects(["scratch", "Crack"]),
    )  # fmt: skip
    (tmp_path / "known").mkdir()
    known.save(tmp_path / "known")
    line("deep", FAIL, region("crack"), dtype=np.uint16)
    line("flat", dtype=np.uint8)
    confirm(store, 1, person="Kim")
    confirm(store, 1, person="Kim", defect_class="crack")
    overturn(store, 2, person="Kim", reason="x", defect_class="burn", new_class=True)
    export_reviews(store, tmp_path / "set", like=tmp_path / "known")
    dataset, found = masks(tmp_path / "set")
    assert dataset.schema.defect_names == ["scratch", "Crack", "burn"]
    assert dataset.schema.pixel_size_mm == PixelSize(x=0.1, y=0.2)
    assert (dataset.schema.bit_depth, dataset.schema.white_level) == (12, 4000)
    assert found["deep", ""][0].labels == ["Crack"]
    assert (found["deep", ""][1] == 2).any()
    assert found["flat", ""][0].excluded == "it has 8 bits a pixel, the set has 16"


def test_images_that_are_gone_changed_or_no_files_are_left_out_and_named(store, line, tmp_path):
    names = ("kept", "gone", "changed", "pipe", "link", "broken")
    for name in names:
        line(name)
    confirm(store, 1, person="Kim")
    (tmp_path / "gone_0.png").unlink()
    write_image(tmp_path / "changed_0.png", np.zeros((20, 30), np.uint8))
    (tmp_path / "pipe_0.png").unlink()
    os.mkfifo(tmp_path / "pipe_0.png")
    (tmp_path / "link_0.png").unlink()
    (tmp_path / "link_0.png").symlink_to("/etc/passwd")
    (tmp_path / "broken_0.png").write_bytes(b"\x89PNG")
    for number in range(2, 7):
        confirm(store, number, person="Kim")
    done = export_reviews(store, tmp_path / "set")
    said = " ".join(done.left_out)
    for word in ("gone_0.png", "changed_0.png: it is another file", "is no file", "link_0.png: it"):
        assert word in said
    assert (done.good, len(done.left_out)) == (1, 5)


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "/etc/shadow", "x\0.png", "/dev/zero", "-", "", "a" * 5000]
)
def test_hostile_names_of_images_and_parts_lead_nowhere(store, line, tmp_path, name):
    line("a")
    confirm(store, 1, person="Kim")
    path = tmp_path / "b.png"
    write_image(path, np.ones((20, 30), np.uint8))
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    bad = ImageInspection(image=name.replace("\0", "\\0"), sha256="f" * 64, part=name)
    good = ImageInspection(image=str(path), sha256=content, part=name, width=30, height=20)
    number = store.record(PartVerdict(part=name.replace("\0", ""), verdict=PASS), [bad, good])
    confirm(store, number, person="Kim")
    done = export_reviews(store, tmp_path / "set")
    assert len(done.left_out) == 1
    files = {p.name for p in (tmp_path / "set" / "images").iterdir()}
    assert files == {"00000001_0.png", "00000002_1.png"}


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(store, line, tmp_path, monkeypatch):
    out = tmp_path / "set"
    with pytest.raises(FlawsmithError, match="no reviewed image to export"):
        export_reviews(store, out)
    line("a")
    confirm(store, 1, person="Kim")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(FlawsmithError, match="exists already"):
        export_reviews(store, tmp_path / "full")
    with pytest.raises(FlawsmithError, match="no defect data set"):
        export_reviews(store, out, like=tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(review_export, "write_metadata", full)
    with pytest.raises(FlawsmithError, match="No space left"):
        export_reviews(store, out)
    assert [p.name for p in tmp_path.iterdir() if "set" in p.name] == []
