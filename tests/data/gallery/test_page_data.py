"""What data.js says: options to filter by, findings, hostile names."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.check_report import Finding
from flawsmith.data.checks import check
from flawsmith.data.dataset import DatasetWriter, DefectDataset, ImageRecord, LabelMap
from flawsmith.data.gallery import build_gallery, read_findings
from flawsmith.data.gallery.columns import page_data, to_script
from flawsmith.data.gallery.tiles import GalleryImage
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError

HOSTILE = '</script><script>alert("x")</script>&amp;\'"\\ \n\u2028 😀'


def make_records(*changes: dict) -> DefectDataset:
    schema = Schema(
        name="set", backgrounds=make_backgrounds(["b"]), defects=make_defects(["pit", "crack"])
    )
    fields = {"part": "p", "sha256": "0" * 64, "height": 10, "width": 20}
    records = [
        ImageRecord(**{**fields, "file_name": f"images/{i}.png", **change})
        for i, change in enumerate(changes)
    ]
    return DefectDataset(Path("/nowhere"), schema, records)


def data_of(dataset: DefectDataset, findings=None) -> dict:
    images = [GalleryImage(problem="not read")] * len(dataset)
    return page_data(dataset, images, findings or {}, out=Path("/nowhere/page"))


def options(data: dict, name: str) -> list[list[str]]:
    """The keys of each image in one list of options."""
    facet = next(facet for facet in data["facets"] if facet["name"] == name)
    keys = [option["key"] for option in facet["options"]]
    return [[keys[k] for k in facet["sets"][s]] for s in facet["of"]]


def test_excluded_images_count_for_no_class() -> None:
    data = data_of(
        make_records(
            {"labels": ["crack", "pit"]}, {"labels": ["pit"], "excluded": "blurred"}, {}, {}
        )
    )
    assert options(data, "class") == [["pit", "crack"], [":excluded"], [":good"], [":good"]]
    excluded = data["images"]["excluded"]
    assert [excluded["values"][k] for k in excluded["of"]] == [None, "blurred", None, None]


def test_classes_named_like_the_states_stay_apart() -> None:
    dataset = make_records({"labels": ["good"]}, {"labels": []}, {"labels": ["never heard of"]})
    data = data_of(dataset)
    assert options(data, "class") == [["good"], [":good"], ["never heard of"]]
    assert [c["name"] for c in data["classes"]] == ["pit", "crack", "good", "never heard of"]


def test_folds_views_and_sizes_become_options_in_natural_order() -> None:
    data = data_of(
        make_records({"fold": 10, "view": "cam 10"}, {"fold": 9, "view": "cam 9"}, {"width": 7})
    )
    assert options(data, "fold") == [["10"], ["9"], [""]]
    facets = {facet["name"]: facet for facet in data["facets"]}
    assert [o["key"] for o in facets["fold"]["options"]] == ["", "9", "10"]
    assert [o["label"] for o in facets["view"]["options"]] == ["none", "cam 9", "cam 10"]
    assert options(data, "imagesize") == [["20 x 10"], ["20 x 10"], ["7 x 10"]]


def test_many_sizes_become_ranges() -> None:
    data = data_of(make_records(*({"width": width} for width in range(100, 140))))
    assert options(data, "imagesize")[27:29] == [["64 to 127 px long"], ["128 to 255 px long"]]


def test_labels_tell_outlined_from_whole_image() -> None:
    records = make_records(
        {}, {"labels": ["pit"]}, {"labels": ["pit"], "mask_file_name": "masks/2.png"}
    )
    assert options(data_of(records), "labels") == [["no defect"], ["whole image"], ["outlined"]]


def test_weak_labels_are_told() -> None:
    mask = {"mask_file_name": "masks/a.png"}
    records = make_records(
        {"labels": ["pit"], "weak_labels": ["pit"]},
        {"labels": ["pit", "crack"], "weak_labels": ["pit"], **mask},
    )
    assert options(data_of(records), "labels") == [
        ["only weak", "whole image"],
        ["outlined", "some weak"],
    ]


def test_who_knows_the_part_is_told() -> None:
    records = make_records({}, {"part_source": "file"}, {"part_source": "views"})
    expected = [["origin"], ["nobody: a file each"], ["comparing images"]]
    assert options(data_of(records), "partby") == expected


def test_masks_elsewhere_are_named() -> None:
    records = make_records(
        {"mask_file_name": "masks/0.png"},
        {"mask_file_name": "masks/other.png"},
        {},
        {"file_name": "images/a/b.c.jpg", "mask_file_name": "masks/a/b.c.png"},
    )
    assert data_of(records)["images"]["mask"] == [1, "masks/other.png", 0, 1]


def test_findings_reach_their_image_by_image_or_mask() -> None:
    records = make_records(
        {"mask_file_name": "masks/0.png"}, {"background_file_name": "backgrounds/1.png"}, {}
    )
    findings = {
        "masks/0.png": [("mask_value", "wrong")],
        "images/0.png": [("changed_file", "new"), ("excluded", "said by the image itself")],
        "backgrounds/1.png": [("missing_mask", "gone")],
        "": [("several_sizes", "two")],
        "images/stranger.png": [("orphaned_image", "no line")],
    }
    data = data_of(records, findings)
    assert data["findings"] == {
        "0": [("mask_value", "wrong"), ("changed_file", "new")],
        "1": [("missing_mask", "gone")],
    }
    assert options(data, "finding") == [["changed_file", "mask_value"], ["missing_mask"], [""]]
    assert data["generalFindings"] == [
        ("several_sizes", "", "two"),
        ("orphaned_image", "images/stranger.png", "no line"),
    ]


def test_report_of_a_check_is_found_and_its_age_told(pouch: DefectDataset, read_data) -> None:
    mask = next(record.mask_file_name for record in pouch if record.mask_file_name)
    pouch.path(mask).write_bytes(b"damaged")
    report = pouch.root / "check.json"
    report.write_text(check(pouch).model_dump_json())
    data = read_data(build_gallery(pouch))
    [(place, entries)] = data["findings"].items()
    assert pouch.records[int(place)].mask_file_name == mask
    assert [kind for kind, _ in entries] == ["unreadable_mask"]
    assert data["findingsOutdated"] is False
    os.utime(report, ns=(1, 1))
    assert read_data(build_gallery(pouch))["findingsOutdated"] is True
    assert read_data(build_gallery(pouch, findings={}))["findings"] == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"findings": [1]}', "\xff", "[" * 100_000])
def test_report_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "check.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FlawsmithError, match=r"check\.json is no report .* write it again"):
        read_findings(tmp_path)


def test_report_of_a_later_version_is_read(tmp_path: Path) -> None:
    finding = {"kind": "never_heard_of", "file": "a", "message": "m", "more": 1}
    (tmp_path / "check.json").write_text(json.dumps({"findings": [finding], "more": 2}))
    assert read_findings(tmp_path) == {"a": [("never_heard_of", "m")]}
    required = {name for name, field in Finding.model_fields.items() if field.is_required()}
    assert required <= set(finding)


def test_names_cannot_end_the_script() -> None:
    text = to_script({"name": HOSTILE})
    assert text.isascii()
    assert "<" not in text
    assert text.count("\n") == 1
    assert json.loads(text[len("window.GALLERY = ") : -2]) == {"name": HOSTILE}


def test_hostile_data_set_is_built(tmp_path: Path, read_data) -> None:
    schema = Schema(
        name=HOSTILE, backgrounds=make_backgrounds(["b"]), defects=make_defects([HOSTILE])
    )
    mask = np.eye(9, dtype=np.uint8)
    with DatasetWriter(tmp_path / "set", schema) as writer:
        name = "%41#?\n<b>'\"😀 &"
        writer.add(name, mask, LabelMap(mask, mask * 0), part=HOSTILE, view=HOSTILE, fold=0)
    dataset = DefectDataset.open(tmp_path / "set")
    findings = {f"images/{name}.png": [(HOSTILE, HOSTILE)]}
    data = read_data(build_gallery(dataset, findings=findings))
    assert data["parts"] == [HOSTILE]
    assert data["name"] == HOSTILE
    assert data["images"]["file"] == [f"images/{name}.png"]
    assert data["thumbnails"]["problem"] == {}
    page = tmp_path / "set" / ".gallery" / "index.html"
    assert "alert" not in page.read_text()


def test_endless_numbers_in_names_sort() -> None:
    names = [f"images/{'9' * 5000}.png", "images/0010.png", "images/9.png", "images/٣.png"]
    data = data_of(make_records(*({"file_name": name} for name in names)))
    assert [names[i] for i in data["order"]][:3] == [names[2], names[1], names[0]]
