from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.errors import FlawsmithError
from flawsmith.line.part_pattern import PartPattern


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("{part}_{view}.png", "in/a_b_left.png", ("a_b", "left")),
        ("{view}_{part}.png", "in/left_a_b.png", ("a_b", "left")),
        ("{part}.*", "/data/in/17.tiff", ("17", "")),
        ("{part}/{view}.png", "in/17/left.png", ("17", "left")),
        ("*/{part}-*.png", "x/y/17-3-4.png", ("17-3", "")),
        ("cam {view} {part}.bmp", "cam 2 é(1).bmp", ("é(1)", "2")),
        ("{part}_{view}.png", "in/left.png", None),
        ("{part}_{view}.png", "in/a_left.PNG", None),
        ("{part}/{view}.png", "left.png", None),
        # Names that would lead elsewhere, or do harm where they are shown.
        ("{part}/{view}.png", "../left.png", None),
        ("{part}_{view}.png", ".._left.png", None),
        ("{part}.png", "a\x1b[2J.png", None),
        ("{part}.png", "a\nb.png", None),
        ("{part}.png", "\udcff.png", None),
        ("{part}.png", "x" * 201 + ".png", None),
    ],
)
def test_names(pattern, path, names):
    assert PartPattern(pattern).names(PurePosixPath(path)) == names


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{view}.png", "it needs {part} once"),
        ("{part}_{part}.png", "it needs {part} once"),
        ("{part}_{view}_{view}.png", "{view} at most once"),
        ("{part}_{camera}.png", "braces stand around"),
        ("{part}{view}.png", "has to stand between"),
        ("{part}*.png", "has to stand between"),
        ("../{part}.png", "every component needs a name"),
        ("/{part}.png", "every component needs a name"),
        ("{part}/", "every component needs a name"),
        ("*a*b*{part}", "two \\* are enough"),
        ("", "it needs {part} once"),
    ],
)
def test_wrong_patterns_are_told(pattern, said):
    with pytest.raises(FlawsmithError, match=said):
        PartPattern(pattern)


@given(st.text("ab_.", max_size=40))
def test_what_fits_is_put_together_again(name):
    names = PartPattern("{part}_{view}.png").names(PurePosixPath("in", f"{name}.png"))
    if names is not None:
        assert "_".join(names) == name
        assert "_" not in names[1] or name.endswith("_")


def test_a_hostile_name_takes_no_time():
    # Exponential matching would not end.
    name = PurePosixPath("_" * 250 + ".jpg")
    assert PartPattern("*_{part}_{view}_*.png").names(name) is None
