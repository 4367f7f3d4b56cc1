"""Draw the pictures of docs/regions.md: python docs/images/make_regions.py."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch import render_frame, render_tile, schema
from flawsmith.data.pouch.piece import make_piece
from flawsmith.inspection.part_edges import EdgeLocator, EdgeSettings
from flawsmith.inspection.part_location import PartLocation
from flawsmith.inspection.regions import Region, find_regions
from flawsmith.inspection.zones import PartLayout, place_regions

OUT = Path(__file__).parent
SEED, PART, HEIGHT, WIDTH = 5, 3, 700, 1200
SCALE = 3
BOX, ROTATED, POLYGON, ZONE, MASK = (
    (255, 255, 255), (0, 159, 230), (233, 180, 86), (115, 158, 0), (0, 94, 213),
)  # fmt: skip
Picture = NDArray[np.uint8]


def regions_of(labels: NDArray[np.uint8]) -> list[Region]:
    """Return the regions of a label map, as if a model had found just that."""
    planes = [labels == k for k in range(schema().num_defects + 1)]
    scores = np.stack(planes).astype(np.float32)
    return find_regions(labels, scores, schema(), relative_uncertainty=0.01)


def draw(picture: Picture, places: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    """Draw a closed polygon; (0, 0) is the middle of the first pixel before enlargement."""
    points = np.rint(places * 16).astype(np.int32)
    cv2.polylines(picture, [points], True, colour, 2, cv2.LINE_AA, shift=4)


def enlarged(region: Region, image: NDArray[np.uint8]) -> Picture:
    """Return an image, enlarged, with box, rotated box, polygon and centroid of a region."""
    grey = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    picture: Picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)

    def up(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return (places + 0.5) * SCALE - 0.5

    x, y, w, h = region.box
    around = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]) - 0.5
    draw(picture, up(around), BOX)
    turned = region.rotated_box
    if turned is not None:
        box = ((turned.x, turned.y), (turned.length, turned.width), turned.angle)
        draw(picture, up(cv2.boxPoints(box).astype(np.float64)), ROTATED)
    draw(picture, up(np.array(region.polygon, np.float64)), POLYGON)
    x, y = np.rint(up(np.array(region.centroid))).astype(int).tolist()
    cv2.drawMarker(picture, (x, y), BOX, cv2.MARKER_CROSS, 12, 2)
    return picture


def measures_picture() -> Picture:
    """Return a groove, a folding, a leakage and a spore with what is measured of them."""
    columns = []
    for part, name in enumerate(("groove", "folding", "leakage", "spore"), start=31):
        image, found = render_tile(2, part, 0, name)
        region = max(regions_of(found.defects), key=lambda r: r.area_px)
        columns.append(cv2.copyMakeBorder(enlarged(region, image), 3, 3, 3, 3, 0, value=BOX))
        print(
            f"{name}: {region.length_mm:.1f} +- {region.length_mm_u95:.1f} mm long, "
            f"{region.width_mm:.1f} +- {region.width_mm_u95:.1f} mm wide, diameter "
            f"{region.diameter_mm:.1f} +- {region.diameter_mm_u95:.1f} mm, "
            f"{region.area_mm2:.0f} +- {region.area_mm2_u95:.0f} mm2, "
            f"{len(region.polygon)} corners"
        )
    picture: Picture = np.hstack(columns)
    return picture


def layout() -> PartLayout:
    """Return zones and a mask of the cell in mm."""
    left, top, right, bottom = make_piece(SEED, PART, HEIGHT, WIDTH).box
    width, height = (right - left) / 2, (bottom - top) / 2
    return PartLayout.model_validate(
        {
            "unit": "mm",
            "locate": {"method": "edges", "size": (width, height)},
            "zones": [
                {"name": "cup", "polygon": _box(25, 25, width - 50, height - 50)},
                {"name": "part", "polygon": _box(0, 0, width, height)},
            ],
            "masks": [{"name": "print", "polygon": _box(58, 112, 155, 24)}],
        }
    )


def _box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def zones_picture() -> Picture:
    """Return a cell, and the same cell moved, with what the layout says of them."""
    image, found = render_frame(SEED, PART, 0, HEIGHT, WIDTH, defects=["groove", "white_dot"])
    matrix = cv2.getRotationMatrix2D(((WIDTH - 1) / 2, (HEIGHT - 1) / 2), -6.0, 1)
    matrix[:, 2] += (30, -20)
    size = (WIDTH, HEIGHT)
    moved = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    labels = cv2.warpAffine(found.defects, matrix, size, flags=cv2.INTER_NEAREST)
    columns = []
    plan = layout()
    pixel_size = schema().pixel_size_mm
    assert pixel_size is not None
    assert isinstance(plan.locate, EdgeSettings)
    locator = EdgeLocator(plan.locate, pixel_size, "mm")
    for seen, defects in ((image, found.defects), (moved, labels)):
        location = locator.locate(seen)
        regions = place_regions(regions_of(defects), plan, location)
        columns.append(cv2.copyMakeBorder(_placed(seen, location, plan, regions), 3, 3, 3, 3, 0))
        for region in sorted(regions, key=lambda r: -r.area_px)[:2]:
            x, y = region.part_position or (0.0, 0.0)
            hidden = f"{region.masked_share:.0%} in the mask"
            print(f"{region.class_name} at {x:.1f}, {y:.1f} mm, zone {region.zone}, {hidden}")
        print(f"angle {location.angle:.2f}, confidence {location.confidence:.2f}")
    both = np.hstack(columns)
    half: Picture = cv2.resize(both, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return half


def _placed(
    image: NDArray[np.uint8], location: PartLocation, plan: PartLayout, regions: list[Region]
) -> Picture:
    picture: Picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    for colour, polygons in ((ZONE, plan.zones), (MASK, plan.masks)):
        for zone in polygons:
            draw(picture, location.to_image(np.array(zone.polygon)), colour)
    axes = location.to_image(np.array([(0, 0), (60, 0), (0, 60)], np.float64))
    for end in axes[1:]:
        points = [tuple(np.rint(p).astype(int).tolist()) for p in (axes[0], end)]
        cv2.arrowedLine(picture, points[0], points[1], BOX, 3, cv2.LINE_AA)
    for region in regions:
        x, y, w, h = region.box
        cv2.rectangle(picture, (x - 8, y - 8), (x + w + 8, y + h + 8), ROTATED, 2, cv2.LINE_AA)
    return picture


def main() -> None:
    """Write regions.png and zones.png beside this script, and print what is measured."""
    best = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    cv2.imwrite(str(OUT / "regions.png"), measures_picture(), best)
    cv2.imwrite(str(OUT / "zones.png"), zones_picture(), best)


if __name__ == "__main__":
    main()
