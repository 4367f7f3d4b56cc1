import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, jaccard_score

from flawsmith.metrics import segmentation as figures


def _maps(seed, defects=3, size=24):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, defects + 1, size=(size, size)).astype(np.uint8)
    truth[generator.random(truth.shape) < 0.1] = 255
    prediction = generator.integers(0, defects + 1, size=(size, size)).astype(np.uint8)
    return truth, prediction


def test_counts_of_a_hand_made_case():
    truth = np.array([[1, 1, 0], [2, 255, 0], [0, 0, 255]], np.uint8)
    guess = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 2]], np.uint8)
    matrix = figures.confusion(truth, guess, 2)
    assert matrix.tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert figures.class_counts(matrix).tolist() == [[1, 2, 1], [0, 0, 1]]
    assert figures.pixel_accuracy(matrix) == pytest.approx(4 / 7)
    assert figures.iou(figures.class_counts(matrix)).tolist() == [0.25, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_iou_agrees_with_scikit_learn(seed):
    truth, guess = _maps(seed)
    counted = truth != 255
    expected = jaccard_score(truth[counted], guess[counted], labels=[1, 2, 3], average=None)
    counts = figures.class_counts(figures.confusion(truth, guess, 3))
    assert figures.iou(counts) == pytest.approx(expected)
    assert float(figures.macro_iou(counts)) == pytest.approx(expected.mean())


def test_an_absent_class_is_left_out_even_where_it_was_predicted():
    counts = np.array([[5, 5, 0], [0, 7, 0], [0, 0, 0]])
    values = figures.iou(counts)
    assert values[0] == 0.5
    assert np.isnan(values[1:]).all()
    assert float(figures.macro_iou(counts)) == 0.5
    assert np.isnan(figures.macro_iou(counts[1:]))
    stacked = figures.macro_iou(np.stack([counts, counts * 2]))
    assert stacked.tolist() == [0.5, 0.5]


def test_pixel_accuracy_of_nothing_is_none():
    ignored = np.full((2, 2), 255, np.uint8)
    assert figures.pixel_accuracy(figures.confusion(ignored, ignored * 0, 1)) is None


def _scored(seed, pixels=4000, share=0.05):
    generator = np.random.default_rng(seed)
    truth = (generator.random((1, pixels)) < share).astype(np.uint8)
    signal = np.where(truth, generator.beta(4, 2, truth.shape), generator.beta(2, 6, truth.shape))
    scores = np.stack([1 - signal, signal]).astype(np.float32)
    return truth, scores


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_agrees_with_scikit_learn_within_a_bin(seed):
    truth, scores = _scored(seed)
    histogram = figures.ScoreHistogram(1)
    histogram.add(scores[:, :, :1500], truth[:, :1500])
    histogram.add(scores[:, :, 1500:], truth[:, 1500:])
    exact = average_precision_score(truth.ravel(), scores[1].ravel())
    binned = average_precision_score(truth.ravel(), np.floor(scores[1].ravel() * 1024))
    assert histogram.average_precision(0) == pytest.approx(binned, abs=1e-12)
    assert histogram.average_precision(0) == pytest.approx(exact, abs=0.01)


def test_histogram_leaves_ignored_pixels_out_and_takes_other_classes_as_negative():
    truth = np.array([[1, 2, 0, 255]], np.uint8)
    scores = np.zeros((3, 1, 4), np.float32)
    scores[1] = [0.5, 1.0, 0.0, 0.9]
    histogram = figures.ScoreHistogram(2)
    histogram.add(scores, truth)
    assert np.flatnonzero(histogram.positive[0]).tolist() == [512]
    assert np.flatnonzero(histogram.negative[0]).tolist() == [0, 1023]
    assert histogram.negative.sum() + histogram.positive.sum() == 6


def test_absent_class_has_no_curve_no_average_precision_and_no_threshold():
    assert figures.WinnerHistogram(1).best_threshold() is None
    histogram = figures.ScoreHistogram(1)
    histogram.add(np.full((2, 4, 4), 0.3, np.float32), np.zeros((4, 4), np.uint8))
    assert histogram.average_precision(0) is None
    assert [len(a) for a in histogram.curve(0)] == [0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_best_threshold_is_the_best_of_all_for_the_macro_iou_of_winners(seed):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 4, (40, 50)).astype(np.uint8)
    truth[truth == 3] = 0  # the third class is absent, yet wins pixels
    scores = generator.random((4, 40, 50), dtype=np.float32)
    for index in (1, 2):
        scores[index] += 0.4 * (truth == index)
    scores /= scores.max()
    histogram = figures.WinnerHistogram(3)
    histogram.add(scores, truth)

    def macro_at(threshold):
        highest = scores[1:].max(axis=0)
        guess = np.where(highest >= np.float32(threshold), 1 + scores[1:].argmax(axis=0), 0)
        return jaccard_score(truth.ravel(), guess.ravel(), labels=[1, 2], average="macro")

    best = max(macro_at(b / 1024) for b in range(1, 1024, 8))
    assert macro_at(histogram.best_threshold()) >= best > macro_at(0.1)


def test_winners_keep_one_class_of_each_pixel_and_of_equal_ones_the_first():
    scores = np.array([[[0.9, 0.1, 0.1]], [[0.2, 0.5, 0.4]], [[0.3, 0.4, 0.4]]], np.float32)
    expected = np.array([[[0, 0, 0]], [[0, 0.5, 0.4]], [[0.3, 0, 0]]], np.float32)
    alone = figures.winners(scores)
    assert alone.dtype == np.float32
    np.testing.assert_array_equal(alone, expected)


def test_best_threshold_takes_the_middle_of_equal_ones():
    truth = np.array([[1, 1, 0, 0]], np.uint8)
    for high, low, expected in [(1.0, 0.0, 0.5), (0.75, 0.25, 0.5), (0.3, 0.1, 0.2)]:
        plane = np.where(truth, high, low).astype(np.float32)
        histogram = figures.WinnerHistogram(1)
        histogram.add(np.stack([1 - plane, plane]), truth)
        assert histogram.best_threshold() == pytest.approx(expected, abs=1.5 / 1024)


def test_thin_curve_keeps_the_ends_and_points_of_the_curve():
    recall = np.linspace(0.001, 1, 700)
    precision = 1 - recall / 2
    thin, values = figures.thin_curve(recall, precision)
    assert 50 < len(thin) <= 100
    assert (thin[0], thin[-1]) == (recall[0], recall[-1])
    assert values == pytest.approx([1 - r / 2 for r in thin])
    assert figures.thin_curve(recall[:20], precision[:20])[0] == recall[:20].tolist()


def _naive_regions(indices):
    """Flood fill in pure Python: list of (class, set of pixels)."""
    left = {(int(y), int(x)) for y, x in np.argwhere((indices > 0) & (indices != 255))}
    regions = []
    while left:
        start = left.pop()
        kind, todo, pixels = indices[start], [start], {start}
        while todo:
            y, x = todo.pop()
            for near in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                if near in left and indices[near] == kind:
                    left.discard(near)
                    pixels.add(near)
                    todo.append(near)
        regions.append((int(kind), pixels))
    return regions


@given(st.integers(0, 10_000))
def test_match_regions_agrees_with_flood_fill(seed):
    generator = np.random.default_rng(seed)
    truth = generator.choice([0, 1, 2, 255], p=[0.7, 0.12, 0.12, 0.06], size=(9, 11))
    guess = np.where(generator.random(truth.shape) < 0.75, truth % 255, 0)
    guess[generator.random(truth.shape) < 0.05] = 2
    truth, guess = truth.astype(np.uint8), guess.astype(np.uint8)
    ignored = {(int(y), int(x)) for y, x in np.argwhere(truth == 255)}
    real, guessed = _naive_regions(truth), _naive_regions(guess)
    regions, found, false = [0, 0], [0, 0], 0
    for kind, pixels in real:
        regions[kind - 1] += 1
        others = [p - ignored for k, p in guessed if k == kind]
        found[kind - 1] += any(2 * len(pixels & p) >= len(pixels | p) for p in others)
    defects = set().union(*[pixels for _, pixels in real])
    for _, pixels in guessed:
        false += bool(pixels - ignored) and not pixels & defects
    match = figures.match_regions(truth, guess, 2)
    assert match.regions.tolist() == regions
    assert match.found.tolist() == found
    assert match.false_regions == false


def test_match_regions_of_a_hand_made_case():
    truth = np.array(
        [
            [1, 1, 0, 0, 2, 0, 0],
            [0, 0, 0, 0, 0, 0, 255],
            [2, 0, 0, 1, 0, 0, 0],
        ],
        np.uint8,
    )
    guess = np.array(
        [
            [1, 0, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 0, 2],
            [2, 0, 0, 0, 0, 1, 0],
        ],
        np.uint8,
    )
    match = figures.match_regions(truth, guess, 2)
    assert match.regions.tolist() == [2, 2]
    assert match.found.tolist() == [1, 1]  # half of one 1 is enough; the 1 on a 2 is not
    assert match.false_regions == 1  # the lone 1; neither the one on a 2 nor the one in ignore
