"""COCO: polygons, run lengths, crowds, damaged annotations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as rle

from flawsmith.data.formats.run_lengths import parse_counts

HEIGHT, WIDTH = 12, 16


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


def test_coco_polygons_rle_crowds_and_instances(
    source, put, picture, box, write_json, coco, imported
):
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
    done = imported(source)
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


def test_coco_annotation_with_a_box_only_ignores_the_box(
    source, put, picture, box, write_json, coco, imported
):
    put(source / "a.png", picture(0))
    write_json(source / "x.json", coco(["a.png"], [annotation(0, 1, [], bbox=[2, 3, 4, 5])]))
    done = imported(source)
    assert done.records["a.png"].labels == ["pore"]
    np.testing.assert_array_equal(done.defects("a.png"), box(3, 8, 2, 6))


def test_coco_shape_thinner_than_a_pixel_is_not_lost(
    source, put, picture, box, write_json, coco, imported
):
    put(source / "a.png", picture(0))
    thin = [[5.2, 5.2, 5.3, 5.2, 5.3, 5.3]]
    write_json(source / "x.json", coco(["a.png"], [annotation(0, 1, thin)]))
    np.testing.assert_array_equal(imported(source).defects("a.png"), box(5, 6, 5, 6, value=1))


def test_coco_oddities_are_told(source, tmp_path, put, picture, write_json, coco, imported):
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
    done = imported(source)
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
def test_coco_damaged_shape_labels_the_image_and_paints_nothing(
    source, segmentation, put, picture, write_json, coco, imported
):
    put(source / "a.png", picture(0))
    write_json(source / "x.json", coco(["a.png"], [annotation(0, 1, segmentation)]))
    done = imported(source)
    assert done.records["a.png"].labels == ["pore"]
    assert done.records["a.png"].instances == []
    assert done.kinds() == ["unreadable labels"]
    assert (done.defects("a.png") == 255).all()


@given(hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_compressed_run_lengths_are_those_of_pycocotools(mask):
    code = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert parse_counts(code["counts"].decode()) == uncompressed(mask)["counts"]


def test_coco_same_name_in_two_splits_is_told_apart(
    source, put, picture, box, write_json, coco, imported
):
    for i, split in enumerate(("train", "valid")):
        put(source / split / "0.png", picture(i))
        polygon = [[i * 4, 2, i * 4 + 4, 2, i * 4 + 4, 6, i * 4, 6]]
        write_json(source / split / "x.json", coco(["0.png"], [annotation(0, 1, polygon)]))
    done = imported(source)
    for i, split in enumerate(("train", "valid")):
        expected = box(2, 6, 4 * i, 4 * i + 4, value=1)
        np.testing.assert_array_equal(done.defects(f"{split}/0.png"), expected)
