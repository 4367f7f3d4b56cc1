"""CVAT for images: every kind of shape, their order, and damaged ones."""

import numpy as np
import pytest

SQUARE = "4,3;8,3;8,6;4,6"


def _image(name: str, *items: str, size=(16, 12)) -> str:
    return (
        f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}">{"".join(items)}</image>'
    )


def _shape(kind: str, label: str = "dent", **attributes) -> str:
    more = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f'<{kind} label="{label}" source="manual" occluded="0" {more}></{kind}>'


def _write(source, *images: str) -> None:
    text = f"<annotations><version>1.1</version><meta/>{''.join(images)}</annotations>"
    (source / "annotations.xml").write_text(text)


@pytest.fixture
def drawn(source, put, picture, imported):
    """Import one picture with the given items."""

    def draw(*items: str):
        put(source / "images/a.png", picture(0))
        _write(source, _image("a.png", *items))
        return imported(source)

    return draw


def test_polygons_are_painted_in_their_z_order(drawn, box):
    done = drawn(
        _shape("polygon", "crack", points=SQUARE, z_order=1),
        _shape("polygon", "dent", points="0,0;15,0;15,11;0,11", z_order=0),
    )
    assert done.report.format == "cvat"
    expected = np.where(box(3, 7, 4, 9), 1, 2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)
    assert done.files("overlapping labels") == ["images/a.png"]


def test_masks_are_run_lengths_by_row_in_a_window(drawn, blank):
    window = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]])
    done = drawn(_shape("mask", rle="1, 2, 1, 2, 5, 1", left=5, top=2, width=4, height=3))
    expected = blank()
    expected[2:5, 5:9] = window
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)


def test_masks_are_cut_at_the_border(drawn, box):
    done = drawn(_shape("mask", rle="0,12", left=-1, top=10, width=4, height=3))
    np.testing.assert_array_equal(done.defects("images/a.png"), box(10, 12, 0, 3, 1))


def test_polylines_are_three_pixels_wide(drawn, box):
    done = drawn(_shape("polyline", points="2,5;12,5"))
    np.testing.assert_array_equal(
        done.defects("images/a.png")[:, 4:11], box(4, 7, 0, 16, 1)[:, 4:11]
    )


@pytest.mark.parametrize(("radii", "turn"), [((5, 2), 0), ((2, 5), 90), ((5, 2), 180)])
def test_ellipses_are_filled_upright_and_turned(drawn, radii, turn):
    done = drawn(_shape("ellipse", cx=8, cy=6, rx=radii[0], ry=radii[1], rotation=turn))
    found = done.defects("images/a.png") == 1
    rows, columns = np.indices(found.shape)
    reach = ((columns - 8) / 5) ** 2 + ((rows - 6) / 2) ** 2
    assert found[reach <= 0.9].all()
    assert not found[reach > 1.7].any()


def test_ellipses_turn_clockwise(drawn):
    done = drawn(_shape("ellipse", cx=8, cy=6, rx=5, ry=1, rotation=45))
    found = done.defects("images/a.png") == 1
    assert found[[3, 6, 9], [5, 8, 11]].all()
    assert not found[[3, 9], [11, 5]].any()


def test_boxes_are_weak_and_turned_with_their_rotation(drawn, box):
    done = drawn(_shape("box", xtl=4, ytl=5, xbr=10, ybr=7, rotation=90))
    assert done.records["images/a.png"].weak_labels == ["dent"]
    np.testing.assert_array_equal(done.defects("images/a.png"), box(3, 9, 6, 8, 255))


@pytest.mark.parametrize("item", [_shape("points", points="3,4"), _shape("tag")])
def test_points_and_tags_label_the_image(drawn, item):
    done = drawn(item)
    assert done.records["images/a.png"].weak_labels == ["dent"]
    assert (done.defects("images/a.png") == 255).all()
    assert not done.report.findings


@pytest.mark.parametrize(
    "item",
    [
        _shape("polygon", points="1,2;3"),
        _shape("polygon", points="1,2;3,4"),
        _shape("polygon", points="1,2;3,nan;5,6"),
        _shape("polygon", points="1,2;3,4;99999,6"),
        _shape("polygon"),
        _shape("box", xtl=4, ytl="x", xbr=10, ybr=7),
        _shape("box", xtl=4),
        _shape("ellipse", cx="inf", cy=6, rx=1, ry=1),
        _shape("ellipse", cx=8, cy=6, rx=1, ry=1, rotation="nan"),
        _shape("mask", rle="1,2", left=0, top=0, width=4, height=3),
        _shape("mask", rle="-1,13", left=0, top=0, width=4, height=3),
        _shape("mask", rle="", left=0, top=0, width=4, height=3),
        _shape("mask", rle="99999999999999999999", left=0, top=0, width=4, height=3),
        _shape("mask", rle="12", left="inf", top=0, width=4, height=3),
        _shape("mask", rle="16000000000000", left=0, top=0, width=4000000, height=4000000),
    ],
)
def test_a_damaged_shape_labels_its_image(drawn, item):
    done = drawn(item)
    assert done.records["images/a.png"].weak_labels == ["dent"]
    assert done.files("unreadable labels") == ["images/a.png"]


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (_shape("polygon", points="20,20;24,20;24,24"), "shape without area"),
        (_shape("mask", rle="0,4", left=20, top=20, width=2, height=2), "shape without area"),
        (_shape("cuboid", xtl1=3), "unknown shape"),
    ],
)
def test_a_shape_without_pixels_labels_its_image(drawn, item, kind):
    done = drawn(item)
    assert done.records["images/a.png"].weak_labels == ["dent"]
    assert done.kinds() == [kind]


def test_images_are_found_and_missing_ones_reported(source, put, picture, box, imported):
    for i, name in enumerate(["images/lot/a.png", "b.png", "c.png", "d.png", "e.png"]):
        put(source / name, picture(i))
    _write(
        source,
        _image("lot/a.png", _shape("polygon", points=SQUARE)),
        _image("b.png"),
        _image("c.png", _shape("tag", "good")),
        _image("d.png", size=(99, 12)),
        _image("gone.png"),
        _image("../../etc/e.png"),
    )
    (source / "broken.xml").write_text("<annotations><image")
    done = imported(source)
    np.testing.assert_array_equal(done.defects("images/lot/a.png"), box(3, 7, 4, 9, 1))
    assert done.data.schema.defect_names == ["dent"]
    for name in ("b.png", "c.png"):
        assert (done.records[name].labels, done.records[name].excluded) == ([], None)
    assert "99 x 12" in done.records["d.png"].excluded
    assert "no CVAT file" in done.records["e.png"].excluded
    assert done.files("missing image") == ["annotations.xml"]
    assert done.files("path outside the folder") == ["annotations.xml"]
    assert done.files("unreadable labels") == ["broken.xml"]
