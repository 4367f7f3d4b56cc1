"""Pictures of what was found: outlines, types, sizes and the verdict on the image itself."""

import math
import re
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flawsmith.data.images import ImageArray, encode_png, to_unit
from flawsmith.data.schema import Schema, rgb
from flawsmith.inspection.regions import Region
from flawsmith.line.results import ImageInspection, Verdict
from flawsmith.line.store.part_record import PartRecord
from flawsmith.storage import write_bytes

VERDICT_COLOURS = {
    Verdict.PASS: "#009e73",
    Verdict.REVIEW: "#e69f00",
    Verdict.FAIL: "#d55e00",
}
"""Of Okabe and Ito's palette, as the defects'; the word always stands beside the colour."""

LEAST_SIDE = 800
"""A smaller image is enlarged by a whole number, so that the text does not cover it."""

MAX_LABELS = 40
MAX_REASONS = 4
SMALL_MARK_PX = 8
MARGIN = 6

_UNSAFE = re.compile(r"[^\w.-]+")

Box = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay_name(record: PartRecord, position: int) -> str:
    """Return a file name for the overlay of an image of a part, whatever the part is called."""
    image = record.images[position]
    words = [f"{record.id:06d}", record.verdict.part, image.view or str(position)]
    return "_".join(_UNSAFE.sub("-", word)[-80:] for word in words) + ".png"


def write_overlay(
    folder: Path, record: PartRecord, position: int, pixels: ImageArray, schema: Schema
) -> Path:
    """Draw the overlay of an image and write it as a PNG; return where.

    Raises:
        FlawsmithError: if it cannot be written.
    """
    path = folder / overlay_name(record, position)
    write_bytes(path, encode_png(draw_overlay(record, position, pixels, schema)))
    return path


def draw_overlay(
    record: PartRecord, position: int, pixels: ImageArray, schema: Schema
) -> ImageArray:
    """Return an image of a part as 8-bit RGB with everything that was found in it.

    Args:
        record: of the part.
        position: of the image in ``record.images``.
        pixels: of that image, as the camera gave it.
        schema: colours of the defects, and what black and white are.
    """
    found = record.images[position]
    scale = max(1, math.ceil(LEAST_SIDE / max(pixels.shape[:2])))
    shown = _displayed(pixels, schema, scale)
    size = max(14, max(shown.shape[:2]) // 100)
    font = ImageFont.load_default(size)
    canvas = Image.fromarray(shown)
    draw = ImageDraw.Draw(canvas)
    for region in reversed(found.regions):  # the highest score on top
        _outline(draw, region, _colour(schema, region), scale)
    if found.novelty and found.novelty.box and found.novelty.score > 1:
        _novel_place(draw, found, scale, font)
    taken: list[Box] = []
    for region in found.regions[:MAX_LABELS]:
        _label(draw, region, _colour(schema, region), scale, font, taken)
    return np.asarray(_with_banner(canvas, record, found, font, size))


def _displayed(pixels: ImageArray, schema: Schema, scale: int) -> np.ndarray:
    unit = to_unit(pixels, schema)
    shown = np.rint(np.repeat(unit, 4 - schema.channels, axis=2)[..., :3] * 255).astype(np.uint8)
    if scale == 1:
        return shown
    size = (shown.shape[1] * scale, shown.shape[0] * scale)
    return cast(np.ndarray, cv2.resize(shown, size, interpolation=cv2.INTER_NEAREST))


def _colour(schema: Schema, region: Region) -> tuple[int, int, int]:
    known = 1 <= region.class_id <= schema.num_defects
    return rgb(schema.defects[region.class_id - 1].colour) if known else (255, 255, 255)


def _box(box: tuple[int, int, int, int], scale: int, grow: float = 0.0) -> Box:
    x, y, width, height = box
    return (
        x * scale - grow, y * scale - grow, (x + width) * scale - 1 + grow,
        (y + height) * scale - 1 + grow,
    )  # fmt: skip


def _outline(
    draw: ImageDraw.ImageDraw, region: Region, colour: tuple[int, int, int], scale: int
) -> None:
    """Draw a region's outline with a dark rim, so that it is seen on every surface."""
    small = max(region.box[2:]) * scale < SMALL_MARK_PX
    points = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in region.polygon]
    for width, ink in ((4, (0, 0, 0)), (2, colour)):
        if small:
            draw.ellipse(_box(region.box, scale, grow=SMALL_MARK_PX), outline=ink, width=width)
        elif len(points) > 2:
            draw.line([*points, points[0], points[1]], fill=ink, width=width)
        else:
            draw.rectangle(_box(region.box, scale, grow=2), outline=ink, width=width)


