"""Label Studio: brush run lengths, shapes in per cent, how images are found, damaged regions."""

import itertools

import numpy as np
import pytest

from flawsmith.data.formats.brush_rle import decode_brush

HEIGHT, WIDTH = 40, 60


def encode(values, *, word=8, sizes=(3, 4, 8, 16), literal=()):
    """Return the bytes of values in blocks; runs whose number is in ``literal`` are single ones."""
    text = f"{len(values):032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    runs = [(value, len(list(group))) for value, group in itertools.groupby(values)]
    for number, (value, length) in enumerate(runs):
        while length:
            count = min(length, 1 << max(sizes))
            choice = next(i for i, size in enumerate(sizes) if count <= 1 << size)
            single = number in literal
            text += f"{int(not single)}{choice:02b}{count - 1:0{sizes[choice]}b}"
            text += f"{int(value):0{word}b}" * (count if single else 1)
            length -= count
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def rgba(mask):
    return np.repeat(255 * mask.astype(np.uint8).ravel(), 4)


def region(kind, names, value, **more):
    return {
        "id": "r1", "type": kind, "from_name": "tag", "to_name": "image", "image_rotation": 0,
        "original_width": WIDTH, "original_height": HEIGHT,
        "value": {**value, **({kind: names} if names else {})}, **more,
    }  # fmt: skip


def polygon(*points, names=("dent",)):
    value = {"points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]}
    return region("polygonlabels", list(names), value)


def task(image, *results, annotated=True, **more):
    rows = [{"id": 1, "was_cancelled": False, "result": list(results), **more}]
    return {"id": 7, "data": {"image": image}, "annotations": rows if annotated else []}


@pytest.fixture
def export(source, put, picture, write_json, imported):
    """Import pictures (a.png unless told) with an export of tasks."""

    def run(*tasks, images=("a.png",)):
        for i, name in enumerate(images):
            put(source / name, picture(i, shape=(HEIGHT, WIDTH)))
        write_json(source / "export.json", list(tasks))
        return imported(source)

    return run


@pytest.mark.parametrize("literal", [(), range(0, 1000, 2), range(1000)])
def test_brush_run_lengths_give_back_the_mask(literal):
    mask = np.random.default_rng(0).random((13, 17)) > 0.7
    code = encode(rgba(mask), literal=literal)
    np.testing.assert_array_equal(decode_brush(code, (13, 17)), mask)


def test_brush_run_lengths_by_hand():
    # 8 values of 8 bits, lengths of 1, 2, 3 and 4 bits: 4 times 0 and 4 times 255.
    text = f"{8:032b}00111" + "0000000100100011" + "1011100000000"
    text += "1011111111111"
    text += "0" * (-len(text) % 8)
    code = list(int(text, 2).to_bytes(len(text) // 8, "big"))
    np.testing.assert_array_equal(decode_brush(code, (1, 2)), [[False, True]])


def test_only_alpha_says_where_the_stroke_is():
    values = np.full((2, 3, 4), 200, np.uint8)
    values[..., 3] = [[0, 255, 0], [1, 0, 0]]
    expected = values[..., 3] > 0
    np.testing.assert_array_equal(decode_brush(encode(values.ravel()), (2, 3)), expected)


def test_regions_have_the_pixels_of_their_geometry(export):
    brush = np.zeros((HEIGHT, WIDTH), bool)
    brush[30:35, 40:50] = True
    stroke = region("brushlabels", ["crack"], {"format": "rle", "rle": encode(rgba(brush))})
    size = {"x": 100 * 45 / WIDTH, "y": 25, "radiusX": 100 * 9 / WIDTH, "radiusY": 10}
    oval = region("ellipselabels", ["dent"], size)
    box = {"x": 0, "y": 75, "width": 10, "height": 25, "rotation": 0}
    weak = region("rectanglelabels", ["pore"], box)
    corners = polygon((10, 10), (25, 10), (25, 20), (10, 20))
    done = export(task("/data/upload/1/a.png", corners, stroke, oval, weak))
    assert done.report.format == "label_studio"
    assert done.data.schema.defect_names == ["crack", "dent", "pore"]
    got = done.defects("a.png")
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:21, 10:26] = 2
    expected[brush] = 1
    expected[30:, :6] = 255
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot((x - 45) / 9, (y - 10) / 4)
    expected[distance <= 1] = 2
    unsure = (distance > 0.8) & (distance < 1.3)
    np.testing.assert_array_equal(got[~unsure], expected[~unsure])
    assert done.records["a.png"].weak_labels == ["pore"]


def test_shapes_are_turned_clockwise(export):
    size = {"x": 50, "y": 50, "radiusX": 100 * 15 / WIDTH, "radiusY": 100 * 3 / HEIGHT}
    oval = region("ellipselabels", ["dent"], {**size, "rotation": 45})
    got = export(task("a.png", oval)).defects("a.png")
    assert got[29, 39] == 1  # to the lower right
    assert got[11, 21] == 1
    assert got[11, 39] == 0
    assert got[29, 21] == 0


def test_a_turned_box_ignores_all_that_it_may_cover(export):
    box = {"x": 50, "y": 25, "width": 100 * 12 / WIDTH, "height": 100 * 6 / HEIGHT, "rotation": 90}
    got = export(task("a.png", region("rectanglelabels", ["dent"], box))).defects("a.png")
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:22, 24:30] = 255
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("/data/upload/3/0123abcd-a.png", "x/a.png"),
        ("/data/local-files/?d=lot%201/y/b.png", "y/b.png"),
        ("/data/local-files/?d=lot/x/b.png", "x/b.png"),
        ("https://host.example/some/way/c%20d.png?token=1", "y/c d.png"),
        ("s3://bucket/../../x/a.png", "x/a.png"),
    ],
)
def test_images_are_found_by_name_and_common_folders(export, address, image):
    images = ("x/a.png", "x/b.png", "y/b.png", "y/c d.png")
    done = export(task(address, polygon((1, 1), (9, 1), (9, 9))), images=images)
    assert [r.original for r in done.data if not r.excluded] == [image]


