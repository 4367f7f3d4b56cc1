"""Random synthetic defects beside random real ones at one scale: what gives the synthetic away?

One PNG a class: on the left defects of a synthetic set, on the right real ones of the parts that it
may descend from, all cut as tiles of the synthetic size at native scale. Nothing is chosen: a seed
draws them, and where in its tile a real one lies, as synthetic ones lie anywhere; images smaller
than a tile are left out. With ``--blind`` they are mixed and the answers go into a text file.

    python benchmarks/contact_sheet.py SYNTHETIC DATA OUT
    python benchmarks/contact_sheet.py SYNTHETIC DATA OUT --blind --seed 3
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import to_unit
from flawsmith.data.mask_bank.shapes import heart
from flawsmith.experiment.report.pictures import square_window
from flawsmith.experiment.synthesis import SynthesisSettings

COLUMNS = 4
GAP, MIDDLE, FRAME = 6, 30, 235


def crop(
    dataset: DefectDataset,
    record: ImageRecord,
    class_id: int,
    side: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return a tile with the heart of a class's region in its middle three quarters."""
    image = to_unit(dataset.image(record), dataset.schema)
    place = np.array(heart(dataset.label_map(record).defects == class_id)) + 0.5
    row, column = (place + rng.uniform(-0.375, 0.375, 2) * side).tolist()
    window = square_window((row, column), side, image.shape[:2])
    cut = image[window.top : window.top + side, window.left : window.left + side]
    return np.rint(255 * (cut if cut.shape[2] == 3 else np.repeat(cut, 3, axis=2))).astype(np.uint8)


def block(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures in rows of `COLUMNS`."""
    framed = [
        cv2.copyMakeBorder(p, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=(FRAME,) * 3)
        for p in pictures
    ]
    framed += [np.full_like(framed[0], FRAME)] * (-len(framed) % COLUMNS)
    rows = [np.hstack(framed[i : i + COLUMNS]) for i in range(0, len(framed), COLUMNS)]
    return np.vstack(rows)


def sheet(synthetic: list[NDArray[np.uint8]], real: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return synthetic ones on the left, real ones on the right."""
    left, right = block(synthetic), block(real)
    height = max(left.shape[0], right.shape[0])
    sides = [
        cv2.copyMakeBorder(b, 0, height - b.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=(FRAME,) * 3)
        for b in (left, right)
    ]
    return np.hstack([sides[0], np.full((height, MIDDLE, 3), 255, np.uint8), sides[1]])


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true")
    arguments = parser.parse_args()
    made, dataset = DefectDataset.open(arguments.synthetic), DefectDataset.open(arguments.data)
    settings = SynthesisSettings.load(arguments.synthetic)
    if settings is None:
        raise SystemExit(f"{arguments.synthetic} was not made by flawsmith synthesize")
    if all(record.mask_file_name is None for record in made):
        raise SystemExit(f"{arguments.synthetic} has no masks, so nobody knows where to cut")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for defect in dataset.schema.defects:
        rng = np.random.default_rng((arguments.seed, defect.id))
        usable = [r for r in dataset.usable() if r.fold != settings.fold and r.source == "real"]
        drawn = []
        for source, records in ((made, made.records), (dataset, usable)):
            shown = [
                r
                for r in records
                if defect.name in set(r.labels) - set(r.weak_labels)
                and min(r.height, r.width) >= settings.tile_size
            ]
            picks = rng.permutation(len(shown))[: arguments.count]
            side = settings.tile_size
            drawn.append([crop(source, shown[i], defect.id, side, rng) for i in picks])
        if not drawn[0] or not drawn[1]:
            continue
        path = arguments.out / f"{defect.id}_{defect.name.replace('/', '-')}.png"
        if arguments.blind:
            pairs = [(p, "synthetic") for p in drawn[0]] + [(p, "real") for p in drawn[1]]
            pairs = [pairs[i] for i in rng.permutation(len(pairs))]
            answers = "\n".join(f"{i + 1}. {what}" for i, (_, what) in enumerate(pairs))
            path.with_suffix(".txt").write_text(answers + "\n", encoding="utf-8")
            picture = block([p for p, _ in pairs])
        else:
            picture = sheet(*drawn)
        done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert done
        path.write_bytes(encoded.tobytes())
        print(path, len(drawn[0]), "synthetic,", len(drawn[1]), "real")


if __name__ == "__main__":
    main()
