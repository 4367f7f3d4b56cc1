"""Patterns over file names: part, view and class of an image."""

import numpy as np
import pytest

from flawsmith.errors import FlawsmithError


def test_patterns_give_part_view_and_class(source, class_folders, imported):
    class_folders(source, ["x/p1_top_dent.png", "x/p1_side_ok.png", "y/p2_top_dent.png"])
    done = imported(
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


def test_class_pattern_names_what_a_mask_shows_and_good_drops_it_aloud(
    source, put, picture, box, imported
):
    for i, name in enumerate(["dent_1", "ok_2"]):
        put(source / f"images/{name}.png", picture(i))
        put(source / f"masks/{name}.png", box(1, 4, 1, 4))
    done = imported(source, class_pattern=r"([a-z]+)_\d")
    assert done.data.schema.defect_names == ["dent"]
    np.testing.assert_array_equal(done.defects("images/dent_1.png"), box(1, 4, 1, 4, value=1))
    assert not done.defects("images/ok_2.png").any()
    assert done.files("contradiction") == ["images/ok_2.png"]


def test_pattern_that_misses_some_images_is_told(source, class_folders, imported):
    class_folders(source, ["OK/p1.png", "OK/other.png", "dent/p2.png"])
    done = imported(source, part_pattern=r"(p\d)")
    assert done.files("no part") == ["OK/other.png"]
    assert done.report.parts == 3


@pytest.mark.parametrize(
    ("pattern", "message"),
    [(r"lot(\d+)", "matches none of 3 images"), (r"p\d", "no group"), ("(", "regular expression")],
)
def test_useless_pattern_is_an_error_and_leaves_nothing(
    source, pattern, message, class_folders, imported
):
    class_folders(source)
    with pytest.raises(FlawsmithError, match=message):
        imported(source, part_pattern=pattern)
    assert [path.name for path in source.parent.iterdir()] == ["source"]


def test_without_pattern_the_user_is_warned_of_leaking_views(source, class_folders, imported):
    class_folders(source)
    done = imported(source)
    assert done.report.parts == 3
    assert any("--part-pattern" in note for note in done.report.notes)
