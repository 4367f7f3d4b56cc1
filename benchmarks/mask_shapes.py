"""Are the drawn defect masks like the real ones, and are they new?

For each class: the two-sample Kolmogorov-Smirnov distance of area, elongation, solidity and
direction between drawn and real masks (0 is the same distribution), and how well the most similar
real mask covers each drawn one after an affine alignment (median of the best IoU; 1 is a copy; the
same of the real masks of the fold left out says what new real ones have). Moving and bending
lowers the IoU of a copy too, so the last but one column has it for the shapes alone, unmoved. Real
masks are weighted as the bank draws them. With ``--new-shapes 0`` only moved copies are drawn.

    python benchmarks/mask_shapes.py DATA [--fold 0] [--new-shapes 0 0.5 1] [--sheets FOLDER]
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.mask_bank import MaskBank
from flawsmith.data.mask_bank.new_shapes import ShapeMaker
from flawsmith.data.mask_bank.shapes import Mask, direction, trim

SIDE = 1024
"""Label maps for measuring: large enough that none cuts a mask."""

TILE = 128
"""Label maps for timing, as they are drawn for a system."""

FRAME = 64
REACH = 2.5
"""Frame of the alignment, and how many standard deviations along the main axis it shows."""

REFINED = 3
"""Most similar real masks onto which a drawn one is laid exactly, by an affine map."""

SHEET = (10, 4)
CELL = 96
DESCRIPTORS = ("area", "elongation", "solidity", "direction")
ELONGATED = 0.3
"""Modulus of the direction from which a mask has one."""

Floats = NDArray[np.float64]


def describe(mask: Mask) -> Floats:
    """Return logarithm of the area, elongation, solidity, and angle of the axis in [0, 180)."""
    axis = direction(mask)
    points = np.argwhere(mask).astype(np.int32)
    # The hull joins the centres of pixels: half a pixel is missing on every side.
    hull = cv2.convexHull(points)
    around = cv2.contourArea(hull) + 0.5 * cv2.arcLength(hull, closed=True) + 1.0
    angle = np.degrees(np.angle(axis)) / 2 % 180 if abs(axis) > ELONGATED else np.nan
    return np.array([np.log(len(points)), abs(axis), len(points) / around, angle])


def distance(drawn: Floats, real: Floats, circular: bool) -> float:
    """Return the largest difference of two empirical distributions; of angles, Kuiper's."""
    drawn, real = drawn[~np.isnan(drawn)], real[~np.isnan(real)]
    if not drawn.size or not real.size:
        return float("nan")
    at = np.concatenate([drawn, real])
    shares = [np.searchsorted(np.sort(v), at, side="right") / v.size for v in (drawn, real)]
    off = shares[0] - shares[1]
    return float(off.max() - off.min()) if circular else float(np.abs(off).max())


def aligned(mask: Mask) -> Floats:
    """Return 4 x FRAME * FRAME: the mask on its axes, turned by 180 degrees and mirrored."""
    m = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    covariance = np.array([[m["mu20"], m["mu11"]], [m["mu11"], m["mu02"]]]) / m["m00"]
    values, vectors = np.linalg.eigh(covariance + np.eye(2) / 12)
    scale = FRAME / (2 * REACH * np.sqrt(values[1]))
    turn = scale * vectors[:, ::-1].T
    centre = np.array([m["m10"], m["m01"]]) / m["m00"]
    affine = np.column_stack([turn, FRAME / 2 - turn @ centre])
    soft = mask.astype(np.float32)
    if scale < 1:  # what one pixel of the frame shows is averaged
        soft = cv2.GaussianBlur(soft, (0, 0), 0.4 / scale)
    frame = cv2.warpAffine(soft, affine, (FRAME, FRAME))
    flips = (frame, frame[::-1], frame[:, ::-1], frame[::-1, ::-1])
    return np.stack([np.clip(f, 0, 1).ravel() for f in flips]).astype(np.float64)


def overlap(one: Floats, other: Floats) -> Floats:
    """Return the soft IoU along the last axis."""
    shared: Floats = np.minimum(one, other).sum(axis=-1) / np.maximum(one, other).sum(axis=-1)
    return shared


def refined(frame: Floats, reference: Floats) -> float:
    """Return the soft IoU after the affine map that correlates both best (ECC)."""
    one, other = (f.reshape(FRAME, FRAME).astype(np.float32) for f in (frame, reference))
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    try:
        _, affine = cv2.findTransformECC(
            other, one, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, stop, None, 5
        )
    except cv2.error:  # it does not converge where both hardly overlap
        return 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(one, affine, (FRAME, FRAME), flags=flags)
    return float(overlap(moved.ravel().astype(np.float64), reference))