def test_tasks_without_annotation_or_image_are_not_good(export):
    done = export(
        task("a.png"),
        task("b.png", annotated=False),
        task("c.png", polygon((1, 1), (9, 1), (9, 9)), was_cancelled=True),
        task("gone.png"),
        task("twin.png"),
        {"other": 1},
        images=("a.png", "b.png", "c.png", "d.png", "x/twin.png", "y/twin.png"),
    )
    assert done.records["a.png"].excluded is None
    for name in ("b.png", "c.png"):
        assert "no annotation" in done.records[name].excluded
    for name in ("d.png", "x/twin.png", "y/twin.png"):
        assert "no task" in done.records[name].excluded
    assert len(done.files("missing image")) == 2
    assert done.files("no label file") == ["export.json"]


def test_ground_truth_counts_alone_and_other_annotations_are_joined(export):
    first, second = polygon((1, 1), (9, 1), (9, 9)), polygon((20, 1), (29, 1), (29, 9))
    both = task("a.png", first)
    both["annotations"].append({"result": [second]})
    chosen = task("b.png", first)
    chosen["annotations"].append({"result": [second], "ground_truth": True})
    done = export(both, chosen, images=("a.png", "b.png"))
    joined, truth = done.defects("a.png"), done.defects("b.png")
    assert joined[:, :10].any()
    assert joined[:, 20:30].any()
    assert not truth[:, :10].any()
    assert truth[:, 20:30].any()
    assert done.files("several annotations") == ["a.png"]


def test_points_and_choices_label_the_image(export):
    done = export(
        task("a.png", region("keypointlabels", ["dent"], {"x": 5, "y": 5, "width": 1})),
        task("b.png", region("choices", ["dent"], {})),
        task("c.png", region("choices", ["OK"], {})),
        images=("a.png", "b.png", "c.png"),
    )
    assert done.records["a.png"].labels == ["dent"]
    assert done.records["b.png"].labels == ["dent"]
    assert done.report.good == 1
    assert done.data.schema.defect_names == ["dent"]
    assert done.files("shape without area") == ["a.png"]
    assert not done.files("unreadable labels")


def test_damaged_regions_become_image_labels(export):
    code = encode(rgba(np.ones((HEIGHT, WIDTH), bool)))
    values = {
        "cut.png": {"rle": code[:6]},
        "size.png": {"rle": encode([255] * 40)},
        "bomb.png": {"rle": [255] * 40},
        "huge.png": {"rle": 10**12},
        "text.png": {"rle": ["a"]},
        "over.png": {"rle": [256]},
        "none.png": {"points": None},
        "far.png": {"points": [[0, 0], [1e9, 0], [5, 5]]},
        "nan.png": {"x": float("nan"), "y": 1, "width": 2, "height": 2},
        "two.png": {"points": [[0, 0], [5, 5]]},
    }
    done = export(
        *(task(name, region("brushlabels", ["dent"], value)) for name, value in values.items()),
        images=tuple(values),
    )
    for name in values:
        assert done.records[name].labels == ["dent"], name
    assert sorted(done.files("unreadable labels")) == sorted(values)


def test_regions_that_do_not_fit_exclude_the_image(export):
    other = polygon((1, 1), (9, 1), (9, 9))
    nameless = polygon((1, 1), (9, 1), (9, 9), names=())
    done = export(
        task("size.png", {**other, "original_width": 9}),
        task("turned.png", {**other, "image_rotation": 90}),
        task("nameless.png", {**nameless, "id": "r2"}),
        task("odd.png", 3),
        task("fine.png", nameless, other),  # the same region twice, once with its class
        images=("size.png", "turned.png", "nameless.png", "odd.png", "fine.png"),
    )
    excluded = {record.original for record in done.data if record.excluded}
    assert excluded == {"size.png", "turned.png", "nameless.png", "odd.png"}
