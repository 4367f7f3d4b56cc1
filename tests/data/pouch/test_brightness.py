"""Simulated defects are not to be solved by brightness."""

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flawsmith.data.pouch import (
    TABLE_3,
    render_tile,
)

DEFECTS = list(TABLE_3)
BODY = 0


@pytest.fixture(scope="module")
def brightness():
    """Class, mean, standard deviation and mean minus surroundings of the pixels in the mask."""
    rows, classes = [], []
    for label, defect in enumerate(DEFECTS, start=1):
        for part in range(45):
            image, found = render_tile(11, 100 * label + part, part % 2, defect)
            mask = found.defects == label
            near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            near &= ~mask & (found.backgrounds == BODY)
            values = image[mask].astype(float)
            around = np.median(image[near]) if near.any() else values.mean()
            rows.append([values.mean(), values.std(), values.mean() - around])
            classes.append(label)
    return np.array(classes), np.array(rows)


@pytest.mark.parametrize(("columns", "bound"), [(2, 0.45), (3, 0.55)])
def test_brightness_does_not_tell_the_defects_apart(brightness, columns, bound):
    # Chance is 0.17. White and black dots differ in sign by definition, so the contrast to the
    # surroundings separates those two; with four further classes that overlap both, knowing two
    # classes fully and nothing else of the rest would give (2 + 4/4) / 6 = 0.5. Shape and
    # brightness together reach about 0.86.
    classes, rows = brightness
    for classifier in (
        RandomForestClassifier(100, min_samples_leaf=3, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    ):
        guess = cross_val_predict(classifier, rows[:, :columns], classes, cv=5)
        assert balanced_accuracy_score(classes, guess) < bound


def test_dots_overlap_the_other_defects_in_brightness(brightness):
    classes, rows = brightness
    contrast = rows[:, 2]
    others = contrast[np.isin(classes, [1, 2, 3, 4])]
    white, black = contrast[classes == 5], contrast[classes == 6]
    assert np.percentile(others, 90) > np.percentile(white, 25)
    assert np.percentile(others, 10) < np.percentile(black, 75)


@pytest.mark.parametrize(("defect", "sign"), [("white_dot", 1.0), ("black_dot", -1.0)])
def test_a_threshold_does_not_find_dots(defect, sign):
    scores, truth = [], []
    for part in range(30):
        image, found = render_tile(12, part, part % 2, defect)
        local = image.astype(np.float32) - cv2.medianBlur(image, 31)
        scores.append(sign * local.ravel())
        truth.append(found.defects.ravel() > 0)
    assert average_precision_score(np.concatenate(truth), np.concatenate(scores)) < 0.45