def best_overlaps(drawn: Sequence[Mask], real: Sequence[Mask]) -> Floats:
    """Return for each drawn mask the best soft IoU with any real one, after alignment."""
    references = np.stack([aligned(mask)[0] for mask in real])
    best = []
    for mask in drawn:
        frames = aligned(mask)
        overlaps = np.stack([overlap(frame, references) for frame in frames])
        found = float(overlaps.max())
        for number in np.argsort(-overlaps.max(axis=0))[:REFINED]:
            frame = frames[int(overlaps[:, number].argmax())]
            found = max(found, refined(frame, references[number]))
        best.append(found)
    return np.array(best)


def draw(bank: MaskBank, class_id: int, count: int, share: float) -> list[Mask]:
    """Return drawn masks of a class."""
    rng = np.random.default_rng(class_id)
    maps = (
        bank.draw(rng, class_id, SIDE, SIDE, new_shapes=share).label_map.defects
        for _ in range(count)
    )
    return [trim(m > 0).mask.copy() for m in maps]


def shapes(bank: MaskBank, class_id: int, count: int) -> list[Mask]:
    """Return new shapes of a class as they are before they are moved, bent and scaled."""
    rng = np.random.default_rng(class_id)
    instances = bank.instances[class_id]
    maker = ShapeMaker(instances, np.ones(len(instances)))
    made = (maker.make(bank.choose(rng, class_id), rng) for _ in range(count))
    return [shape.mask for shape in made if shape is not None]


def speed(bank: MaskBank, class_id: int, share: float, count: int = 150) -> float:
    """Return draws a second at the size of a tile."""
    rng = np.random.default_rng(0)
    bank.draw(rng, class_id, TILE, TILE, new_shapes=share)
    started = time.perf_counter()
    for _ in range(count):
        bank.draw(rng, class_id, TILE, TILE, new_shapes=share)
    return count / (time.perf_counter() - started)


def sheet(masks: Sequence[Mask]) -> NDArray[np.uint8]:
    """Return white masks on black, each made to fit its cell."""
    columns, rows = SHEET
    picture = np.full((rows * CELL, columns * CELL), 64, np.uint8)
    for index, mask in enumerate(masks[: columns * rows]):
        factor = min(3.0, (CELL - 4) / max(mask.shape))
        size = tuple(max(1, round(s * factor)) for s in mask.shape[::-1])
        mode = cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA
        small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=mode)
        top, left = index // columns * CELL, index % columns * CELL
        picture[top : top + CELL - 1, left : left + CELL - 1] = 0
        y, x = top + (CELL - size[1]) // 2, left + (CELL - size[0]) // 2
        picture[y : y + size[1], x : x + size[0]] = small
    return picture


def main() -> None:
    """Print the table and write the sheets: real masks on the left, drawn ones on the right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fold", type=int, default=0, help="of which nothing is used")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--new-shapes", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    dataset = DefectDataset.open(options.data)
    bank = MaskBank.from_dataset(dataset, [r for r in dataset if r.fold != options.fold])
    held_out = MaskBank.from_dataset(dataset, [r for r in dataset if r.fold == options.fold])
    print(
        "| class | new shapes |", *(f"{d} |" for d in DESCRIPTORS), "best IoU | unmoved | draws/s |"
    )
    print("|---|---|" + "---|" * (len(DESCRIPTORS) + 3))
    for class_id in bank.classes:
        name = dataset.schema.defects[class_id - 1].name
        rng = np.random.default_rng(0)
        real = [bank.choose(rng, class_id).mask for _ in range(1000)]
        values = np.stack([describe(mask) for mask in real])
        masks = [instance.mask for instance in bank.instances[class_id]]
        unseen = [instance.mask for instance in held_out.instances[class_id]]
        if unseen:
            novelty = float(np.median(best_overlaps(unseen, masks)))
            print(
                f"| {name} | held-out real |"
                + " |" * len(DESCRIPTORS)
                + f" {novelty:.2f} | {novelty:.2f} | |"
            )
        made = shapes(bank, class_id, options.count)
        for share in options.new_shapes:
            drawn = draw(bank, class_id, options.count, share)
            found = np.stack([describe(mask) for mask in drawn])
            gaps = [
                distance(found[:, i], values[:, i], circular=descriptor == "direction")
                for i, descriptor in enumerate(DESCRIPTORS)
            ]
            novelty = float(np.median(best_overlaps(drawn, masks)))
            cells = [*(f"{g:.2f}" for g in gaps), f"{novelty:.2f}"]
            cells.append(f"{np.median(best_overlaps(made, masks)) if share else 1.0:.2f}")
            print(f"| {name} | {share:g} |", *(f"{c} |" for c in cells), end=" ")
            print(f"{speed(bank, class_id, share):.0f} |", flush=True)
            if options.sheets:
                options.sheets.mkdir(parents=True, exist_ok=True)
                both = np.hstack(
                    [sheet(real), np.full((SHEET[1] * CELL, 8), 160, np.uint8), sheet(drawn)]
                )
                cv2.imwrite(str(options.sheets / f"{name}-{share:g}.png"), both)


if __name__ == "__main__":
    main()
