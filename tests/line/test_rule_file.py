"""Reading a rules file: what is wrong is named, with the nearest name; what it means is told."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.line.rules import AcceptanceRules
from flawsmith.line.rules.rule_file import MAX_BYTES, parse_rules
from flawsmith.line.rules.words import number
from flawsmith.line.rules.zones import Zone

SCHEMA = Schema(
    name="tiles",
    backgrounds=make_backgrounds(["tile"]),
    defects=make_defects(["crack", "blowhole"]),
)
RULE = '[[rules]]\nname = "r"\nverdict = "FAIL"\n'
VIEWS = '[part]\nviews = ["a", "b", "c"]\n'
ZONES = '[[zones]]\nname = "edge"\nbox = [0, 0, 9, 9]\n'

WRONG = {
    "no rules": ('name = "x"', "'rules' is missing"),
    "empty list of rules": ("rules = []", "'rules' = []: list should have at least 1 item"),
    "rules as a table": ("[rules]\na = 1", "'rules' is no list of tables; write each as [[rules]]"),
    "unknown table": (RULE + "[parts]\n", "unknown key 'parts'; did you mean 'part'?"),
    "unknown key": (RULE + 'lenght_mm = "> 1"',
        "[[rules]] number 1 (r): unknown key 'lenght_mm'; did you mean 'length_mm'?"),
    "every wrong rule": (RULE + "x = 1\n" + RULE + "verdit = 1\n", "[[rules]] number 2 (r)"),
    "no verdict": ('[[rules]]\nname = "r"', "'verdict' is missing"),
    "verdict PASS": (RULE.replace("FAIL", "PASS"), "input should be 'FAIL' or 'REVIEW'"),
    "a limit without a sign": (RULE + "length_px = 10", "expected a sign and a number in quotes"),
    "a limit of infinity": (RULE + 'length_px = "> 1e999"', "expected a sign and a number"),
    "an upper limit in a rule": (RULE + 'length_px = "< 10"', "write '> ...' or '>= ...'"),
    "an upper count": (RULE + 'count = "< 10"', "write '> ...' or '>= ...'"),
    "no count": (RULE + 'count = ">= 0"', "a rule needs at least one region"),
    "a lower limit to ignore": ('[[ignore]]\nname = "i"\nscore = "> 0.1"\n' + RULE,
        "what is ignored lies below a limit"),
    "ignoring everything": ('[[ignore]]\nname = "i"\n' + RULE, "it would ignore every defect"),
    "unknown class": (RULE + 'type = "crak"', "there is no class 'crak'; did you mean 'crack'?"),
    "unknown class of a threshold": ("[thresholds]\ncrak = 0.1\n" + RULE,
        "thresholds: there is no class 'crak'; did you mean 'crack'?"),
    "a score above 1": ("[thresholds]\ncrack = 1.1\n" + RULE, "is not between 0 and 1"),
    "two thresholds of a class": ("[thresholds]\ncrack = 0.1\nCrack = 0.2\n" + RULE,
        "two thresholds are called 'crack'"),
    "unknown zone": (ZONES + RULE + 'zone = "egde"',
        "rule 'r': there is no zone 'egde'; did you mean 'edge'? (known: 'edge')"),
    "unknown zone not to inspect": ('[part]\ndo_not_inspect = ["edge"]\n' + RULE,
        "do_not_inspect: there is no zone 'edge' (known: none)"),
    "unknown view": (VIEWS + RULE + 'views = ["d"]', "there is no view 'd'"),
    "unknown view of a zone": (VIEWS + ZONES + 'view = "d"\n' + RULE, "there is no view 'd'"),
    "two views of one name": (VIEWS.replace('"b"', '"a"') + RULE, "two views are called 'a'"),
    "two rules of one name": (RULE + RULE, "two rules are called 'r'"),
    "the name of a check": (RULE.replace('"r"', '"missing view"'), "a check that is always made"),
    "k of another n": (VIEWS + RULE + 'over_views = "2 of 4"', "but it looks at 3 views"),
    "k above n": (VIEWS + RULE + 'over_views = "4 of 3"', "but it looks at 3 views"),
    "k of n of some views": (VIEWS + RULE + 'views = ["a", "b"]\nover_views = "2 of 3"',
        "but it looks at 2 views"),
    "k of n without views": (RULE + 'over_views = "2 of 3"', "needs the views of a part"),
    "nonsense over views": (VIEWS + RULE + 'over_views = "most"', "string should match"),
    "a view that may be missing": ('[part]\nnot_inspected = "PASS"\n' + RULE,
        "input should be 'FAIL' or 'REVIEW'"),
    "no time": ("[part]\ntimeout_seconds = 0\n" + RULE, "should be greater than 0"),
    "mm without calibration": (RULE + 'area_mm2 = "> 1"',
        "rule 'r': it needs mm, and tiles has no calibration"),
    "mm to ignore without calibration": ('[[ignore]]\nname = "i"\nlength_mm = "< 1"\n' + RULE,
        "rule 'i': it needs mm, and tiles has no calibration"),
    "a zone without shape": ('[[zones]]\nname = "edge"\n' + RULE, "a zone needs either a box"),
    "a zone with two shapes": (ZONES + "located = true\n" + RULE, "a zone needs either a box"),
    "a flat box": (ZONES.replace("9, 9", "9, 0") + RULE, "must be above 0"),
    "crossing sides": (ZONES.replace("box = [0, 0, 9, 9]", "polygon=[[0,0],[9,9],[9,0],[0,9]]")
        + RULE, "two sides of the polygon cross each other"),
    "a polygon of no area": (ZONES.replace("box = [0, 0, 9, 9]", "polygon=[[0,0],[9,9],[3,3]]")
        + RULE, "the polygon has no area"),
    "a newer format": ("format_version = 2\n" + RULE, "'format_version' = 2: input should be 1"),
    "no TOML": ("rules = [", "is not a TOML file"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_refused(text, message, tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(FlawsmithError) as refused:
        AcceptanceRules.load(path, SCHEMA)
    assert message in str(refused.value)
    assert all(line.startswith(str(path)) for line in str(refused.value).splitlines())


def test_missing_and_endless_files_are_refused(tmp_path):
    with pytest.raises(FlawsmithError, match=r"cannot read the rules .*No such file"):
        AcceptanceRules.load(tmp_path / "none.toml")
    with pytest.raises(FlawsmithError, match="is no rules file"):
        AcceptanceRules.load(tmp_path)
    (tmp_path / "large.toml").write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(FlawsmithError, match="is no rules file"):
        AcceptanceRules.load(tmp_path / "large.toml")


def test_classes_are_checked_without_a_model(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text('classes = ["crack"]\n' + RULE + 'type = "crak"')
    with pytest.raises(FlawsmithError, match="did you mean 'crack'"):
        AcceptanceRules.load(path)
    path.write_text(RULE + 'type = "whatever"')
    assert AcceptanceRules.load(path).classes == []


def test_a_class_called_any_cannot_be_told_from_all():
    schema = SCHEMA.model_copy(update={"defects": make_defects(["any"])})
    with pytest.raises(FlawsmithError, match="cannot be told from all classes"):
        AcceptanceRules(parse_rules(tomllib.loads(RULE), source="r"), schema)


def identity(text):
    return parse_rules(tomllib.loads(text), source="rules.toml").identity


def test_identity_is_of_the_content():
    text = VIEWS + RULE + 'length_px = "> 10"\n'
    assert len(identity(text)) == 16
    assert identity("# a comment\n" + text.replace('"> 10"', '">10.0"')) == identity(text)
    rules, views = text.split("[[rules]]")[1], text.split("[[rules]]")[0]
    assert identity("[[rules]]" + rules + views) == identity(text)
    for changed in ('"> 10.1"', '">= 10"'):
        assert identity(text.replace('"> 10"', changed)) != identity(text)
    assert identity(text.replace("FAIL", "REVIEW")) != identity(text)


def test_everything_is_explained():
    text = ZONES + (
        '[part]\nviews = ["a", "b"]\ntimeout_seconds = 2\ndo_not_inspect = ["edge"]\n'
        "[thresholds]\ncrack = 0.1\nany = 0.25\n"
        '[[ignore]]\nname = "small"\nlength_px = "<= 20"\n'
        '[[rules]]\nname = "long"\ntype = "crack"\nlength_px = ">= 30"\nwidth_px = "> 2"\n'
        'zone = "edge"\nviews = ["a"]\ncount = "> 3"\nverdict = "FAIL"\n'
        '[[rules]]\nname = "two"\ntype = "crack"\nover_views = "2 of 2"\nverdict = "REVIEW"\n'
    )
    lines = AcceptanceRules(parse_rules(tomllib.loads(text), source="r"), SCHEMA).explain()
    assert lines[:-1] == [
        "a part has 2 views: a, b",
        "REVIEW: a view is missing, late or could not be inspected",
        "a part waits 2 s for its views",
        "crack counts from score 0.1",
        "every other class counts from score 0.25",
        "nothing counts that lies wholly in zone edge; it is logged",
        "ignored by 'small', but logged: any defect, at most 20 px long",
        "FAIL by 'long': crack, 30 px or more long and more than 2 px wide, in zone edge, in view "
        "a; more than 3 of these in any one view",
        "REVIEW by 'two': crack; one or more of these in each of 2 of 2 views",
        "REVIEW: any blowhole, as no rule speaks of it",
    ]
    assert lines[-1].startswith("never PASS, whatever the rules")
    plain = AcceptanceRules(parse_rules(tomllib.loads(RULE), source="r"), SCHEMA).explain()
    assert "no size limit: no region is too small to count" in plain
    assert "every region counts at any score that the model reports" in plain
    assert "a missing one goes unnoticed" in plain[0]


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (12.34, None, "12.3"),
        (10.04, 10.0, "10.04"),
        (10.0, 10.0, "10"),
        (9.999999, 10.0, "9.999999"),
        (0.0, None, "0"),
        (1234.5, 10.0, "1234"),
        (99.96, None, "100"),
        (0.9128, None, "0.913"),
        (0.0001, None, "0"),
        (0.0001, 0.0, "0.0001"),
    ],
)
def test_numbers_show_why(value, limit, text):
    assert number(value, limit) == text


def inside(zone, x, y):
    """Even-odd rule: how many sides a ray to the right crosses."""
    corners = zone.corners
    odd = False
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            odd = not odd
    return odd


SHAPES = [
    {"box": (3, 2, 5, 6)},
    {"polygon": [(1, 1), (11, 2), (6, 5), (10, 11), (2, 9)]},
    {"polygon": [(0, 0), (12, 0), (12, 12), (8, 12), (8, 4), (4, 4), (4, 12), (0, 12)]},
    {"polygon": [(6, 0.5), (11.5, 6), (6, 11.5), (0.5, 6)]},
]


@given(
    st.sampled_from(SHAPES),
    st.tuples(st.integers(-2, 13), st.integers(-2, 13), st.integers(1, 6), st.integers(1, 6)),
)
def test_zones_against_a_fine_grid_of_points(shape, box):
    zone = Zone(name="z", **shape)
    x, y, width, height = box
    # Irrational steps: no point lies on a side of a shape.
    points = [
        (x + (i + 0.4142135) / 8, y + (j + 0.5772156) / 8)
        for i in range(8 * width)
        for j in range(8 * height)
    ]
    found = [inside(zone, *point) for point in points]
    if any(found):
        assert zone.touches(box)
    if not all(found):
        assert not zone.covers(box)
    if zone.covers(box):
        assert zone.touches(box)
    grown = (x - 1, y - 1, width + 2, height + 2)
    if not zone.touches(grown):
        assert not zone.touches(box)


def test_zones_at_their_edges():
    zone = Zone(name="z", box=(10, 10, 20, 20))
    assert zone.covers((10, 10, 20, 20))
    assert not zone.covers((9, 10, 20, 20))
    assert zone.touches((0, 0, 11, 11))
    assert not zone.touches((0, 0, 10, 10))
    far = Zone(name="z", box=(0, 0, 100, 1e6))
    assert far.covers((99, 199_999, 1, 1))
    assert not far.touches((100, 199_999, 1, 1))