def _novel_place(draw: ImageDraw.ImageDraw, found: ImageInspection, scale: int, font: Font) -> None:
    if found.novelty is None or found.novelty.box is None:
        return
    box = _box(found.novelty.box, scale, grow=3)
    for width, ink in ((4, (0, 0, 0)), (2, (255, 255, 255))):
        draw.rectangle(box, outline=ink, width=width)
    text = f"unlike good parts: {found.novelty.score:.2f} (limit 1)"
    draw.text((box[0] + 5, box[1] + 5), text, (255, 255, 255), font, stroke_width=2,
              stroke_fill=(0, 0, 0))  # fmt: skip


def region_text(region: Region) -> str:
    """Return type, length and score: ``crack 12.3 mm ± 0.2  0.87``."""
    if region.length_mm is None:
        size = f"{region.length_px:.0f} px"
    else:
        size = f"{region.length_mm:.3g} mm"
        if region.length_mm_u95 is not None:
            size += f" ± {region.length_mm_u95:.1g}"
    return f"{region.class_name} {size}  {region.score:.2f}"


def _label(
    draw: ImageDraw.ImageDraw,
    region: Region,
    colour: tuple[int, int, int],
    scale: int,
    font: Font,
    taken: list[Box],
) -> None:
    """Write what a region is beside it, where nothing is written yet."""
    text = region_text(region)
    _, _, width, height = draw.textbbox((0, 0), text, font)
    left, top, right, bottom = _box(region.box, scale, grow=MARGIN)
    columns, rows = draw.im.size
    places = [(left, top - height), (left, bottom), (right, top), (left - width, top)]
    boxes = []
    for x, y in places:
        x = min(max(x, 0.0), max(columns - width, 0.0))
        y = min(max(y, 0.0), max(rows - height, 0.0))
        boxes.append((x - 2, y - 1, x + width + 2, y + height + 2))
    free = [box for box in boxes if not any(_overlap(box, other) for other in taken)]
    if not free:  # a heap of words says nothing; the outline is there
        return
    box = free[0]
    taken.append(box)
    draw.rectangle(box, fill=(20, 20, 20))
    draw.text((box[0] + 2, box[1] + 1), text, colour, font)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _with_banner(
    canvas: Image.Image, record: PartRecord, found: ImageInspection, font: Font, size: int
) -> Image.Image:
    """Put the verdict and its reasons above the image, so that they hide nothing."""
    verdict = record.verdict
    head = f"{verdict.verdict}   part {verdict.part}"
    head += f"   view {found.view}" if found.view else ""
    head += f"   result {record.id}"
    lines = [r.text for r in verdict.reasons if r.view in ("", found.view)]
    if len(lines) > MAX_REASONS:
        lines[MAX_REASONS:] = [f"and {len(lines) - MAX_REASONS} more"]
    step = round(size * 1.5)
    high = step * (1 + len(lines)) + 2 * MARGIN
    whole = Image.new("RGB", (canvas.width, canvas.height + high), "#202020")
    draw = ImageDraw.Draw(whole)
    band = step + MARGIN
    draw.rectangle((0, 0, canvas.width, band), fill=VERDICT_COLOURS[verdict.verdict])
    draw.text((MARGIN, MARGIN / 2), head, "#000000", font)
    for row, line in enumerate(lines, start=1):
        draw.text((MARGIN, MARGIN + row * step), line, "#f0f0f0", font)
    whole.paste(canvas, (0, high))
    return whole
