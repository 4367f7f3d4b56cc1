"""How much of the simulated pouch cells is solved by brightness and by shape, and their speed.

Two classifiers tell the six defects apart by simple measures inside the true mask, in five-fold
cross-validation: balanced accuracy, chance 0.17. A ranking of pixels by brightness against a local
median looks for dots: average precision. The tests hold bounds on these figures.

    python benchmarks/pouch_difficulty.py [--tiles 60]
"""

import argparse
import time

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flawsmith.data.pouch import TABLE_3, render_frame, render_tile

Floats = NDArray[np.float64]
DEFECTS = list(TABLE_3)
MEASURES = {
    "brightness: mean, deviation": [0, 1],
    "and difference to the surroundings": [0, 1, 2],
    "shape: area, extent, elongation, solidity": [3, 4, 5, 6],
    "brightness and shape": [0, 1, 2, 3, 4, 5, 6],
}
BODY = 0


def brightness(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], body: NDArray[np.uint8]
) -> list[float]:
    """Return mean, deviation and mean minus surroundings of the pixels in a mask."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    near &= ~mask & (body == BODY)
    values = image[mask].astype(float)
    around = float(np.median(image[near])) if near.any() else values.mean()
    return [values.mean(), values.std(), values.mean() - around]


def shape(mask: NDArray[np.bool_]) -> list[float]:
    """Return logarithm of the area, share of the box, elongation and solidity of a mask."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    area = float(mask.sum())
    _, (width, height), _ = cv2.minAreaRect(points)
    long, short = max(width, height) + 1, min(width, height) + 1
    hull = max(cv2.contourArea(cv2.convexHull(points)), area)
    return [np.log(area), area / (long * short), long / short, area / hull]


def measured(tiles: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the classes and the measures of defects, as many of each class."""
    classes, rows = [], []
    for label, defect in enumerate(DEFECTS, start=1):
        for part in range(tiles):
            image, found = render_tile(11, 100 * label + part, part % 2, defect)
            mask = found.defects == label
            rows.append(brightness(image, mask, found.backgrounds) + shape(mask))
            classes.append(label)
    return np.array(classes), np.array(rows)


def dots(tiles: int, defect: str, sign: float) -> float:
    """Return the average precision of pixels by brightness against a local median."""
    scores, truth = [], []
    for part in range(tiles):
        image, found = render_tile(12, part, part % 2, defect)
        local = image.astype(np.float32) - cv2.medianBlur(image, 31)
        scores.append(sign * local.ravel())
        truth.append(found.defects.ravel() > 0)
    return float(average_precision_score(np.concatenate(truth), np.concatenate(scores)))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=60, help="of each class")
    tiles = parser.parse_args().tiles
    render_tile(11, 0, 0, None)  # makes the textures
    start = time.perf_counter()
    classes, rows = measured(tiles)
    rate = len(classes) / (time.perf_counter() - start)
    print("| measures | random forest | logistic regression |\n|---|---|---|")
    for name, columns in MEASURES.items():
        cells = []
        for classifier in (
            RandomForestClassifier(100, min_samples_leaf=3, random_state=0),
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        ):
            guess = cross_val_predict(classifier, rows[:, columns], classes, cv=5)
            cells.append(f"{balanced_accuracy_score(classes, guess):.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    for defect, sign in (("white_dot", 1.0), ("black_dot", -1.0)):
        print(f"average precision, {defect}: {dots(tiles, defect, sign):.2f}")
    start = time.perf_counter()
    render_frame(1, 7, 0, defects=["folding", "leakage"])
    seconds = time.perf_counter() - start
    print(f"{rate:.0f} tiles/s with their measures, a whole frame in {seconds:.1f} s")


if __name__ == "__main__":
    main()
