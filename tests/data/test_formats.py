"""Importers: tiny data sets in every format, label maps compared pixel by pixel."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as rle

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import FORMATS, import_folder
from flawsmith.data.formats.coco import parse_counts
from flawsmith.data.formats.folder import MAX_JSON_BYTES, SourceFolder
from flawsmith.data.formats.importing import lead_with_types
from flawsmith.data.formats.naming import UniqueNames
from flawsmith.errors import FlawsmithError

HEIGHT, WIDTH = 12, 16


def put(path: Path, pixels) -> Path:
    """Write pixels (grey or RGB) as the file type of the suffix; every image is different."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)
    return path


def picture(seed: int, *, shape=(HEIGHT, WIDTH)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def blank() -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def box(y0, y1, x0, x1, value=255) -> np.ndarray:
    mask = blank()
    mask[y0:y1, x0:x1] = value
    return mask


def write_json(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


class Imported:
    """An import and what came out of it, by the file name in the source."""

    def __init__(self, source: Path, **options) -> None:
        self.out = source.with_name(f"{source.name}-out")
        self.report = import_folder(source, self.out, **options)
        self.data = DefectDataset.open(self.out)
        self.records = {record.original: record for record in self.data}

    def defects(self, original: str) -> np.ndarray:
        return self.data.label_map(self.records[original]).defects

    def kinds(self) -> list[str]:
        return sorted({finding.kind for finding in self.report.findings})

    def files(self, kind: str) -> list[str]:
        return [finding.file for finding in self.report.findings if finding.kind == kind]


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


# Index masks


def test_index_masks_keep_values_classes_and_ignore(source):
    mask = box(2, 5, 3, 9, value=2)
    mask[8:10, 1:4] = 1
    mask[0, :] = 255
    put(source / "train/images/a.jpg", picture(0))
    put(source / "train/masks/a_mask.png", mask)
    put(source / "test/images/a.png", picture(1))
    put(source / "test/masks/a_mask.png", blank())
    (source / "classes.txt").write_text("background\ncrack\nspot\n")
    done = Imported(source)
    assert done.report.format == "index_png"
    assert done.data.schema.defect_names == ["crack", "spot"]
    np.testing.assert_array_equal(done.defects("train/images/a.jpg"), mask)
    assert done.records["train/images/a.jpg"].labels == ["crack", "spot"]
    assert done.records["test/images/a.png"].is_good
    assert done.records["test/images/a.png"].mask_file_name is None
    assert done.report.findings == []


def test_index_values_with_gaps_become_consecutive_ids(source):
    put(source / "images/a.png", picture(0))
    put(source / "masks/a.png", box(0, 2, 0, 2, value=3) + box(4, 6, 4, 6, value=7))
    done = Imported(source)
    assert done.data.schema.defect_names == ["class_3", "class_7"]
    expected = box(0, 2, 0, 2, value=1) + box(4, 6, 4, 6, value=2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)


@pytest.mark.parametrize("soft", [False, True])
def test_masks_with_two_values_are_one_class(source, soft):
    mask = box(3, 7, 3, 7)
    for i in range(2):
        put(source / f"images/{i}.png", picture(i, shape=(40, 50)))
        large = np.zeros((40, 50), np.uint8)
        large[:HEIGHT, :WIDTH] = mask
        if soft:  # grey edge values, as a scaled mask has them
            large[30, :40] = np.arange(40) * 3
        put(source / f"masks/{i}.png", large)
    done = Imported(source)
    assert done.data.schema.defect_names == ["defect"]
    expected = np.zeros((40, 50), np.uint8)
    expected[3:7, 3:7] = 1
    if soft:
        expected[30, :40] = np.arange(40) * 3 > 127
    np.testing.assert_array_equal(done.defects("images/0.png"), expected)


def test_grey_pictures_as_masks_are_refused(source):
    put(source / "images/a.png", picture(0))
    put(source / "masks/a.png", picture(1))
    with pytest.raises(FlawsmithError, match="different values"):
        Imported(source)
    assert not source.with_name("source-out").exists()


def test_palette_and_rgb_grey_masks_are_read_as_indices(source):
    mask = box(1, 3, 1, 3, value=1) + box(5, 7, 5, 7, value=2)
    put(source / "images/a.png", picture(0))
    put(source / "images/b.png", picture(1))
    palette = Image.fromarray(mask, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    (source / "masks").mkdir()
    palette.save(source / "masks/a.png")
    put(source / "masks/b.png", np.repeat(mask[..., None], 3, axis=2))
    done = Imported(source)
    np.testing.assert_array_equal(done.defects("images/a.png"), mask)
    np.testing.assert_array_equal(done.defects("images/b.png"), mask)


def test_missing_mis_sized_orphaned_and_coloured_masks_are_told(source):
    for i, name in enumerate(["fine", "missing", "small", "coloured"]):
        put(source / f"images/{name}.png", picture(i))
    put(source / "images/good/free.png", picture(9))
    put(source / "masks/fine.png", box(0, 2, 0, 2, value=1))
    put(source / "masks/small.png", np.ones((4, 5), np.uint8))
    put(source / "masks/coloured.png", picture(7, shape=(HEIGHT, WIDTH, 3)))
    put(source / "masks/nobody.png", blank())
    done = Imported(source)
    assert done.kinds() == ["mis-sized mask", "no labels", "orphaned mask", "unreadable labels"]
    assert done.files("orphaned mask") == ["masks/nobody.png"]
    excluded = {name for name, record in done.records.items() if record.excluded}
    assert excluded == {"images/missing.png", "images/small.png", "images/coloured.png"}
    assert "5 x 4" in done.records["images/small.png"].excluded
    assert done.records["images/good/free.png"].is_good
    assert (done.report.images, done.report.excluded, done.report.good) == (5, 3, 1)


# One mask per class


@pytest.mark.parametrize("layout", ["masks/{c}/a.png", "masks/a_{c}.png", "images/a_{c}.png"])
def test_class_masks_in_three_layouts(source, layout):
    put(source / "images/a.png", picture(0))
    put(source / "images/good/b.png", picture(1))
    put(source / layout.format(c="long_crack"), box(1, 4, 1, 4))
    put(source / layout.format(c="spot"), box(6, 9, 8, 12))
    done = Imported(source)
    assert done.report.format == "class_masks"
    assert done.data.schema.defect_names == ["long_crack", "spot"]
    expected = box(1, 4, 1, 4, value=1) + box(6, 9, 8, 12, value=2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)
    assert done.records["images/good/b.png"].is_good


def test_overlapping_class_masks_are_told_and_the_later_wins(source):
    put(source / "images/a.png", picture(0))
    put(source / "masks/a_crack.png", box(0, 4, 0, 4))
    put(source / "masks/a_spot.png", box(2, 6, 0, 4))
    done = Imported(source)
    expected = box(0, 2, 0, 4, value=1) + box(2, 6, 0, 4, value=2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)
    (finding,) = done.report.findings
    assert finding.kind == "overlapping labels"
    assert finding.message.startswith("8 pixels")


# Labelme


def labelme(name: str, shapes, **more):
    return {"version": "5.0", "shapes": shapes, "imagePath": name, "imageData": None, **more}


def shape(label, kind, *points, **more):
    return {"label": label, "shape_type": kind, "points": [list(p) for p in points], **more}


def test_labelme_shapes_cover_the_pixels_of_their_geometry(source):
    put(source / "a.png", picture(0, shape=(60, 80)))
    shapes = [
        shape("Spot", "rectangle", (50, 10), (40, 5)),
        shape("spot", "circle", (20, 40), (20, 46)),
        shape("crack", "polygon", (5, 5), (25, 5), (25, 15), (5, 15)),
        shape("crack", "linestrip", (40, 30), (70, 30)),
        shape("ignore", "rectangle", (70, 50), (79, 59)),
    ]
    content = labelme("a.png", shapes, imageHeight=60, imageWidth=80, lineColor=[0, 0, 0])
    write_json(source / "a.json", content)
    done = Imported(source)
    assert done.report.format == "labelme"
    assert done.data.schema.defect_names == ["Spot", "crack"]
    assert done.data.schema.defect("spot").id == 1
    y, x = np.mgrid[:60, :80]
    got = done.defects("a.png")
    expected = np.zeros((60, 80), np.uint8)
    expected[5:11, 40:51] = 1
    expected[5:16, 5:26] = 2
    expected[50:60, 70:80] = 255
    circle = np.hypot(y - 40, x - 20)
    line = (x >= 40) & (x <= 70) & (np.abs(y - 30) <= 6)
    untouched = (circle > 7.5) & ~line
    np.testing.assert_array_equal(got[untouched], expected[untouched])
    assert (got[circle < 5] == 1).all()
    assert (got[line & (np.abs(y - 30) <= 4)] == 2).all()
    height = int((got[:, 55] == 2).sum())
    assert 10 <= height <= 11  # Labelme's line width


def test_labelme_mask_shape_is_pasted_at_its_corner(source):
    small = np.array([[255, 0, 255], [0, 255, 0]], np.uint8)
    data = base64.b64encode(cv2.imencode(".png", small)[1].tobytes()).decode()
    put(source / "a.png", picture(0))
    write_json(source / "a.json", labelme("a.png", [shape("x", "mask", (4, 7), (6, 8), mask=data)]))
    done = Imported(source)
    expected = blank()
    expected[7:9, 4:7] = small > 0
    np.testing.assert_array_equal(done.defects("a.png"), expected)


def test_labelme_embedded_image_is_imported_byte_for_byte(source, tmp_path):
    data = put(tmp_path / "outside.jpg", picture(0)).read_bytes()
    content = labelme("gone.jpg", [shape("x", "rectangle", (1, 1), (3, 3))])
    content["imageData"] = base64.b64encode(data).decode()
    write_json(source / "a.json", content)
    done = Imported(source)
    record = done.records["a.json"]
    assert record.file_name == "images/a.jpg"
    assert (done.out / record.file_name).read_bytes() == data
    assert sorted(path.name for path in done.out.iterdir()) == [
        "backgrounds", "dataset.toml", "images", "import.json", "masks", "metadata.jsonl",
    ]  # fmt: skip


def test_labelme_shapes_without_area_label_the_image_and_ignore_it(source):
    put(source / "a.png", picture(0))
    put(source / "b.png", picture(1))
    put(source / "c.png", picture(2))
    write_json(source / "a.json", labelme("a.png", [shape("x", "point", (4, 4))]))
    write_json(source / "b.json", labelme("b.png", []))
    done = Imported(source)
    assert done.kinds() == ["no labels", "shape without area"]
    assert done.records["a.png"].labels == ["x"]
    assert (done.defects("a.png") == 255).all()
    assert done.records["b.png"].is_good
    assert done.records["b.png"].excluded is None
    assert done.records["c.png"].excluded == "it has no label file"


@pytest.mark.parametrize("path", ["../outside.png", "{absolute}", "..\\outside.png", "C:\\a.png"])
def test_labelme_path_out_of_the_folder_is_not_followed(source, tmp_path, path):
    outside = put(tmp_path / "outside.png", picture(0))
    put(source / "fine.png", picture(1))
    write_json(source / "fine.json", labelme("fine.png", []))
    content = labelme(path.format(absolute=outside), [shape("x", "rectangle", (1, 1), (3, 3))])
    write_json(source / "evil.json", content)
    done = Imported(source)
    assert list(done.records) == ["fine.png"]
    assert done.files("path outside the folder") == ["evil.json"]
    assert done.files("missing image") == ["evil.json"]


def test_labelme_path_to_a_sibling_folder_is_followed(source):
    put(source / "images/a.png", picture(0))
    content = labelme("..\\images\\a.png", [shape("x", "rectangle", (1, 1), (3, 3))])
    write_json(source / "labels/a.json", content)
    assert Imported(source).records["images/a.png"].labels == ["x"]


def test_labelme_for_another_size_is_excluded(source):
    put(source / "a.png", picture(0))
    shapes = [shape("x", "rectangle", (1, 1), (3, 3))]
    write_json(source / "a.json", labelme("a.png", shapes, imageHeight=WIDTH, imageWidth=HEIGHT))
    done = Imported(source)
    assert "12 x 16" in done.records["a.png"].excluded


# COCO


def coco(files, annotations, categories=((1, "pore"), (2, "crack"), (3, "unused"))):
    return {
        "images": [
            {"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for i, name in enumerate(files)
        ],
        "categories": [{"id": i, "name": name} for i, name in categories],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations)],
    }


def annotation(image, category, segmentation, **more):
    return {"image_id": image, "category_id": category, "segmentation": segmentation, **more}


def uncompressed(mask) -> dict:
    """Run lengths in column order, beginning with zeros: written out, not with pycocotools."""
    flat = (np.asarray(mask) > 0).ravel(order="F")
    counts, value, run = [], False, 0
    for pixel in flat:
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def test_coco_polygons_rle_crowds_and_instances(source):
    put(source / "valid/images/a.png", picture(0))
    put(source / "test/b.png", picture(1))
    put(source / "test/c.png", picture(2))
    (source / "test/._b.png").write_bytes(b"macOS junk")
    (source / "test/.__x.json").write_bytes(b"\x00\x05junk")
    blob = box(3, 8, 2, 5)
    blob[4, 7] = 255
    code = rle.encode(np.asfortranarray(box(0, 2, 0, 3, value=1)))
    code = {"size": code["size"], "counts": code["counts"].decode()}
    polygon = [[4, 2, 10, 2, 10, 9, 4, 9]]
    write_json(source / "valid/x.json", coco(["a.png"], [annotation(0, 1, polygon)]))
    write_json(
        source / "test/x.json",
        coco(
            ["b.png", "c.png"],
            [
                annotation(0, 2, uncompressed(blob)),
                annotation(0, 1, code),
                annotation(0, 1, uncompressed(box(2, 6, 0, 16)), iscrowd=1),
            ],
        ),
    )
    done = Imported(source)
    assert done.report.format == "coco"
    assert done.data.schema.defect_names == ["crack", "pore"]
    np.testing.assert_array_equal(done.defects("valid/images/a.png"), box(2, 9, 4, 10, value=2))
    expected = np.where(box(2, 6, 0, 16) > 0, 255, 0).astype(np.uint8)
    expected[blob > 0] = 1
    expected[0:2, 0:3] = 2
    np.testing.assert_array_equal(done.defects("test/b.png"), expected)
    assert done.records["test/c.png"].is_good
    instances = done.records["test/b.png"].instances
    assert [i["label"] for i in instances] == ["pore", "crack", "pore"]
    assert [i["iscrowd"] for i in instances] == [True, False, False]
    np.testing.assert_array_equal(rle.decode(instances[1]["rle"]), blob > 0)
    assert instances[1]["bbox"] == [2.0, 3.0, 6.0, 5.0]
    assert done.report.findings == []


def test_coco_annotation_with_a_box_only_ignores_the_box(source):
    put(source / "a.png", picture(0))
    write_json(source / "x.json", coco(["a.png"], [annotation(0, 1, [], bbox=[2, 3, 4, 5])]))
    done = Imported(source)
    assert done.records["a.png"].labels == ["pore"]
    np.testing.assert_array_equal(done.defects("a.png"), box(3, 8, 2, 6))


def test_coco_shape_thinner_than_a_pixel_is_not_lost(source):
    put(source / "a.png", picture(0))
    thin = [[5.2, 5.2, 5.3, 5.2, 5.3, 5.3]]
    write_json(source / "x.json", coco(["a.png"], [annotation(0, 1, thin)]))
    np.testing.assert_array_equal(Imported(source).defects("a.png"), box(5, 6, 5, 6, value=1))


def test_coco_oddities_are_told(source, tmp_path):
    put(tmp_path / "secret.png", picture(7))
    put(source / "a.png", picture(0))
    put(source / "unlisted.png", picture(1))
    bad = {"size": [HEIGHT, WIDTH], "counts": "\x01\x02zzz~~~"}
    annotations = [
        annotation(0, 1, [[0, 0, 4, 0, 4, 4]]),
        annotation(0, 1, bad),
        annotation(0, 1, {"size": [3, 3], "counts": [9]}),
        annotation(0, 1, 7),
        annotation(0, 99, [[0, 0, 4, 0, 4, 4]]),
        annotation(55, 1, [[0, 0, 4, 0, 4, 4]]),
    ]
    write_json(source / "x.json", coco(["a.png", "gone.png", "../secret.png"], annotations))
    write_json(source / "broken.json", {"images": 3})
    (source / "torn.json").write_text('{"images": [')
    done = Imported(source)
    assert set(done.kinds()) >= {
        "missing image", "no label file", "no labels", "orphaned labels", "path outside the folder",
        "unknown class", "unreadable labels",
    }  # fmt: skip
    assert done.files("no label file") == ["broken.json"]
    assert "torn.json" in done.files("unreadable labels")
    assert set(done.records) == {"a.png", "unlisted.png"}
    assert done.records["a.png"].labels == ["pore", "unknown"]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [HEIGHT, WIDTH], "counts": "00"},  # pycocotools returns random memory here
        {"size": [HEIGHT, WIDTH], "counts": [5, 5]},
        {"size": [HEIGHT, WIDTH], "counts": [-5, HEIGHT * WIDTH + 5]},
        {"size": [HEIGHT, WIDTH]},
        [[0, 0, 4, 0, 4, float("nan")]],  # pycocotools runs out of memory here
        [[0, 0, 1e12, 0, 4, 4]],
        [["a", 0, 1, 0, 4, 4]],
    ],
)
def test_coco_damaged_shape_labels_the_image_and_paints_nothing(source, segmentation):
    put(source / "a.png", picture(0))
    write_json(source / "x.json", coco(["a.png"], [annotation(0, 1, segmentation)]))
    done = Imported(source)
    assert done.records["a.png"].labels == ["pore"]
    assert done.records["a.png"].instances == []
    assert done.kinds() == ["unreadable labels"]
    assert (done.defects("a.png") == 255).all()


