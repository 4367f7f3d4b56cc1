"""The example of docs/rules.md is valid and decides what the page says."""

import re
import tomllib
from pathlib import Path

import pytest

from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.inspection.regions import Region
from flawsmith.line.results import ImageInspection, Novelty
from flawsmith.line.rules import AcceptanceRules
from flawsmith.line.rules.checks import CHECKS
from flawsmith.line.rules.rule_file import MEASURES, parse_rules

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
CLASSES = ["crack", "dent", "stain"]
SCHEMA = Schema(
    name="pouch",
    pixel_size_mm=PixelSize(x=0.05, y=0.05),
    backgrounds=make_backgrounds(["cell"]),
    defects=make_defects(CLASSES),
)


def region(kind, mm, *, y=400, **values):
    px = 20 * mm
    usual = {
        "class_id": CLASSES.index(kind) + 1, "class_name": kind, "score": 0.9,
        "box": (300, y, round(px), round(px)), "centroid": (300, y), "area_px": round(px * px),
        "length_px": px, "width_px": px, "diameter_px": px, "length_mm": mm, "width_mm": mm,
        "diameter_mm": mm, "area_mm2": mm * mm,
    }  # fmt: skip
    return Region(**(usual | values))


def image(view, *regions, **values):
    usual = {"image": f"{view}.png", "sha256": view, "part": "p", "view": view, "model": "m",
             "width": 2000, "height": 1000, "regions": list(regions)}  # fmt: skip
    return ImageInspection(**(usual | values))


TOP, BOTTOM = image("top"), image("bottom")
LONG = image("top", region("crack", 12.3))
EXPIRED = ["the calibration of 2025-01-01 was valid until 2026-01-01"]
FOUND = {
    "nothing in both views": [TOP, BOTTOM],
    "top: crack 12.3 mm": [LONG, BOTTOM],
    "top: crack 7 mm": [image("top", region("crack", 7)), BOTTOM],
    "top: crack 9.9 mm, known to 0.2 mm":
        [image("top", region("crack", 9.9, length_mm_u95=0.2)), BOTTOM],
    "top: crack 3 mm": [image("top", region("crack", 3)), BOTTOM],
    "top: crack 3 mm in the edge": [image("top", region("crack", 3, y=99)), BOTTOM],
    "top: crack 12.3 mm with score 0.05": [image("top", region("crack", 12.3, score=0.05)), BOTTOM],
    "top: dent 9 mm²": [image("top", region("dent", 3)), BOTTOM],
    "top and bottom: dent 9 mm²":
        [image("top", region("dent", 3)), image("bottom", region("dent", 3))],
    "top: four stains of 1 mm": [image("top", *[region("stain", 1)] * 4), BOTTOM],
    "top: four stains of 0.4 mm": [image("top", *[region("stain", 0.4)] * 4), BOTTOM],
    "bottom missing": [TOP],
    "bottom missing, top: crack 12.3 mm": [LONG],
    "bottom cut off": [TOP, image("bottom", problem="the file is cut off")],
    "top: calibration expired": [image("top", warnings=EXPIRED), BOTTOM],
    "top: novelty 1.3": [image("top", novelty=Novelty(score=1.3, box=(40, 60, 9, 9))), BOTTOM],
}  # fmt: skip
ROWS = re.findall(r"^\| (.+?) \| (PASS|FAIL|REVIEW) \| (.*?) ?\|$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def rules():
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return AcceptanceRules(parse_rules(tomllib.loads(text), source="docs/rules.md"), SCHEMA)


def test_every_row_is_tested():
    assert [found for found, _, _ in ROWS] == list(FOUND)


@pytest.mark.parametrize(("found", "verdict", "reason"), ROWS, ids=[row[0] for row in ROWS])
def test_example_decides_what_the_page_says(rules, found, verdict, reason):
    result = rules.decide("p", FOUND[found])
    assert result.verdict == verdict
    assert (result.reasons[0].text if result.reasons else "") == reason


def test_what_the_example_hides_is_kept(rules):
    hidden = rules.decide("p", FOUND["top: four stains of 0.4 mm"]).hidden
    assert hidden == [
        "4 x stain in view top, up to 0.4 mm long, score up to 0.9: ignored by 'tiny stain'"
    ]
    low = rules.decide("p", FOUND["top: crack 12.3 mm with score 0.05"]).hidden
    assert low[0].endswith("below the first-stage threshold 0.1")


def test_page_names_every_limit_and_every_check():
    assert [name for name in (*MEASURES, *CHECKS) if f"`{name}`" not in PAGE] == []
