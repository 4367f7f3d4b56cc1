"""What acceptance rules decide: a table of cases, then what holds for all of them."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.line.results import ImageInspection, Novelty, Verdict
from flawsmith.line.rules import AcceptanceRules
from flawsmith.line.rules.checks import CHECKS
from flawsmith.line.rules.rule_file import parse_rules

SCHEMA = Schema(
    name="tiles",
    pixel_size_mm=PixelSize(x=0.1, y=0.1),
    backgrounds=make_backgrounds(["tile"]),
    defects=make_defects(["crack", "blowhole"]),
)


def make_rules(text, schema=SCHEMA):
    return AcceptanceRules(parse_rules(tomllib.loads(text), source="rules.toml"), schema)


def region(kind="crack", mm=5.0, *, score=0.9, at=(40, 40), **values):
    """A square of so many mm at 0.1 mm a pixel; None has no calibration."""
    px = 50.0 if mm is None else 10 * mm
    side = max(1, round(px))
    usual = {
        "class_id": 1 if kind == "crack" else 2, "class_name": kind, "score": score,
        "box": (*at, side, side), "centroid": (at[0] + px / 2, at[1] + px / 2),
        "area_px": side * side, "length_px": px, "width_px": px, "diameter_px": 1.128 * px,
        "area_mm2": None if mm is None else mm * mm, "length_mm": mm, "width_mm": mm,
        "diameter_mm": None if mm is None else 1.128 * mm,
    }  # fmt: skip
    return Region(**(usual | values))


def image(view="", regions=(), **values):
    usual = {
        "image": f"p1_{view}.png", "sha256": f"hash of {view}", "part": "p1", "view": view,
        "model": "m1", "width": 640, "height": 480, "regions": list(regions),
    }  # fmt: skip
    return ImageInspection(**(usual | values))


def decide(text, views, **options):
    return make_rules(text).decide("p1", views, **options)


ANY_FAILS = '[[rules]]\nname = "defect"\nverdict = "FAIL"\n'
TWO_VIEWS = '[part]\nviews = ["a", "b"]\n' + ANY_FAILS
LONG = '[[rules]]\nname = "long"\ntype = "crack"\nlength_mm = "> 10"\nverdict = "FAIL"\n'
EDGE = '[[zones]]\nname = "edge"\nbox = [0, 0, 640, 60]\n'
LOCATED = '[[zones]]\nname = "edge"\nlocated = true\n'

RULES = {
    "any region fails": (ANY_FAILS, [image(regions=[region()])], "FAIL",
        "crack with score 0.9; none allowed"),
    "longer than allowed": (LONG, [image(regions=[region(mm=12.34)])], "FAIL",
        "crack 12.3 mm long; 10 mm allowed"),
    "barely longer": (LONG, [image(regions=[region(mm=10.04)])], "FAIL",
        "crack 10.04 mm long; 10 mm allowed"),
    "as long as allowed": (LONG, [image(regions=[region(mm=10.0)])], "PASS", None),
    "at the limit of >=": (LONG.replace("> 10", ">= 10"), [image(regions=[region(mm=10.0)])],
        "FAIL", "crack 10 mm long; less than 10 mm allowed"),
    "perhaps longer": (LONG, [image(regions=[region(mm=9.9, length_mm_u95=0.2)])], "REVIEW",
        "crack 9.9 ± 0.2 mm long; 10 mm allowed: too near to the limit to tell"),
    "longer whatever the uncertainty": (LONG, [image(regions=[region(mm=10.1, length_mm_u95=3)])],
        "FAIL", "crack 10.1 ± 3 mm long; 10 mm allowed"),
    "other type": (LONG + LONG.replace("long", "wide", 1).replace('"crack"', '"blowhole"'),
        [image(regions=[region("blowhole", mm=11)])], "FAIL",
        "blowhole 11 mm long; 10 mm allowed"),
    "in the zone": (EDGE + LONG.replace('"crack"', '"crack"\nzone = "edge"'),
        [image("top", [region(mm=12, at=(0, 59))])], "FAIL",
        "crack 12 mm long in zone edge of view top; 10 mm allowed"),
    "beside the zone": (EDGE + LONG.replace('"crack"', '"crack"\nzone = "edge"'),
        [image(regions=[region(mm=12, at=(0, 60))])], "PASS", None),
    "in the located zone": (LOCATED + LONG.replace('"crack"', '"crack"\nzone = "edge"'),
        [image(regions=[region(mm=12, zone_shares={"edge": 0.01}, part_position=(1, 1))])], "FAIL",
        "crack 12 mm long in zone edge; 10 mm allowed"),
    "beside the located zone": (LOCATED + LONG.replace('"crack"', '"crack"\nzone = "edge"'),
        [image(regions=[region(mm=12, part_position=(1, 1))])], "PASS", None),
    "not located": (LOCATED + LONG.replace('"crack"', '"crack"\nzone = "edge"'),
        [image(regions=[region(mm=12)])], "REVIEW",
        "the part was not located in p1_.png, so its zones are not known"),
    "few": (ANY_FAILS.replace("verdict", 'count = "> 2"\nverdict'),
        [image(regions=[region()] * 2)], "PASS", None),
    "many": (ANY_FAILS.replace("verdict", 'count = "> 2"\nverdict'),
        [image(regions=[region()] * 3)], "FAIL",
        "3 regions, the surest: crack with score 0.9; 2 allowed"),
    "many, not in one view": (
        TWO_VIEWS.replace("verdict", 'count = "> 2"\nverdict'),
        [image("a", [region()] * 2), image("b", [region()] * 2)], "PASS", None),
    "one of two views": (
        TWO_VIEWS.replace("verdict", 'over_views = "2 of 2"\nverdict'),
        [image("a", [region()]), image("b")], "PASS", None),
    "both views": (
        TWO_VIEWS.replace("verdict", 'over_views = "2 of 2"\nverdict'),
        [image("a", [region()]), image("b", [region()])], "FAIL",
        "crack with score 0.9 in view a; none allowed (in 2 views; the rule needs 2 of 2)"),
    "all views": (
        TWO_VIEWS.replace("verdict", 'over_views = "all"\nverdict'),
        [image("a", [region()]), image("b", [region()])], "FAIL", None),
    "only in the other view": (
        TWO_VIEWS.replace("verdict", 'views = ["a"]\nverdict'),
        [image("a"), image("b", [region()])], "PASS", None),
    "the worse of two rules": (
        ANY_FAILS.replace("FAIL", "REVIEW") + LONG, [image(regions=[region(mm=11)])], "FAIL",
        "crack 11 mm long; 10 mm allowed"),
    "first stage": ("[thresholds]\ncrack = 0.3\nany = 0.6\n" + ANY_FAILS,
        [image(regions=[region(score=0.3)])], "FAIL", "crack with score 0.3; none allowed"),
    "below the first stage": ("[thresholds]\ncrack = 0.3\nany = 0.6\n" + ANY_FAILS,
        [image(regions=[region(score=0.29), region("blowhole", score=0.59)])], "PASS", None),
    "ignored": ('[[ignore]]\nname = "small"\nlength_mm = "< 10"\n' + ANY_FAILS,
        [image(regions=[region(mm=9.9)])], "PASS", None),
    "perhaps too long to ignore": ('[[ignore]]\nname = "small"\nlength_mm = "< 10"\n' + ANY_FAILS,
        [image(regions=[region(mm=9.9, length_mm_u95=0.2)])], "FAIL", None),
    "partly where nothing counts": (EDGE + '[part]\ndo_not_inspect = ["edge"]\n' + ANY_FAILS,
        [image(regions=[region(mm=5, at=(0, 11))])], "FAIL", None),
    "wholly where nothing counts": (EDGE + '[part]\ndo_not_inspect = ["edge"]\n' + ANY_FAILS,
        [image(regions=[region(mm=5, at=(0, 10))])], "PASS", None),
    "masked": (ANY_FAILS, [image(regions=[region(masked_share=1.0)])], "PASS", None),
    "masked, but for a pixel": (ANY_FAILS, [image(regions=[region(masked_share=0.99)])], "FAIL",
        None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "views", "verdict", "reason"), RULES.values(), ids=RULES)
def test_rules_decide(text, views, verdict, reason):
    result = decide(text, views)
    assert result.verdict == verdict
    assert result.part == "p1"
    assert result.rules == make_rules(text).identity
    if verdict == "PASS":
        assert result.reasons == []
    if reason:
        assert result.reasons[0].text == reason


GOOD = [image("a"), image("b")]
CASES = {
    "missing view": (GOOD[:1], "missing view", "view b is missing"),
    "no view at all": ([], "missing view", "view a is missing"),
    "unexpected view": ([*GOOD, image("c")], "unexpected view",
        "view c is none of its views (a, b)"),
    "view twice": ([*GOOD, image("b", sha256="other")], "unexpected view",
        "2 different images or answers of view b"),
    "two answers": ([*GOOD, image("b", [region()])], "unexpected view",
        "2 different images or answers of view b"),
    "one image for two views": ([image("a", sha256="x"), image("b", sha256="x")],
        "unexpected view", "one and the same image came as the views a, b"),
    "unreadable": ([GOOD[0], image("b", problem="it is cut off")], "unreadable image",
        "view b: it is cut off"),
    "late": ([GOOD[0], image("b", problem="timeout: 2 s")], "timeout", "view b: timeout: 2 s"),
    "not inspected": ([GOOD[0], image("b", model="")], "unreadable image",
        "view b: nothing says that p1_b.png was inspected"),
    "no pixels": ([GOOD[0], image("b", width=0)], "unreadable image",
        "view b: nothing says that p1_b.png was inspected"),
    "calibration": ([GOOD[0], image("b", warnings=["the calibration expired yesterday"])],
        "calibration", "view b: the calibration expired yesterday"),
    "warning": ([GOOD[0], image("b", warnings=["very dark"])], "warning", "view b: very dark"),
    "novelty": ([GOOD[0], image("b", novelty=Novelty(score=1.001, box=(7, 9, 3, 3)))], "novelty",
        "view b: unlike any good part near x 7, y 9: novelty 1.001; 1 is the limit"),
    "other part": ([GOOD[0], image("b", part="p2")], "other part",
        "view b: p1_b.png is an image of part p2"),
    "two models": ([GOOD[0], image("b", model="m2")], "model",
        "its views were inspected by different models: m1, m2"),
    "unknown class": ([GOOD[0], image("b", [region("dent", score=0.01)])], "model",
        "1 x dent in view b, up to 5 mm long, score up to 0.01: the rules are for crack, blowhole"),
    "not a number": ([GOOD[0], image("b", [region(score=float("nan"))])], "model",
        "view b: the scores or sizes of p1_b.png are not finite"),
}  # fmt: skip


@pytest.mark.parametrize("tolerant", [False, True], ids=["strict", "tolerant"])
@pytest.mark.parametrize(("views", "check", "text"), CASES.values(), ids=CASES)
def test_checks_cannot_be_switched_off(views, check, text, tolerant):
    rules = TWO_VIEWS
    if tolerant:  # rules that let everything pass
        rules = TWO_VIEWS.replace("verdict", 'score = "> 0.999"\ncount = "> 999"\nverdict')
        rules += '[[ignore]]\nname = "all"\nscore = "< 1"\n[thresholds]\nany = 1.0\n'
    result = decide(rules, views)
    assert result.verdict is not Verdict.PASS
    assert (check, text) in [(reason.rule, reason.text) for reason in result.reasons]
    assert check in CHECKS


@pytest.mark.parametrize("name", ["missing view", "unreadable", "late", "not inspected"])
def test_what_was_not_seen_can_fail_a_part(name):
    text = TWO_VIEWS.replace("views =", 'not_inspected = "FAIL"\nviews =')
    views = CASES[name][0]
    assert decide(TWO_VIEWS, views).verdict == "REVIEW"
    assert decide(text, views).verdict == "FAIL"


def test_an_awaited_view_is_never_a_pass():
    text = TWO_VIEWS.replace("views =", 'not_inspected = "FAIL"\nviews =')
    assert decide(text, GOOD[:1], missing_ok=True).verdict == "REVIEW"
    assert decide(text, [image("a", [region()])], missing_ok=True).verdict == "FAIL"
    assert decide(text, GOOD, missing_ok=True).verdict == "PASS"


def test_late_part():
    text = TWO_VIEWS.replace("views =", "timeout_seconds = 2\nviews =")
    assert make_rules(text).timeout_seconds == 2
    assert decide(text, GOOD, waited_seconds=2.0).verdict == "PASS"
    late = decide(text, GOOD, waited_seconds=2.04)
    assert late.verdict == "REVIEW"
    assert late.reasons[0].rule == "timeout"
    assert late.reasons[0].text == "its images took 2.04 s to come; 2 s are allowed"
    assert decide(text, GOOD, waited_seconds=float("nan")).verdict == "REVIEW"


def test_parts_without_names_of_views():
    assert decide(ANY_FAILS, []).reasons[0].text == "there is no image of it"
    assert decide(ANY_FAILS, [image(), image(sha256="second")]).verdict == "PASS"
    assert decide(ANY_FAILS, [image(), image("", [region()], sha256="b")]).verdict == "FAIL"
    nameless = make_rules(ANY_FAILS).decide("", [image(part="")])
    assert nameless.reasons[0].text == "it is not known which part these images belong to"
    one = '[part]\nviews = [""]\n' + ANY_FAILS
    assert decide(one, [image()]).verdict == "PASS"
    assert decide(one, [image("a")]).verdict == "REVIEW"


def test_one_image_with_two_answers_is_for_a_person():
    result = decide(ANY_FAILS.replace("verdict", 'count = "> 1"\nverdict'), [
        image(), image("", [region()])
    ])  # fmt: skip
    assert [reason.text for reason in result.reasons] == ["2 different images or answers"]


def test_a_view_that_came_twice_is_one_view():
    text = TWO_VIEWS.replace("verdict", 'over_views = "2 of 2"\nverdict')
    views = [image("a", [region()]), image("a", [region()], sha256="second"), image("b")]
    assert {reason.rule for reason in decide(text, views).reasons} == {"unexpected view"}


def test_an_image_with_a_problem_has_one_reason():
    views = [image("a"), image("b", problem="cut off", model="", width=0, sha256="")]
    assert [reason.text for reason in decide(TWO_VIEWS, views).reasons] == ["view b: cut off"]


def test_exact_copies_count_once():
    few = TWO_VIEWS.replace("verdict", 'count = "> 1"\nverdict')
    views = [image("a", [region()]), image("b")]
    copies = [view.model_copy(update={"image": "copy.png", "seconds": {"x": 1}}) for view in views]
    assert decide(few, [*views, *copies]).verdict == "PASS"


def test_a_class_without_a_rule_is_for_a_person():
    result = decide(LONG, [image(regions=[region("blowhole")] * 2)])
    assert result.verdict == "REVIEW"
    assert result.reasons[0].rule == "no rule"
    assert result.reasons[0].text == (
        "2 x blowhole, up to 5 mm long, score up to 0.9: no rule says what blowhole means"
    )
    assert result.reasons[0].regions == [0, 1]


def test_mm_without_calibration_is_for_a_person():
    result = make_rules(LONG, None).decide("p1", [image("a", [region(mm=None)])])
    assert result.verdict == "REVIEW"
    assert result.reasons[0].rule == "calibration"
    assert result.reasons[0].text == (
        "'long' needs mm, and the regions in view a have none: no calibration"
    )


def test_what_is_let_pass_is_told():
    text = EDGE + '[[ignore]]\nname = "20 px"\nlength_px = "< 20"\n[thresholds]\nany = 0.2\n'
    text += '[part]\ndo_not_inspect = ["edge"]\n' + LONG
    regions = [
        region(mm=1.5, at=(9, 300)), region(mm=1.2, score=0.5, at=(9, 300)),
        region(score=0.1, at=(9, 300)), region(at=(0, 0)), region(at=(9, 300)), region(mm=12),
    ]  # fmt: skip
    result = decide(text, [image("a", regions)])
    assert result.hidden == [
        "2 x crack in view a, up to 1.5 mm long, score up to 0.9: ignored by '20 px'",
        "1 x crack in view a, up to 5 mm long, score up to 0.1: below the first-stage threshold "
        "0.2",
        "1 x crack in view a, up to 5 mm long, score up to 0.9: do not inspect zone edge",
        "1 x crack in view a, up to 5 mm long, score up to 0.9: within what the rules allow",
    ]
    assert [reason.regions for reason in result.reasons] == [[5]]


def test_default_rules_are_those_of_the_test_of_a_model():
    rules = AcceptanceRules.default(SCHEMA, Thresholds(pixel=[0.2, 0.2], region=0.6))
    verdicts = [
        rules.decide("p1", [image(regions=[region(score=score)])]).verdict for score in (0.6, 0.59)
    ]
    assert verdicts == ["FAIL", "PASS"]
    assert rules.decide("p1", []).verdict == "REVIEW"


def test_aliases_of_a_class_mean_the_class():
    defect = SCHEMA.defects[0].model_copy(update={"aliases": ["Riss"]})
    schema = SCHEMA.model_copy(update={"defects": [defect, SCHEMA.defects[1]]})
    rules = make_rules(LONG.replace('"crack"', '"riss"') + "[thresholds]\nRISS = 0.95\n", schema)
    assert rules.decide("p1", [image(regions=[region(mm=11)])]).verdict == "PASS"
    assert rules.decide("p1", [image(regions=[region(mm=11, score=0.95)])]).verdict == "FAIL"


def test_zone_outside_the_image_is_for_a_person():
    result = decide(EDGE.replace("[0, 0", "[0, 900") + ANY_FAILS, [image()])
    assert result.reasons[0].text == "zone edge lies outside the 640 x 480 px"


LINES = st.sampled_from([
    ANY_FAILS.replace("defect", "reviewed").replace("FAIL", "REVIEW"),
    ANY_FAILS.replace("verdict", 'count = "> 1"\nverdict'),
    LONG,
    LONG.replace("long", "two", 1).replace("verdict", 'over_views = "2 of 3"\nverdict'),
    LONG.replace("long", "all", 1).replace("verdict", 'over_views = "all"\nverdict'),
    LONG.replace("long", "px", 1).replace("mm", "px"),
    LONG.replace("long", "placed", 1).replace("verdict", 'zone = "edge"\nverdict'),
    '[[ignore]]\nname = "small"\nlength_mm = "< 3"\n',
    '[[ignore]]\nname = "there"\ntype = "blowhole"\nzone = "edge"\n',
])  # fmt: skip
RULES_FILES = st.sets(LINES).map(
    lambda lines: '[part]\nviews = ["a", "b", "c"]\n' + EDGE
    + '[thresholds]\ncrack = 0.2\n' + LONG.replace("long", "basic", 1) + "".join(sorted(lines))
)  # fmt: skip
REGIONS = st.builds(
    region,
    st.sampled_from(["crack", "blowhole"]),
    st.sampled_from([0.5, 2.0, 9.0, 11.0, None]),
    score=st.sampled_from([0.1, 0.2, 0.9]),
    at=st.sampled_from([(0, 0), (300, 300)]),
    length_mm_u95=st.sampled_from([None, 1.5]),
)
IMAGES = st.builds(
    image,
    st.sampled_from(["a", "b", "c", "d"]),
    st.lists(REGIONS, max_size=4),
    sha256=st.sampled_from(["1", "2", "3", "4"]),
    warnings=st.sampled_from([[], [], [], ["calibration expired"]]),
    novelty=st.sampled_from([None, None, Novelty(score=1), Novelty(score=1.1)]),
    model=st.sampled_from(["m1", "m1", "m1", "m2", ""]),
)
BROKEN = st.builds(image, st.sampled_from(["a", "b"]), problem=st.just("cut off"))
SOME = st.lists(REGIONS, max_size=4)
GOOD_IMAGES = st.tuples(*(st.builds(image, st.just(view), SOME) for view in "abc"))
PARTS = st.one_of(st.lists(st.one_of(IMAGES, IMAGES, BROKEN), max_size=5), GOOD_IMAGES.map(list))


@given(RULES_FILES, PARTS)
def test_pass_means_that_everything_was_seen(text, views):
    result = decide(text, views)
    if result.verdict is Verdict.PASS:
        assert {view.view for view in views} == {"a", "b", "c"}
        assert not any(view.problem or view.warnings for view in views)
        assert {view.model for view in views} == {"m1"}
        assert all(view.novelty is None or view.novelty.score <= 1 for view in views)
        assert result.reasons == []


@given(RULES_FILES, PARTS, st.randoms(use_true_random=False))
def test_order_of_views_does_not_matter(text, views, random):
    shuffled = random.sample(views, len(views))
    assert decide(text, views) == decide(text, shuffled)


@given(RULES_FILES, PARTS, REGIONS, st.data())
def test_one_more_region_is_never_milder(text, views, extra, data):
    seen = [n for n, view in enumerate(views) if not view.problem]
    if not seen:
        return
    place = data.draw(st.sampled_from(seen))
    more = list(views)
    more[place] = views[place].model_copy(update={"regions": [*views[place].regions, extra]})
    assert decide(text, more).verdict.severity >= decide(text, views).verdict.severity


@given(RULES_FILES, PARTS, st.data())
def test_one_view_less_never_passes_and_is_never_milder_where_it_fails(text, views, data):
    if not views:
        return
    gone = data.draw(st.sampled_from([view.view for view in views]))
    fewer = [view for view in views if view.view != gone]
    if gone == "d":  # was none of the expected ones: without it there is one reason less
        return
    assert decide(text, fewer).verdict is not Verdict.PASS
    text = text.replace("[part]", '[part]\nnot_inspected = "FAIL"')
    assert decide(text, fewer).verdict.severity >= decide(text, views).verdict.severity


def test_rules_that_do_not_fit_the_model_are_refused():
    uncalibrated = SCHEMA.model_copy(update={"pixel_size_mm": None})
    with pytest.raises(FlawsmithError, match="'long': it needs mm, and tiles has no calibration"):
        make_rules(LONG, uncalibrated)
    with pytest.raises(FlawsmithError, match="classes dent; this one has crack, blowhole"):
        make_rules('classes = ["dent"]\n' + ANY_FAILS)
