"""Draw the pictures of docs/pouch.md: python docs/images/make_pouch.py."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch import TABLE_3, render_frame, render_tile, schema
from flawsmith.data.schema import rgb

OUT = Path(__file__).parent
SEED = 2


def defects_picture() -> NDArray[np.uint8]:
    """Return a column for each defect: two lights, and below them the label map."""
    columns = []
    colours = np.zeros((256, 3), np.uint8)
    for defect in schema().defects:
        colours[defect.id] = rgb(defect.colour)
    for part, name in enumerate(TABLE_3, start=31):
        (left, found), (right, _) = (render_tile(SEED, part, view, name) for view in (0, 1))
        labels = colours[found.defects]
        labels[(found.backgrounds == 1) & (found.defects == 0)] = 90
        grey = [np.repeat(image[..., None], 3, axis=2) for image in (left, right)]
        rows = [
            cv2.copyMakeBorder(tile, 2, 2, 2, 2, 0, value=(255,) * 3) for tile in (*grey, labels)
        ]
        columns.append(np.vstack(rows))
    picture: NDArray[np.uint8] = np.hstack(columns)
    return picture


def main() -> None:
    """Write pouch_defects.png and pouch_frame.png beside this script."""
    best = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    defects = cv2.cvtColor(defects_picture(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(OUT / "pouch_defects.png"), defects, best)
    frame, _ = render_frame(SEED, 6, 0, defects=list(TABLE_3))
    small = cv2.resize(frame, (945, 350), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(OUT / "pouch_frame.png"), small, best)


if __name__ == "__main__":
    main()
