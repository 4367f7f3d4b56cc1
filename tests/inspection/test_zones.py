import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flawsmith.data.images import write_image
from flawsmith.data.pouch import render_frame, schema
from flawsmith.data.pouch.piece import make_piece
from flawsmith.data.schema import PixelSize
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.findings import Findings
from flawsmith.inspection.part_location import SQUARE, PartLocation, PartNotFoundError
from flawsmith.inspection.regions import Region, find_regions
from flawsmith.inspection.zones import PartLayout, PartZones, ZonedModel, place_regions

SCHEMA = schema()
HERE = PartLocation(origin=(0, 0), angle=0, unit="px", pixel_size=SQUARE, confidence=1)


def _regions(mask, class_id=1):
    indices = np.where(mask, class_id, 0).astype(np.uint8)
    planes = [indices == k for k in range(SCHEMA.num_defects + 1)]
    return find_regions(indices, np.stack(planes).astype(np.float32), SCHEMA)


def _box(x, y, width, height):
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def _layout(zones=(), masks=(), unit="px", **locate):
    return PartLayout.model_validate(
        {
            "unit": unit,
            "locate": locate or {"method": "edges", "size": (300, 200)},
            "zones": [{"name": name, "polygon": polygon} for name, polygon in zones],
            "masks": [{"name": "mask", "polygon": polygon} for polygon in masks],
        }
    )


def _placed(mask, layout, location=HERE):
    (region,) = place_regions(_regions(mask), layout, location)
    return region


def _square(size=100, begin=40, end=60):
    mask = np.zeros((size, size), bool)
    mask[begin:end, begin:end] = True
    return mask


def test_shares_of_a_square_in_halves_and_wholes():
    # Pixels 40 to 59, grown by one: 39 to 60 are 22 a side.
    zones = [
        ("left", _box(0, 0, 49.5, 99)),
        ("all", _box(38.5, 38.5, 22, 22)),
        ("touched", _box(60, 60, 30, 30)),
        ("far", _box(62, 62, 30, 30)),
        ("left", _box(49.5, 0, 2, 99)),
    ]
    region = _placed(_square(), _layout(zones))
    assert region.zone == "left"  # both polygons of it: the centroid is at 49.5
    assert region.zone_shares == pytest.approx({"left": 13 / 22, "all": 1.0, "touched": 1 / 484})
    assert region.zone_shares["all"] == 1.0
    assert (region.part_position, region.part_unit) == ((49.5, 49.5), "px")
    assert region.masked_share == 0.0


def test_a_mask_hides_a_region_only_with_a_pixel_to_spare():
    for margin, share in ((1.5, 1.0), (0.5, 400 / 484), (-3, 13.5**2 / 484)):
        mask = _box(40 - margin, 40 - margin, 19 + 2 * margin, 19 + 2 * margin)
        region = _placed(_square(), _layout(masks=[mask]))
        assert region.masked_share == pytest.approx(share, abs=0.05)
        assert (region.masked_share == 1.0) == (margin == 1.5)
    # Two masks side by side hide as one does.
    halves = [_box(30, 30, 20, 40), _box(50, 30, 20, 40)]
    assert _placed(_square(), _layout(masks=halves)).masked_share == 1.0


def test_a_bay_of_a_mask_does_not_hide():
    bay = [(0, 0), (99, 0), (99, 99), (0, 99), (0, 52), (50, 52), (50, 48), (0, 48)]
    region = _placed(_square(), _layout(masks=[bay]))
    assert 0.8 < region.masked_share < 1.0


@settings(max_examples=40)
@given(st.floats(-180, 180), st.integers(0, 1000))
def test_shares_are_those_of_drawn_polygons_however_the_part_lies(angle, seed):
    generator = np.random.default_rng(seed)
    polygon = cv2.convexHull(generator.uniform(-40, 40, (6, 2)).astype(np.float32))[:, 0]
    location = PartLocation(
        origin=(50.3, 47.8), angle=angle, unit="mm", pixel_size=PixelSize(x=1.0, y=0.7),
        confidence=1,
    )  # fmt: skip
    layout = _layout([("z", polygon.astype(float).tolist())], unit="mm")
    region = _placed(_square(), layout, location)
    # Reference: each pixel's middle by itself, in part coordinates.
    y, x = np.mgrid[39:61, 39:61]
    places = location.to_part(np.stack([x.ravel(), y.ravel()], axis=1).astype(float))
    inside = [
        cv2.pointPolygonTest(polygon, (float(u), float(v)), measureDist=False) > 0
        for u, v in places
    ]
    assert region.zone_shares.get("z", 0.0) == pytest.approx(np.mean(inside), abs=1 / 484)


def test_a_region_from_an_older_file_counts_with_its_box():
    (region,) = _regions(_square())
    old = region.model_copy(update={"polygon": [], "rotated_box": None})
    (placed,) = place_regions([old], _layout([("all", _box(30, 30, 40, 40))]), HERE)
    assert placed.zone_shares == {"all": 1.0}


