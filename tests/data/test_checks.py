"""The check of a data set: figures against closed forms, every kind of fault, the command."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.check_report import INFORMATION, CheckReport
from flawsmith.data.checks import check
from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.images import write_image, write_index_mask
from flawsmith.data.schema import DEFECT_COLOURS, Background, Defect, PixelSize, Schema

HEIGHT, WIDTH = 40, 60


def schema(**fields):
    values = {
        "name": "tiny",
        "backgrounds": [Background(id=0, name="body", colour="#202020")],
        "defects": [
            Defect(id=1, name="scratch", colour=DEFECT_COLOURS[0]),
            Defect(id=2, name="dent", colour=DEFECT_COLOURS[1]),
        ],
    }
    return Schema(**{**values, **fields})


def mask(*boxes):
    """An index mask with (defect, y, x, height, width) boxes."""
    defects = np.zeros((HEIGHT, WIDTH), np.uint8)
    for defect, y, x, height, width in boxes:
        defects[y : y + height, x : x + width] = defect
    return defects


def build(folder, images, **schema_fields):
    """Write (name, part, mask, further fields of the record) as a data set; pixels all differ."""
    with DatasetWriter(folder, schema(**schema_fields)) as writer:
        for number, (name, part, defects, fields) in enumerate(images):
            pixels = fields.pop("pixels", np.full(defects.shape, number, np.uint8))
            writer.add(name, pixels, LabelMap(defects, np.zeros_like(defects)), part=part, **fields)
    return DefectDataset.open(folder)


def sound(folder, **schema_fields):
    """Two defective parts and a good one, nothing to find."""
    images = [
        ("a", "p1", mask((1, 2, 2, 3, 4)), {}),
        ("b", "p2", mask((2, 5, 5, 25, 30)), {}),
        ("c", "p3", mask(), {}),
    ]
    return build(folder, images, **schema_fields)


def kinds(report):
    return [finding.kind for finding in report.findings]


def test_a_sound_set_has_no_findings(tmp_path):
    seen = []
    report = check(sound(tmp_path), lambda: seen.append(1))
    assert report.findings == []
    assert len(seen) == 3
    assert (report.images, report.parts, report.excluded_images) == (3, 3, 0)
    assert (report.good_images, report.good_parts) == (1, 1)
    assert (report.defective_images, report.defective_parts) == (2, 2)
    assert report.sizes == {"60 x 40": 3}
    assert report.pixel_types == {"8-bit grey": 3}


def test_figures_agree_with_closed_forms(tmp_path):
    diagonal = mask((1, 0, 0, 1, 1), (1, 1, 1, 1, 1), (1, 2, 2, 1, 1))  # one region, touching
    images = [
        ("a", "p1", diagonal, {"view": "left"}),
        ("b", "p1", mask((1, 10, 10, 2, 5), (1, 20, 10, 4, 25), (1, 30, 0, 2, 19)), {}),
        ("c", "p2", mask((1, 0, 0, 30, 20), (2, 35, 30, 1, 1)), {"view": "right"}),
        ("d", "p3", mask(), {}),
    ]
    report = check(build(tmp_path, images, pixel_size_mm=PixelSize(x=0.5, y=0.2)))
    scratch, dent = report.classes
    assert (scratch.images, scratch.parts, scratch.regions) == (3, 2, 5)
    areas = sorted([3, 2 * 5, 4 * 25, 2 * 19, 30 * 20])
    assert scratch.area_px.model_dump() == {"minimum": 3, "median": 38, "maximum": 600}
    assert scratch.area_mm2.maximum == pytest.approx(600 * 0.5 * 0.2)
    assert scratch.diameter_px.median == pytest.approx(2 * math.sqrt(areas[2] / math.pi))
    assert scratch.diameter_mm.minimum == pytest.approx(2 * math.sqrt(0.3 / math.pi))
    # Boxes of 25 x 4 and 20 x 30 pixels are not under 20 px; 19 x 2 is.
    assert scratch.small_share == pytest.approx(3 / 5)
    assert scratch.small_image_share == pytest.approx(1 / 3)
    assert scratch.smallest.model_dump() == {
        "file": "images/a.png", "area_px": 3, "x": 1.0, "y": 1.0
    }  # fmt: skip
    assert (dent.images, dent.parts, dent.regions, dent.small_share) == (1, 1, 1, 1.0)
    assert dent.smallest.model_dump() == {
        "file": "images/c.png", "area_px": 1, "x": 30.0, "y": 35.0
    }  # fmt: skip
    assert report.imbalance_images == 3
    assert report.imbalance_parts == 2
    assert report.views == 2
    assert report.views_per_part.model_dump() == {"minimum": 1, "median": 1, "maximum": 2}


def test_without_a_pixel_size_there_are_no_millimetres(tmp_path):
    scratch = check(sound(tmp_path)).classes[0]
    assert scratch.area_mm2 is None
    assert scratch.diameter_mm is None
    assert scratch.area_px.median == 12


def test_ignored_pixels_are_no_region(tmp_path):
    images = [("a", "p1", mask((255, 0, 0, 9, 9), (1, 20, 20, 2, 2)), {})]
    report = check(build(tmp_path, images))
    assert report.classes[0].area_px.maximum == 4
    assert [kind for kind in kinds(report) if kind not in INFORMATION] == []


def test_labels_without_any_mask_are_legal(tmp_path):
    images = [
        ("a", "p1", mask(), {"labels": ["scratch"]}),
        ("b", "p2", mask(), {"labels": ["dent"]}),
        ("c", "p3", mask(), {}),
    ]
    report = check(build(tmp_path, images))
    assert report.image_level
    assert report.findings == []
    assert [(c.images, c.parts, c.regions, c.area_px) for c in report.classes] == [
        (1, 1, None, None), (1, 1, None, None)
    ]  # fmt: skip


def test_a_set_of_good_images_alone_is_legal(tmp_path):
    report = check(build(tmp_path, [("a", "p1", mask(), {})], defects=[]))
    assert not report.image_level
    assert report.imbalance_images is None
    assert report.findings == []


def test_excluded_images_are_listed_and_not_counted(tmp_path):
    images = [
        ("a", "p1", mask((1, 2, 2, 3, 4)), {}),
        ("b", "p1", mask(), {"excluded": "labelled good by mistake"}),
        ("c", "p2", mask((2, 0, 0, 3, 3)), {"excluded": "blurred"}),
        ("d", "p3", mask((2, 0, 0, 4, 4)), {"labels": ["dent"]}),
    ]
    report = check(build(tmp_path, images))
    assert (report.images, report.excluded_images, report.parts) == (4, 2, 2)
    assert report.classes[1].area_px.minimum == 16
    found = [(f.kind, f.file, f.message) for f in report.findings]
    assert found == [
        ("excluded", "images/b.png", "labelled good by mistake"),
        ("excluded", "images/c.png", "blurred"),
    ]


def test_synthetic_images_add_regions_and_no_parts(tmp_path):
    made = {"source": "synthetic", "system": "dbs_gan", "seed": 1}
    images = [
        ("a", "p1", mask((1, 2, 2, 3, 4)), {}),
        ("b", "p1", mask((1, 2, 2, 3, 4), (2, 20, 20, 9, 9)), made),
        ("c", "p1", mask(), {**made, "seed": 2}),
    ]
    report = check(build(tmp_path, images))
    assert (report.images, report.synthetic_images, report.parts) == (3, 2, 1)
    assert [(c.images, c.parts, c.regions) for c in report.classes] == [(2, 1, 2), (1, 0, 1)]
    assert report.findings == []


def truncate(root):
    path = root / "images/a.png"
    path.write_bytes(path.read_bytes()[:40])


def change(root):
    write_image(root / "images/a.png", np.full((HEIGHT, WIDTH), 99, np.uint8))


def resize(root):
    write_image(root / "images/a.png", np.full((HEIGHT, WIDTH + 1), 99, np.uint8))


def shrink_mask(root):
    write_index_mask(root / "masks/a.png", mask((1, 2, 2, 3, 4))[:-1], schema().palette())


def spoil_mask(root):
    values = mask((1, 2, 2, 3, 4), (7, 10, 20, 2, 2))
    write_index_mask(root / "masks/a.png", values, schema().palette())


def clear_mask(root):
    write_index_mask(root / "masks/a.png", mask(), schema().palette())


def swap_mask(root):
    write_index_mask(root / "masks/a.png", mask((2, 2, 2, 3, 4)), schema().palette())


def colour_mask(root):
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "masks/a.png")


def rewrite(root, old, new):
    path = root / "metadata.jsonl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


FAULTS = [
    (truncate, [("unreadable_image", "images/a.png", "images/a.png is")]),
    (
        lambda root: (root / "images/a.png").unlink(),
        [("unreadable_image", "images/a.png", "there is no image images/a.png")],
    ),
    (change, [("changed_file", "images/a.png", "not the file that was imported")]),
    (
        resize,
        [
            ("changed_file", "images/a.png", "not the file"),
            ("image_size", "images/a.png", "is 61 x 40 pixels, the metadata says 60 x 40"),
        ],
    ),
    (
        lambda root: (root / "masks/a.png").unlink(),
        [("missing_mask", "masks/a.png", "is gone; images/a.png refers to it")],
    ),
    (
        shrink_mask,
        [("mask_size", "masks/a.png", "is 60 x 39 pixels, its image is 60 x 40")],
    ),
    (
        spoil_mask,
        [("mask_value", "masks/a.png", "value 7 at x=20, y=10 (4 pixels); expected 0 to 2 or 255")],
    ),
    (clear_mask, [("empty_mask", "images/a.png", "labelled scratch, but no pixel")]),
    (
        swap_mask,
        [
            ("label_not_in_mask", "images/a.png", "labelled scratch, which masks/a.png"),
            ("mask_not_in_labels", "images/a.png", "masks/a.png shows dent"),
        ],
    ),
    (colour_mask, [("unreadable_mask", "masks/a.png", "masks/a.png is a RGB image")]),
    (
        lambda root: rewrite(root, '"mask_file_name":"masks/a.png"', '"mask_file_name":null'),
        [
            ("empty_mask", "images/a.png", "labelled scratch, but it has no mask"),
            ("orphaned_mask", "masks/a.png", "no line of metadata.jsonl"),
        ],
    ),
    (
        lambda root: rewrite(root, '["scratch"]', '["scratch","rust"]'),
        [("unknown_label", "images/a.png", "labelled rust, which the schema does not have")],
    ),
    (
        lambda root: (root / "images/new.png").write_bytes(b""),
        [("orphaned_image", "images/new.png", "no line of metadata.jsonl")],
    ),
    (
        lambda root: (root / "backgrounds/old.png").write_bytes(b""),
        [("orphaned_mask", "backgrounds/old.png", "no line of metadata.jsonl")],
    ),
    (
        lambda root: rewrite(root, "images/a.png", "../a.png"),
        [
            ("orphaned_image", "images/a.png", "no line"),
            ("unreadable_image", "../a.png", "leads out of the data set"),
        ],
    ),
    (lambda root: (root / "masks/.DS_Store").write_bytes(b"x"), []),
]


@pytest.mark.parametrize(("spoil", "expected"), FAULTS)
def test_each_fault_is_found_and_nothing_else(tmp_path, spoil, expected):
    sound(tmp_path)
    spoil(tmp_path)
    report = check(DefectDataset.open(tmp_path))
    found = [(f.kind, f.file) for f in report.findings if f.is_problem]
    assert found == [(kind, file) for kind, file, _ in expected]
    problems = report.problems
    for finding, (_, _, message) in zip(problems, expected, strict=True):
        assert message in finding.message


def test_a_background_outside_the_schema_is_found(tmp_path):
    sound(tmp_path)
    line = '"mask_file_name":"masks/a.png","background_file_name":'
    rewrite(tmp_path, f"{line}null", f'{line}"backgrounds/a.png"')
    write_index_mask(tmp_path / "backgrounds/a.png", mask((1, 0, 0, 1, 1)), [0] * 768)
    (finding,) = check(DefectDataset.open(tmp_path)).findings
    assert (finding.kind, finding.file) == ("mask_value", "backgrounds/a.png")
    assert "value 1 at x=0, y=0 (1 pixels); expected 0 to 0 or 255" in finding.message


def test_the_same_file_in_two_parts_is_found(tmp_path):
    same = np.full((HEIGHT, WIDTH), 77, np.uint8)
    images = [
        (name, part, mask((1, 1, 1, 2, 2), (2, 9, 9, 2, 2)), {"pixels": same, **fields})
        for name, part, fields in (
            ("a", "p1", {}),
            ("b", "p1", {}),
            ("c", "p2", {}),
            ("d", "p3", {"excluded": "copy"}),
        )
    ]
    (finding,) = check(build(tmp_path, images)).problems
    assert (finding.kind, finding.file) == ("duplicate_image", "images/c.png")
    assert "the same file as images/a.png, yet parts p2 and p1" in finding.message


def test_disagreeing_views_sizes_and_depths_are_information(tmp_path):
    wide = np.zeros((HEIGHT, WIDTH + 5), np.uint8)
    images = [
        ("a", "p1", mask((1, 1, 1, 2, 2)), {}),
        ("b", "p1", mask(), {}),
        ("c", "p2", wide, {"pixels": np.full((*wide.shape, 3), 9, np.uint8)}),
    ]
    report = check(build(tmp_path, images))
    assert kinds(report) == [
        "empty_class",
        "several_pixel_types",
        "several_sizes",
        "views_disagree",
    ]
    assert report.problems == []
    messages = {finding.kind: finding.message for finding in report.findings}
    assert messages["empty_class"] == "no image in use shows dent"
    assert messages["several_pixel_types"] == "the images differ: 1 8-bit RGB, 2 8-bit grey"
    assert "part p1: 1 of 2 views show no defect, but images/a.png" in messages["views_disagree"]
    assert report.sizes == {"60 x 40": 2, "65 x 40": 1}


def test_a_depth_unlike_the_schema_is_a_problem(tmp_path):
    deep = np.full((HEIGHT, WIDTH), 3000, np.uint16)
    images = [("a", "p1", mask((1, 1, 1, 2, 2), (2, 9, 9, 2, 2)), {"pixels": deep})]
    (finding,) = check(build(tmp_path / "eight", images)).findings
    assert (finding.kind, finding.message) == (
        "bit_depth", "has 16 bits a pixel, the schema says 8"
    )  # fmt: skip
    images = [("a", "p1", mask((1, 1, 1, 2, 2), (2, 9, 9, 2, 2)), {"pixels": deep})]
    twelve = build(tmp_path / "twelve", images, bit_depth=12, white_level=4095)
    assert check(twelve).findings == []


def test_most_blowholes_of_the_magnetic_tiles_are_small(real_data, tmp_path):
    names = [Defect(id=1, name="blowhole", colour="#e69f00")]
    with DatasetWriter(tmp_path, schema(defects=names)) as writer:
        for path in sorted((real_data / "magnetic-tile/MT_Blowhole/Imgs").glob("*.jpg")):
            grey = np.asarray(Image.open(path.with_suffix(".png")).convert("L"))
            defects = (grey > 127).astype(np.uint8)
            label_map = LabelMap(defects, np.zeros_like(defects))
            writer.add(path.stem, path, label_map, part=path.stem)
    report = check(DefectDataset.open(tmp_path))
    (blowhole,) = report.classes
    assert (report.images, blowhole.regions, blowhole.smallest.area_px) == (115, 118, 26)
    assert blowhole.small_image_share == pytest.approx(83 / 115)
    assert report.problems == []


def run(*arguments):
    command = [Path(sys.executable).with_name("flawsmith"), "data", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_tables_and_writes_json(tmp_path):
    dataset = sound(tmp_path / "set", pixel_size_mm=PixelSize(x=0.5, y=0.5), simulated=True)
    done = run(tmp_path / "set", "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    assert "tiny (simulated images)" in done.stdout
    assert "area, mm2" in done.stdout
    assert "Nothing needs a repair." in done.stdout
    report = CheckReport.model_validate_json((tmp_path / "report.json").read_text())
    assert report == check(dataset)
    assert json.loads((tmp_path / "report.json").read_text())["classes"][0]["regions"] == 1


def test_strict_fails_on_problems_and_not_on_information(tmp_path):
    build(tmp_path, [("a", "p1", mask((1, 1, 1, 2, 2)), {}), ("b", "p1", mask(), {})])
    informed = run(tmp_path, "--strict")
    assert informed.returncode == 0
    assert "views disagree (1)" in informed.stdout
    for number in range(7):
        (tmp_path / f"masks/old{number}.png").write_bytes(b"")
    assert run(tmp_path).returncode == 0
    failed = run(tmp_path, "--strict")
    assert failed.returncode == 1
    assert "To repair (7):" in failed.stdout
    assert "masks/old4.png: no line of metadata.jsonl" in failed.stdout
    assert "... and 2 more" in failed.stdout


def test_the_command_explains_a_wrong_folder_in_one_line(tmp_path):
    refused = run(tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {tmp_path} is no defect data set")
    assert refused.stderr.count("\n") == 1
    sound(tmp_path / "set")
    refused = run(tmp_path / "set", "--json", tmp_path / "absent" / "report.json")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: cannot write")
    assert refused.stderr.count("\n") == 1
