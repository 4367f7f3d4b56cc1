"""Supervisely: pixels of every geometry, bitmaps, weak labels, damaged files."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 40, 60


def thing(title, kind, *exterior, interior=(), **more):
    points = {"exterior": [list(p) for p in exterior], "interior": list(interior)}
    return {"classTitle": title, "geometryType": kind, "points": points, **more}


def bitmap(title, mask, origin, *, mode="1"):
    """Return a bitmap as the SDK writes it (mode 1 with a transparent index), or as RGBA."""
    stream = io.BytesIO()
    if mode == "RGBA":
        pixels = np.zeros((*mask.shape, 4), np.uint8)
        pixels[..., 0], pixels[..., 3] = 255, 255 * mask
        Image.fromarray(pixels).save(stream, "PNG")
    else:
        picture = Image.fromarray(mask.astype(np.uint8), mode="P")
        picture.putpalette([0, 0, 0, 255, 255, 255])
        picture.save(stream, "PNG", transparency=0)
    data = base64.b64encode(zlib.compress(stream.getvalue())).decode()
    return {
        "classTitle": title,
        "geometryType": "bitmap",
        "bitmap": {"data": data, "origin": list(origin)},
    }


@pytest.fixture
def project(source, put, picture, write_json):
    """Write images with their objects and a meta.json."""

    def write(objects, classes=("scratch", "unused", "dent")):
        for i, (name, things) in enumerate(objects.items()):
            put(source / f"ds/img/{name}", picture(i, shape=(HEIGHT, WIDTH)))
            size = {"height": HEIGHT, "width": WIDTH}
            content = {"description": "", "tags": [], "size": size, "objects": things}
            write_json(source / f"ds/ann/{name}.json", content)
        write_json(source / "meta.json", {"classes": [{"title": name} for name in classes]})
        return source

    return write


def test_shapes_have_the_pixels_of_their_geometry(project, imported):
    hole = [[14, 14], [20, 14], [20, 20], [14, 20]]
    done = imported(
        project(
            {
                "a.png": [
                    thing(
                        "dent", "polygon", (10, 10), (30, 10), (30, 30), (10, 30), interior=[hole]
                    ),
                    thing("scratch", "line", (40, 5), (55, 5)),
                ],
                "b.png": [],
            }
        )
    )
    assert done.report.format == "supervisely"
    assert done.data.schema.defect_names == ["scratch", "dent"]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:31, 10:31] = 2
    expected[14:21, 14:21] = 0
    got = done.defects("ds/img/a.png")
    np.testing.assert_array_equal(got[:, :36], expected[:, :36])
    assert (got[5, 41:55] == 1).all()
    assert (got[4:7, 45] == 1).all()
    assert (got[[2, 8], 45] == 0).all()
    assert done.records["ds/img/b.png"].excluded is None
    assert done.report.good == 1


@pytest.mark.parametrize("mode", ["1", "RGBA"])
def test_bitmaps_lie_at_their_origin_and_are_cut_at_the_edge(project, imported, mode):
    small = np.random.default_rng(0).random((6, 9)) > 0.5
    objects = [
        bitmap("dent", small, origin, mode=mode) for origin in ((20, 10), (55, 37), (-3, -2))
    ]
    done = imported(project({"a.png": objects}))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:16, 20:29] = small
    expected[37:, 55:] = small[:3, :5]
    expected[:4, :6] = small[2:, 3:]
    np.testing.assert_array_equal(done.defects("ds/img/a.png"), expected)


def test_rectangles_are_weak_and_points_label_the_image(project, imported):
    objects = {
        "a.png": [thing("dent", "rectangle", (20, 15), (10, 5))],
        "b.png": [thing("scratch", "point", (3, 3))],
    }
    done = imported(project(objects))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[5:16, 10:21] = 255
    np.testing.assert_array_equal(done.defects("ds/img/a.png"), expected)
    assert done.records["ds/img/a.png"].labels == ["dent"]
    assert done.records["ds/img/b.png"].labels == ["scratch"]
    assert {"box only", "shape without area"} <= set(done.kinds())


def test_damaged_shapes_become_image_labels(project, imported):
    good = bitmap("dent", np.ones((4, 4), bool), (0, 0))
    png = zlib.decompress(base64.b64decode(good["bitmap"]["data"]))
    header = b"IHDR" + struct.pack(">II", 60000, 60000) + png[24:29]
    huge = png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
    huge = base64.b64encode(zlib.compress(huge)).decode()
    bomb = base64.b64encode(zlib.compress(bytes(50 << 20))).decode()
    damaged = {
        "bomb.png": {**good, "bitmap": {"data": bomb, "origin": [0, 0]}},
        "huge.png": {**good, "bitmap": {"data": huge, "origin": [0, 0]}},
        "far.png": {**good, "bitmap": {**good["bitmap"], "origin": [1e300, 0]}},
        "nan.png": thing("dent", "polygon", (float("nan"), 0), (3, 3), (5, 9)),
        "none.png": {"classTitle": "dent", "geometryType": "polygon", "points": None},
        "text.png": {**good, "bitmap": {"data": "&&&", "origin": [0, 0]}},
        "wide.png": bitmap("dent", np.ones((4, WIDTH + 1), bool), (0, 0)),
        "where.png": {**good, "bitmap": {"data": good["bitmap"]["data"]}},
        "solid.png": thing("dent", "cuboid"),
    }
    done = imported(project({name: [item] for name, item in damaged.items()}))
    for name in damaged:
        assert done.records[f"ds/img/{name}"].labels == ["dent"], name
    assert len(done.files("unreadable labels")) == len(damaged) - 1
    assert done.files("shape without area") == ["ds/img/solid.png"]


def test_files_that_do_not_fit_are_reported(project, put, picture, write_json, imported):
    source = project({f"{name}.png": [] for name in "abcd"} | {"e.png": [thing("new", "point")]})
    (source / "ds/ann/b.png.json").write_text("{")
    write_json(source / "ds/ann/c.png.json", {"objects": 3})
    content = json.loads((source / "ds/ann/d.png.json").read_text())
    write_json(source / "ds/ann/d.png.json", {**content, "size": {"height": 9, "width": 9}})
    write_json(source / "ds/ann/gone.png.json", content)
    put(source / "ds/img/bare.png", picture(77))
    put(source / "ds/masks_machine/a.png", picture(78))
    done = imported(source)
    for name, reason in {"b": "JSON", "c": "objects", "d": "9 x 9", "bare": "ann/"}.items():
        assert reason in done.records[f"ds/img/{name}.png"].excluded
    assert done.files("missing image") == ["ds/ann/gone.png.json"]
    assert done.files("unknown class") == ["meta.json"]
    assert "ds/masks_machine/a.png" not in done.records