def test_zones_move_with_a_pouch_cell():
    seed, part, height, width = 5, 3, 700, 1200
    image, found = render_frame(seed, part, 0, height, width, defects=["groove", "white_dot"])
    left, top, right, bottom = make_piece(seed, part, height, width).box
    size = ((right - left) / 2, (bottom - top) / 2)  # half a millimetre a pixel
    zones = [("left", _box(0, 0, size[0] / 2, size[1])), ("rim", _box(0, 0, size[0], 45))]
    layout = _layout(zones, unit="mm", method="edges", size=size)
    angle, shift = 4.0, (17, -12)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle, 1)
    matrix[:, 2] += shift
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    labels = cv2.warpAffine(found.defects, matrix, (width, height), flags=cv2.INTER_NEAREST)
    pixel_size = SCHEMA.pixel_size_mm
    located = PartZones(layout, _locator(layout, pixel_size))
    placed = []
    for seen, defects in ((image, found.defects), (turned, labels)):
        planes = np.stack([defects == k for k in range(7)]).astype(np.float32)
        every = located.place(seen, find_regions(defects, planes, SCHEMA))
        placed.append([max((r for r in every if r.class_id == k), key=_area) for k in (1, 5)])
    for before, after in zip(*placed, strict=True):
        assert after.part_unit == "mm"
        assert math.dist(before.part_position, after.part_position) < 0.5  # one pixel
        assert after.zone == before.zone
        assert after.zone_shares == pytest.approx(before.zone_shares, abs=0.1)
        assert math.dist(before.centroid, after.centroid) > 10


def _area(region):
    return region.area_px


def _locator(layout, pixel_size):
    from flawsmith.inspection.part_edges import EdgeLocator

    return EdgeLocator(layout.locate, pixel_size, layout.unit)


class _Model:
    def inspect(self, image):
        return Findings(
            _regions(_square()), image.shape[1], image.shape[0], warnings=["first"],
            seconds={"network": 1.0},
        )  # fmt: skip


def test_a_part_that_is_not_found_is_a_warning_and_no_region_has_a_zone():
    layout = _layout([("all", _box(0, 0, 300, 200))])
    model = ZonedModel(_Model(), PartZones(layout, _locator(layout, SQUARE)))
    findings = model.inspect(np.full((400, 600), 90, np.uint8))
    assert findings.warnings[0] == "first"
    assert findings.warnings[1].startswith("part not found: ")
    (region,) = findings.regions
    assert region.part_position is None
    assert (region.zone, region.zone_shares, region.masked_share) == (None, {}, 0.0)

    image = np.full((400, 600), 40, np.uint8)
    image[20:220, 20:320] = 200
    findings = model.inspect(image)
    assert findings.warnings == ["first"]
    assert findings.regions[0].zone == "all"
    assert set(findings.seconds) == {"network", "location"}


LAYOUT = """
unit = "{unit}"
[locate]
{locate}
[[zones]]
name = "seal"
polygon = [[0, 0], [10, 0], [10, 5]]
[[masks]]
name = "label"
polygon = [[2, 2], [4, 2], [4, 4]]
"""
EDGES = 'method = "edges"\nsize = [30, 20]'


def _written(tmp_path, locate=EDGES, unit="mm", text=LAYOUT):
    path = tmp_path / "part.toml"
    path.write_text(text.format(unit=unit, locate=locate))
    return path


def test_a_layout_is_read_with_its_template_beside_it(tmp_path):
    zones = PartZones.load(_written(tmp_path), PixelSize(x=0.5, y=0.25))
    assert [zone.name for zone in zones.layout.zones] == ["seal"]
    template = np.random.default_rng(0).integers(0, 255, (60, 70)).astype(np.uint8)
    write_image(tmp_path / "corner.png", template)
    locate = 'method = "template"\nimage = "corner.png"\norigin = [5, 6]'
    zones = PartZones.load(_written(tmp_path, locate, "px"), None)
    image = np.full((200, 200), 100, np.uint8)
    image[80:140, 30:100] = template
    assert zones.locator.locate(image).origin == pytest.approx((35, 86), abs=0.1)


@pytest.mark.parametrize(
    ("locate", "unit", "message"),
    [
        (EDGES, "mm", "in mm, but the model has no calibration"),
        (EDGES, "inch", "'unit' = 'inch'"),
        ('method = "magic"', "px", "magic"),
        ('method = "edges"', "px", "size' is missing"),
        (EDGES + "\nsise = 3", "px", "unknown key 'locate.edges.sise'"),
        ('method = "template"\nimage = "../secret.png"', "px", "no name of a file beside"),
        ('method = "template"\nimage = "none.png"', "px", "no image"),
    ],
)
def test_wrong_layouts_are_told(tmp_path, locate, unit, message):
    with pytest.raises(FlawsmithError, match=message):
        PartZones.load(_written(tmp_path, locate, unit), None)


def test_files_that_are_no_layout_are_told(tmp_path):
    with pytest.raises(FlawsmithError, match="cannot read the part layout"):
        PartLayout.load(tmp_path / "none.toml")
    with pytest.raises(FlawsmithError, match="is no part layout"):
        PartLayout.load(tmp_path)
    with pytest.raises(FlawsmithError, match="is no part layout"):
        PartLayout.load(_written(tmp_path, text=LAYOUT + "#" * (1 << 20)))
    with pytest.raises(FlawsmithError, match="not a TOML file"):
        PartLayout.load(_written(tmp_path, text="unit = "))
    wrong = LAYOUT.replace("[[0, 0], [10, 0], [10, 5]]", "[[0, 0], [10, 0]]")
    with pytest.raises(FlawsmithError, match="polygon"):
        PartLayout.load(_written(tmp_path, text=wrong))
    assert issubclass(PartNotFoundError, FlawsmithError)
    assert Region.model_fields["masked_share"].default == 0.0
