"""Class names that are slips of one name, against such as are meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.data.checks import check
from flawsmith.data.checks.names import difference, edit_distance, is_meaningless
from flawsmith.data.schema import DEFECT_COLOURS, Defect

ALIKE = [
    ("Fray", "frey", "one letter"),
    ("blow hole", "blowhole", "spaces"),
    ("Black-Dot", "black_dot", "punctuation"),
    ("blackDot", "black dot", "spaces"),
    ("scratch", "scratches", "plural"),
    ("inclusion", "inclusions", "plural"),
    ("cavity", "cavities", "plural"),
    ("inclusion", "inclusoin", "one letter"),
    ("MT_Break", "MT_Bleak", "one letter"),
    ("delamination", "delaminatoins", "two letters"),
    ("weld 2 porosity", "weld 2 porsity", "one letter"),
    ("Kratzer", "Kratzzer", "one letter"),
]

APART = [
    ("type 1", "type 2"), ("exp1", "exp2"), ("type1", "type12"), ("grade A", "grade B"),
    ("burn", "burr"), ("pit", "pin"), ("dent", "bent"), ("crack", "track"), ("cut", "cat"),
    ("black dot", "white dot"), ("weld in", "weld on"), ("inclusion", "occlusion"),
    ("inner crack", "outer crack"), ("hot spot", "cold spot"), ("overfill", "underfill"),
    ("concave", "convex"), ("scratch", "patch"), ("dot", "hot dog"), ("1", "2"), ("?", "!"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "how"), ALIKE)
def test_slips_are_found_in_either_order(first, second, how):
    assert how in difference(first, second)
    assert how in difference(second, first)


@pytest.mark.parametrize(("first", "second"), APART)
def test_names_that_are_meant_are_left_alone(first, second):
    assert difference(first, second) is None
    assert difference(second, first) is None


@pytest.mark.parametrize(
    "name", ["unnamed", "class_3", "0", "17", "defect", "Defects", "Object 4", "N/A", "???", "NG"]
)
def test_names_that_say_nothing(name):
    assert is_meaningless(name)


@pytest.mark.parametrize("name", ["scratch", "type II crack", "defect of weld", "MT_Fray", "裂纹"])
def test_names_that_say_something(name):
    assert not is_meaningless(name)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 1), ("ca", "abc", 3)],
)
def test_edit_distance_agrees_with_known_values(a, b, expected):
    assert edit_distance(a, b) == expected


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edit_distance_is_symmetric_and_bounded(a, b):
    distance = edit_distance(a, b)
    assert distance == edit_distance(b, a)
    assert (distance == 0) == (a == b)
    assert abs(len(a) - len(b)) <= distance <= max(len(a), len(b))


def test_the_check_reports_pairs_as_problems_and_placeholders_as_information(tmp_path, mask, build):
    names = ["blow hole", "blowhole", "class_3", "dent"]
    defects = [
        Defect(id=i, name=name, colour=DEFECT_COLOURS[i]) for i, name in enumerate(names, start=1)
    ]
    boxes = [(i, 8 * i, 5, 6, 6) for i in range(1, 5)]
    data = build(tmp_path, [("a", "p1", mask(*boxes), {})], defects=defects)
    placeholder, pair = check(data).findings
    assert (pair.kind, pair.file, pair.is_problem) == ("similar_class_names", "", True)
    assert "'blow hole' and 'blowhole' differ only in case, spaces" in pair.message
    assert (placeholder.kind, placeholder.is_problem) == ("meaningless_class_name", False)
    assert "'class_3'" in placeholder.message