@given(hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_compressed_run_lengths_are_those_of_pycocotools(mask):
    code = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert parse_counts(code["counts"].decode()) == uncompressed(mask)["counts"]


def test_coco_same_name_in_two_splits_is_told_apart(source):
    for i, split in enumerate(("train", "valid")):
        put(source / split / "0.png", picture(i))
        polygon = [[i * 4, 2, i * 4 + 4, 2, i * 4 + 4, 6, i * 4, 6]]
        write_json(source / split / "x.json", coco(["0.png"], [annotation(0, 1, polygon)]))
    done = Imported(source)
    for i, split in enumerate(("train", "valid")):
        expected = box(2, 6, 4 * i, 4 * i + 4, value=1)
        np.testing.assert_array_equal(done.defects(f"{split}/0.png"), expected)


def test_json_over_the_limit_is_refused_unread(source):
    put(source / "a.png", picture(0))
    write_json(source / "a.json", labelme("a.png", []))
    with (source / "huge.json").open("wb") as stream:
        stream.truncate(MAX_JSON_BYTES + 1)
    done = Imported(source)
    assert done.files("unreadable labels") == ["huge.json"]


# Folder layouts of public data sets


def mvtec(source: Path) -> None:
    put(source / "leather/train/good/000.png", picture(0))
    put(source / "leather/test/good/000.png", picture(1))
    put(source / "leather/test/cut/000.png", picture(2))
    put(source / "leather/test/cut/001.png", picture(3))
    put(source / "leather/test/poke/000.png", picture(4))
    put(source / "leather/ground_truth/cut/000_mask.png", box(1, 4, 1, 4))
    put(source / "leather/ground_truth/poke/000_mask.png", blank())
    put(source / "leather/ground_truth/glue/000_mask.png", box(1, 4, 1, 4))


def test_mvtec_reports_orphans_empty_masks_and_unmasked_images(source):
    mvtec(source)
    done = Imported(source)
    assert done.report.format == "mvtec"
    assert done.data.schema.defect_names == ["cut", "poke"]
    expected = box(1, 4, 1, 4, value=1)
    np.testing.assert_array_equal(done.defects("leather/test/cut/000.png"), expected)
    unmasked = done.records["leather/test/cut/001.png"]
    assert unmasked.labels == ["cut"]
    assert "no mask" in unmasked.excluded
    assert done.files("orphaned mask") == ["leather/ground_truth/glue/000_mask.png"]
    assert done.files("empty mask") == ["leather/test/poke/000.png"]
    assert (done.defects("leather/test/poke/000.png") == 255).all()
    assert done.report.good == 2
    names = sorted(Path(record.file_name).stem for record in done.data)
    assert names == ["001", "cut_000", "good_000", "good_000_2", "poke_000"]


def test_mvtec_with_two_products_keeps_their_types_apart(source):
    mvtec(source)
    put(source / "cable/test/cut/000.png", picture(20))
    put(source / "cable/ground_truth/cut/000_mask.png", box(1, 4, 1, 4))
    done = Imported(source)
    assert done.data.schema.defect_names == ["cable_cut", "leather_cut", "leather_poke"]


def magnetic_tiles(source: Path) -> None:
    for i, (name, number, exposure) in enumerate(
        [("Blowhole", 100, 1), ("Blowhole", 120, 2), ("Free", 140, 3), ("Uneven", 900, 1)]
    ):
        stem = f"MT_{name}/Imgs/exp{exposure}_num_{number}"
        put(source / f"{stem}.jpg", picture(i))
        mask = box(1, 4, 1, 4, value=128) if name == "Blowhole" else box(0, 9, 0, 9, value=127)
        put(source / f"{stem}.png", mask)


def test_magnetic_tile_without_table_guesses_parts_from_numbers(source):
    magnetic_tiles(source)
    done = Imported(source)
    assert done.report.format == "magnetic_tile"
    record = done.records["MT_Blowhole/Imgs/exp1_num_100.jpg"]
    assert record.view == "exp1"
    expected = box(1, 4, 1, 4, value=1)  # 128 is a defect, 127 is not
    np.testing.assert_array_equal(done.defects(record.original), expected)
    parts = [record.part for record in sorted(done.data, key=lambda r: r.original)]
    assert parts == ["tile-000", "tile-000", "tile-000", "tile-001"]
    assert done.files("empty mask") == ["MT_Uneven/Imgs/exp1_num_900.jpg"]
    assert any("guess" in note for note in done.report.notes)


def test_magnetic_tile_table_gives_part_view_fold_and_exclusion(source):
    magnetic_tiles(source)
    (source / "tiles.csv").write_text(
        "image,class,view,part,fold,note\n"
        "MT_Blowhole/Imgs/exp1_num_100.jpg,blowhole,exp1,t7,3,\n"
        "MT_Free/Imgs/exp3_num_140.jpg,free,exp3,t7,3,shown defective elsewhere\n"
        "MT_Free/Imgs/gone.jpg,free,exp3,t8,0,\n"
    )
    done = Imported(source)
    record = done.records["MT_Blowhole/Imgs/exp1_num_100.jpg"]
    assert (record.part, record.view, record.fold, record.excluded) == ("t7", "exp1", 3, None)
    assert done.records["MT_Free/Imgs/exp3_num_140.jpg"].excluded == "shown defective elsewhere"
    assert len(done.files("no part")) == 2
    assert done.files("missing image") == ["tiles.csv"]


@pytest.mark.parametrize("home", ["", "SD-saliency-900/"])
def test_sd_saliency_takes_the_class_from_the_name(source, home):
    for i, name in enumerate(["In_1", "Pa_2", "Sc_3"]):
        put(source / f"{home}Source Images/{name}.bmp", picture(i))
        put(source / f"{home}Ground truth/{name}.png", box(i, i + 3, 1, 4))
    done = Imported(source)
    assert done.report.format == "sd_saliency_900"
    assert done.data.schema.defect_names == ["inclusion", "patch", "scratch"]
    expected = box(2, 5, 1, 4, value=3)
    np.testing.assert_array_equal(done.defects(f"{home}Source Images/Sc_3.bmp"), expected)


def test_class_folders_label_whole_images(source):
    put(source / "train/OK/a.png", picture(0))
    put(source / "train/scratch/a.png", picture(1))
    put(source / "test/scratch/a.png", picture(2))
    done = Imported(source)
    assert done.report.format == "class_folders"
    assert done.report.classes == {"scratch": 2}
    record = done.records["train/scratch/a.png"]
    assert (record.labels, record.mask_file_name, record.instances) == (["scratch"], None, [])
    assert (done.defects("train/scratch/a.png") == 255).all()
    assert (done.defects("train/OK/a.png") == 0).all()


# What all formats share


def class_folders(source: Path, names=("OK/p1_top.png", "OK/p1_side.png", "dent/p2_top.png")):
    for i, name in enumerate(names):
        put(source / name, picture(i))


def test_patterns_give_part_view_and_class(source):
    class_folders(source, ["x/p1_top_dent.png", "x/p1_side_ok.png", "y/p2_top_dent.png"])
    done = Imported(
        source,
        part_pattern=r"(p\d)",
        view_pattern=r"p\d_(?P<view>[a-z]+)",
        class_pattern=r"_([a-z]+)\.png",
    )
    found = {r.original: (r.part, r.view, r.labels) for r in done.data}
    assert found == {
        "x/p1_top_dent.png": ("p1", "top", ["dent"]),
        "x/p1_side_ok.png": ("p1", "side", []),
        "y/p2_top_dent.png": ("p2", "top", ["dent"]),
    }
    assert done.report.parts == 2
    assert not any("part of their own" in note for note in done.report.notes)


def test_class_pattern_names_what_a_mask_shows_and_good_drops_it_aloud(source):
    for i, name in enumerate(["dent_1", "ok_2"]):
        put(source / f"images/{name}.png", picture(i))
        put(source / f"masks/{name}.png", box(1, 4, 1, 4))
    done = Imported(source, class_pattern=r"([a-z]+)_\d")
    assert done.data.schema.defect_names == ["dent"]
    np.testing.assert_array_equal(done.defects("images/dent_1.png"), box(1, 4, 1, 4, value=1))
    assert not done.defects("images/ok_2.png").any()
    assert done.files("contradiction") == ["images/ok_2.png"]


def test_pattern_that_misses_some_images_is_told(source):
    class_folders(source, ["OK/p1.png", "OK/other.png", "dent/p2.png"])
    done = Imported(source, part_pattern=r"(p\d)")
    assert done.files("no part") == ["OK/other.png"]
    assert done.report.parts == 3


@pytest.mark.parametrize(
    ("pattern", "message"),
    [(r"lot(\d+)", "matches none of 3 images"), (r"p\d", "no group"), ("(", "regular expression")],
)
def test_useless_pattern_is_an_error_and_leaves_nothing(source, pattern, message):
    class_folders(source)
    with pytest.raises(FlawsmithError, match=message):
        Imported(source, part_pattern=pattern)
    assert [path.name for path in source.parent.iterdir()] == ["source"]


def test_without_pattern_the_user_is_warned_of_leaking_views(source):
    class_folders(source)
    done = Imported(source)
    assert done.report.parts == 3
    assert any("--part-pattern" in note for note in done.report.notes)


def test_images_are_copied_byte_for_byte_and_report_is_saved(source):
    class_folders(source)
    put(source / "dent/photo.jpg", picture(5, shape=(HEIGHT, WIDTH, 3)))
    done = Imported(source, name="My set", pixel_size_mm=(0.5, 0.4))
    for record in done.data:
        original = (source / record.original).read_bytes()
        assert (done.out / record.file_name).read_bytes() == original
    schema = done.data.schema
    assert (schema.name, schema.channels, schema.bit_depth) == ("My set", 3, 8)
    assert (schema.pixel_size_mm.x, schema.pixel_size_mm.y) == (0.5, 0.4)
    assert [background.name for background in schema.backgrounds] == ["surface"]
    saved = json.loads((done.out / "import.json").read_text())
    assert saved == done.report.model_dump(mode="json")


@pytest.mark.parametrize(
    ("highest", "option", "depth", "white"),
    [(4095, None, 12, 4095), (4096, None, 16, 65535), (3000, 16383, 14, 16383)],
)
def test_sixteen_bit_png_and_tiff_set_depth_and_white_level(source, highest, option, depth, white):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, highest + 1, (HEIGHT, WIDTH), dtype=np.uint16)
    grey[0, 0] = highest
    colour = rng.integers(0, highest + 1, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    for name in ("OK", "dent"):
        (source / name).mkdir()
    cv2.imwrite(str(source / "OK/grey.png"), grey)
    cv2.imwrite(str(source / "dent/colour.tiff"), colour[..., ::-1])
    done = Imported(source, white_level=option)
    schema = done.data.schema
    assert (schema.bit_depth, schema.white_level, schema.channels) == (depth, white, 3)
    np.testing.assert_array_equal(done.data.image(done.records["OK/grey.png"]), grey)
    np.testing.assert_array_equal(done.data.image(done.records["dent/colour.tiff"]), colour)


def test_mixed_bit_depths_exclude_the_fewer(source):
    class_folders(source)
    deep = np.full((HEIGHT, WIDTH), 60000, np.uint16)
    cv2.imwrite(str(source / "dent/deep.png"), deep)
    done = Imported(source)
    assert done.data.schema.white_level == 255
    assert [name for name, r in done.records.items() if r.excluded] == ["dent/deep.png"]
    assert done.files("mixed bit depth") == ["dent/deep.png"]


def test_white_level_beyond_the_images_is_an_error(source):
    class_folders(source)
    with pytest.raises(FlawsmithError, match="8-bit images"):
        Imported(source, white_level=4095)


def test_turned_photograph_keeps_its_label_in_place(source):
    pixels = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter: 12 wide, 16 high
    (source / "images").mkdir()
    Image.fromarray(pixels).save(source / "images/a.jpg", exif=exif)
    mask = np.zeros((WIDTH, HEIGHT), np.uint8)
    mask[10:14, 2:5] = 1
    put(source / "masks/a.png", mask)
    done = Imported(source)
    record = done.records["images/a.jpg"]
    assert (record.height, record.width) == (WIDTH, HEIGHT) == done.data.image(record).shape
    np.testing.assert_array_equal(done.defects("images/a.jpg"), mask)


def test_damaged_images_are_left_out_aloud(source):
    class_folders(source)
    whole = put(source / "dent/cut.png", picture(8, shape=(200, 200))).read_bytes()
    (source / "dent/cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "dent/no.bmp").write_bytes(b"hello")
    done = Imported(source)
    assert done.files("unreadable image") == ["dent/cut.png", "dent/no.bmp"]
    assert done.report.images == 3


def test_nothing_usable_is_an_error_and_leaves_nothing(source):
    for name in ("OK/a.png", "dent/b.png"):
        (source / name).parent.mkdir()
        (source / name).write_bytes(b"hello")
    with pytest.raises(FlawsmithError, match=r"no usable image .*a\.png.*2 \.png in OK, dent"):
        Imported(source)
    assert [path.name for path in source.parent.iterdir()] == ["source"]


def test_identical_images_are_told(source):
    class_folders(source)
    (source / "dent/twin.png").write_bytes((source / "OK/p1_top.png").read_bytes())
    done = Imported(source)
    (finding,) = done.report.findings
    assert finding.kind == "identical image"
    assert "another part" in finding.message


def test_interrupted_import_leaves_nothing_and_can_be_repeated(source, monkeypatch):
    class_folders(source)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("flawsmith.data.formats.importing.lead_with_types", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Imported(source)
    assert [path.name for path in source.parent.iterdir()] == ["source"]
    assert Imported(source).report.images == 3


def test_unknown_and_ambiguous_folders_name_what_was_seen(source):
    put(source / "a.png", picture(0))
    (source / "notes.txt").write_text("x")
    with pytest.raises(FlawsmithError, match=r"no known format; it has 1 \.png, 1 \.txt.*coco:"):
        Imported(source)
    write_json(source / "a.json", labelme("a.png", []))
    write_json(source / "b.json", coco(["a.png"], []))
    with pytest.raises(FlawsmithError, match=r"could be 2 formats: coco .*; labelme .*--format"):
        Imported(source)
    assert Imported(source, format="labelme").report.format == "labelme"


def test_wrong_sources_and_names_are_explained(source, tmp_path):
    with pytest.raises(FlawsmithError, match="has no files"):
        Imported(source)
    with pytest.raises(FlawsmithError, match="there is no folder"):
        import_folder(tmp_path / "gone", tmp_path / "out")
    class_folders(source)
    with pytest.raises(FlawsmithError, match="is a file"):
        import_folder(source / "OK/p1_top.png", tmp_path / "out")
    with pytest.raises(FlawsmithError, match="did you mean 'labelme'"):
        import_folder(source, tmp_path / "out", format="labelm")
    done = Imported(source)
    with pytest.raises(FlawsmithError, match="already; use it as it is"):
        import_folder(done.out, tmp_path / "again")
    with pytest.raises(FlawsmithError, match="exists already"):
        Imported(source)


def test_data_set_inside_the_source_is_not_imported_again(source):
    class_folders(source)
    import_folder(source, source / "out")
    done = Imported(source)
    assert done.report.images == 3
    assert done.files("data set inside") == ["out"]


def test_links_that_lead_in_a_circle_end(source):
    class_folders(source)
    (source / "OK/again").symlink_to(source, target_is_directory=True)
    assert len(SourceFolder.scan(source).images) == 3


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_has_a_summary_and_ignores_a_folder_of_text(source, name):
    (source / "readme.txt").write_text("nothing here")
    entry = FORMATS.get(name)
    assert entry.summary
    assert entry().detect(SourceFolder.scan(source)) is None


def test_names_are_unique_portable_and_no_split_of_hugging_face():
    files = ["train/a b/1.png", "test/a b/1.png", "test/a b/1.jpg", "x/test_7.png", "x/test.png"]
    files += ["x/latest.png", "x/Ünïcode.png", "x/.png"]
    names = UniqueNames(files)
    taken = [names.take(file) for file in files]
    assert taken == ["a_b_1", "a_b_1_2", "a_b_1_3", "7", "x", "latest", "Ünïcode", "png"]


def test_records_that_show_types_come_first(source):
    class_folders(source)
    records = Imported(source).data.records
    plain = [r.model_copy(update={"labels": [], "excluded": None}) for r in records]
    telling = records[0].model_copy(update={"mask_file_name": "masks/x.png"})
    ordered = lead_with_types([*plain, telling])
    assert ordered == [plain[0], telling, *plain[1:]]


# Real images


@pytest.mark.real_data
def test_magnetic_tile_counts(real_data, tmp_path):
    report = import_folder(real_data / "magnetic-tile", tmp_path / "out")
    assert (report.images, report.parts, report.excluded, report.good) == (1344, 216, 28, 924)
    assert report.classes == {"blowhole": 115, "break": 85, "crack": 57, "fray": 32, "uneven": 103}
    assert [finding.kind for finding in report.findings] == ["empty mask"] * 4
    assert all("MT_Uneven" in finding.file for finding in report.findings)
    data = DefectDataset.open(tmp_path / "out")
    for record in data.records[::60]:
        mask = np.asarray(
            Image.open((real_data / "magnetic-tile" / record.original).with_suffix(".png"))
        )
        defects = data.label_map(record).defects
        np.testing.assert_array_equal(defects > 0, mask > 127)
        assert set(np.unique(defects)) <= {0, *(data.schema.defect(n).id for n in record.labels)}
    assert {record.fold for record in data} == {0, 1, 2, 3, 4}


@pytest.mark.real_data
def test_sd_saliency_counts(real_data, tmp_path):
    report = import_folder(real_data / "sd-saliency-900", tmp_path / "out")
    assert report.classes == {"inclusion": 300, "patch": 300, "scratch": 300}
    assert (report.images, report.good, report.excluded) == (900, 0, 0)


@pytest.mark.real_data
def test_coco_sample(real_data, tmp_path):
    pattern = r"/(\d+)_cropped"
    out = tmp_path / "out"
    report = import_folder(real_data / "formats/coco", out, part_pattern=pattern)
    assert (report.images, report.classes, report.findings) == (174, {"defect": 172}, [])
    assert report.parts < 174
    data = DefectDataset.open(out)
    assert sum(len(record.instances) for record in data) == 3067 + 3959


@pytest.mark.real_data
def test_mvtec_sample_reports_orphans(real_data, tmp_path):
    report = import_folder(real_data / "formats/mvtec", tmp_path / "out")
    kinds = [finding.kind for finding in report.findings]
    assert (report.images, report.good, report.excluded) == (16, 8, 3)
    assert (kinds.count("orphaned mask"), kinds.count("no labels")) == (13, 3)


@pytest.mark.real_data
def test_labelme_sample(real_data, tmp_path):
    out = tmp_path / "out"
    report = import_folder(real_data / "formats/labelme/Data/Recoat", out)
    assert report.classes == {"powder_uncover": 1, "powder_uneven": 1, "scratch": 1}
    assert report.findings == []
    data = DefectDataset.open(out)
    record = next(r for r in data if r.labels == ["scratch"])
    content = json.loads((real_data / "formats/labelme/Data/Recoat/10002.json").read_text())
    expected = np.zeros((1024, 1024), bool)
    for item in content["shapes"]:
        corners = np.array(item["points"])
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        y, x = np.mgrid[:1024, :1024]
        expected |= (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    found = data.label_map(record).defects > 0
    near = cv2.dilate(expected.astype(np.uint8), np.ones((3, 3))) > 0
    surely = cv2.erode(expected.astype(np.uint8), np.ones((3, 3))) > 0
    assert near[found].all()  # corners fall between pixels: one pixel either way
    assert found[surely].all()
