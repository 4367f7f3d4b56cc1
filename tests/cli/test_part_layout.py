"""``flawsmith inspect --part-layout``: zones and masks that move with the part."""

import cv2
import numpy as np
import pytest
from PIL import Image

from flawsmith.inspection.exported import ExportedModel, ModelCard
from flawsmith.inspection.thresholds import Thresholds

from ..inspection.conftest import schema, write_network
from .test_inspect import flawsmith, lines

RULES = """
[[zones]]
name = "seal"
located = true
[[rules]]
name = "bright on the seal"
type = "bright"
zone = "seal"
verdict = "FAIL"
[[rules]]
name = "bright elsewhere"
type = "bright"
verdict = "REVIEW"
"""
LAYOUT = """
unit = "px"
[locate]
method = "edges"
size = [220, 140]
[[zones]]
name = "seal"
polygon = [[0, 0], [220, 0], [220, 25], [0, 25]]
[[masks]]
name = "print"
polygon = [[60, 60], [110, 60], [110, 90], [60, 90]]
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").mkdir()
    folder = tmp_path / "model"
    folder.mkdir()
    card = ModelCard(
        name="spots", backend="openvino", precision="fp32", defect_schema=schema(),
        thresholds=Thresholds(pixel=[0.5, 0.5], region=0.6), tile=64, overlap=32,
        window=(64, 64), multiple=32, code_version="0",
    )  # fmt: skip
    write_network(folder, card.defect_schema)
    ExportedModel.write(folder, card)
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "part.toml").write_text(LAYOUT)
    return tmp_path


def picture(place, name, spot=None, *, angle=0.0, shift=(0, 0), part=True):
    """Write a part at (40, 30) of the image, then turned about its middle and shifted."""
    image = np.full((200, 300), 90, np.uint8)
    if part:
        image[30:170, 40:260] = 150
    if spot:
        x, y = spot
        image[30 + y : 38 + y, 40 + x : 52 + x] = 250
    matrix = cv2.getRotationMatrix2D((149.5, 99.5), -angle, 1.0)
    matrix[:, 2] += shift
    image = cv2.warpAffine(image, matrix, (300, 200), borderMode=cv2.BORDER_REPLICATE)
    Image.fromarray(image).save(place / "in" / f"{name}.png")


def test_zones_and_masks_move_with_the_part(place):
    moved = {"angle": 4.0, "shift": (9, -6)}
    for suffix, motion in (("", {}), ("-moved", moved)):
        picture(place, f"seal{suffix}", (100, 10), **motion)
        picture(place, f"print{suffix}", (75, 70), **motion)
        picture(place, f"half{suffix}", (105, 70), **motion)
    picture(place, "lost", part=False)
    given = ["in", "--model", "model", "--rules", "rules.toml"]
    done = flawsmith(
        place, "inspect", *given, "--part-layout", "part.toml", "--part-pattern", "{part}.png"
    )
    found = {line["part"]: line for line in lines(done)}
    for suffix in ("", "-moved"):
        assert found[f"seal{suffix}"]["verdict"] == "FAIL"
        assert found[f"print{suffix}"]["verdict"] == "PASS"
        assert "do-not-inspect mask" in found[f"print{suffix}"]["hidden"][0]
        assert found[f"half{suffix}"]["verdict"] == "REVIEW"
        (region,) = found[f"half{suffix}"]["images"][0]["regions"]
        assert 0.3 < region["masked_share"] < 0.7
        assert region["part_position"] == pytest.approx((110.5, 73.5), abs=1)
        assert region["part_unit"] == "px"
    assert found["lost"]["verdict"] == "REVIEW"
    assert "part not found" in found["lost"]["reasons"][0]["text"]
    check_replay(place, found["seal-moved"]["id"])


def check_replay(place, number):
    """With the layout it is the same answer; without, model and zones are others."""
    given = ["replay", number, "--model", "model", "--rules", "rules.toml"]
    same = flawsmith(place, *given, "--part-layout", "part.toml").stdout.decode()
    assert "the same answer, FAIL" in same
    other = flawsmith(place, *given, status=1).stdout.decode()
    assert "not the same answer" in other


def test_a_wrong_layout_is_told_before_anything_is_inspected(place):
    picture(place, "a")
    (place / "part.toml").write_text(LAYOUT.replace("px", "mm"))
    done = flawsmith(
        place, "inspect", "in", "--model", "model", "--part-layout", "part.toml", status=2
    )
    assert b"calibration" in done.stderr
    assert done.stdout == b""
