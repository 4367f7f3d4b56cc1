"""Every kind of fault is found, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.checks import check
from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.images import write_image, write_index_mask
from flawsmith.data.schema import Defect

HEIGHT, WIDTH = 40, 60


def truncate(root):
    path = root / "images/a.png"
    path.write_bytes(path.read_bytes()[:40])


def change(root):
    write_image(root / "images/a.png", np.full((HEIGHT, WIDTH), 99, np.uint8))


def resize(root):
    write_image(root / "images/a.png", np.full((HEIGHT, WIDTH + 1), 99, np.uint8))


def draw(root, values):
    write_index_mask(root / "masks/a.png", values, DefectDataset.open(root).schema.palette())


def drawn(root):
    return np.array(Image.open(root / "masks/a.png"))


def shrink_mask(root):
    draw(root, drawn(root)[:-1])


def spoil_mask(root):
    values = drawn(root)
    values[10:12, 20:22] = 7
    draw(root, values)


def clear_mask(root):
    draw(root, np.zeros((HEIGHT, WIDTH), np.uint8))


def swap_mask(root):
    draw(root, 2 * drawn(root))  # a scratch becomes a dent


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
def test_each_fault_is_found_and_nothing_else(tmp_path, spoil, expected, sound):
    sound(tmp_path)
    spoil(tmp_path)
    report = check(DefectDataset.open(tmp_path))
    found = [(f.kind, f.file) for f in report.findings if f.is_problem]
    assert found == [(kind, file) for kind, file, _ in expected]
    problems = report.problems
    for finding, (_, _, message) in zip(problems, expected, strict=True):
        assert message in finding.message


def test_a_background_outside_the_schema_is_found(tmp_path, mask, sound):
    sound(tmp_path)
    line = '"mask_file_name":"masks/a.png","background_file_name":'
    rewrite(tmp_path, f"{line}null", f'{line}"backgrounds/a.png"')
    write_index_mask(tmp_path / "backgrounds/a.png", mask((1, 0, 0, 1, 1)), [0] * 768)
    (finding,) = check(DefectDataset.open(tmp_path)).findings
    assert (finding.kind, finding.file) == ("mask_value", "backgrounds/a.png")
    assert "value 1 at x=0, y=0 (1 pixels); expected 0 to 0 or 255" in finding.message


def test_the_same_file_in_two_parts_is_found(tmp_path, mask, build):
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


def test_disagreeing_views_sizes_and_depths_are_information(tmp_path, mask, build):
    wide = np.zeros((HEIGHT, WIDTH + 5), np.uint8)
    images = [
        ("a", "p1", mask((1, 1, 1, 2, 2)), {}),
        ("b", "p1", mask(), {}),
        ("c", "p2", wide, {"pixels": np.full((*wide.shape, 3), 9, np.uint8)}),
    ]
    report = check(build(tmp_path, images))
    assert [finding.kind for finding in report.findings] == [
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


def test_a_depth_unlike_the_schema_is_a_problem(tmp_path, mask, build):
    deep = np.full((HEIGHT, WIDTH), 3000, np.uint16)
    images = [("a", "p1", mask((1, 1, 1, 2, 2), (2, 9, 9, 2, 2)), {"pixels": deep})]
    (finding,) = check(build(tmp_path / "eight", images)).findings
    assert (finding.kind, finding.message) == (
        "bit_depth", "has 16 bits a pixel, the schema says 8"
    )  # fmt: skip
    images = [("a", "p1", mask((1, 1, 1, 2, 2), (2, 9, 9, 2, 2)), {"pixels": deep})]
    twelve = build(tmp_path / "twelve", images, bit_depth=12, white_level=4095)
    assert check(twelve).findings == []


def test_most_blowholes_of_the_magnetic_tiles_are_small(real_data, tmp_path, schema):
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
