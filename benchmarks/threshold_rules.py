"""Do thresholds chosen on validation parts serve other parts? Four rules, for trained runs.

Each rule is fitted on four fifths of a run's validation parts and tried on the rest, and
fitted on all of them and tried on the test parts. A cell has the macro IoU of both; a rule is to be
chosen by the first.

    python benchmarks/threshold_rules.py RUN [RUN ...]
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.experiment.inspection_model import InspectionModel, load_model_config
from flawsmith.experiment.training_data import held_out_records, training_records
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.metrics.segmentation import (
    ScoreHistogram,
    WinnerHistogram,
    class_counts,
    confusion,
    macro_iou,
    middle_of_best,
    winners,
)
from flawsmith.metrics.testing import has_pixel_labels

FOLDS = 5


@dataclass(frozen=True)
class Scored:
    """What a model says of an image, in half precision, and what is there."""

    part: str
    scores: NDArray[np.float16]
    truth: NDArray[np.uint8]


Scores = NDArray[np.float32]
Decide = Callable[[Scores], NDArray[np.uint8]]
Rule = Callable[[Sequence[Scored]], Decide]


def each_class_its_own(images: Sequence[Scored]) -> Decide:
    """Return for each class the limit with its highest IoU; the highest ratio to it wins.

    A class that is not shown takes the median of the others.
    """
    histogram = ScoreHistogram(len(images[0].scores) - 1)
    for image in images:
        histogram.add(image.scores.astype(np.float32), image.truth)
    found = []
    for positive, negative in zip(histogram.positive, histogram.negative, strict=True):
        hits, alarms = (counts[::-1].cumsum()[::-1] for counts in (positive, negative))
        found.append(middle_of_best(hits / (hits[0] + alarms)) if hits[0] else None)
    known = [value for value in found if value is not None]
    usual = float(np.median(known)) if known else 0.5
    return _by(*(usual if value is None else value for value in found))


def one_for_all(images: Sequence[Scored]) -> Decide:
    """Return the one limit of all classes with the highest macro IoU."""
    return _by(*_common_limit(images, lambda scores: scores))


def most_probable(images: Sequence[Scored]) -> Decide:
    """Return the class with the highest score, no defect among them; nothing is fitted."""
    return lambda scores: scores.argmax(axis=0).astype(np.uint8)


def defect_first(images: Sequence[Scored]) -> Decide:
    """Return the one limit of the defects' summed score; the class is the most probable of them."""
    decide = _by(*_common_limit(images, summed_winners))
    return lambda scores: decide(summed_winners(scores))


RULES: tuple[Rule, ...] = (each_class_its_own, one_for_all, most_probable, defect_first)


def summed_winners(scores: Scores) -> Scores:
    """Return each pixel's summed score of all defects, in the place of the most probable one."""
    alone = winners(scores)
    return np.where(alone > 0, scores[1:].sum(axis=0), np.float32(0.0)).clip(0, 1)


def _common_limit(images: Sequence[Scored], prepare: Callable[[Scores], Scores]) -> list[float]:
    histogram = WinnerHistogram(len(images[0].scores) - 1)
    for image in images:
        histogram.add(prepare(image.scores.astype(np.float32)), image.truth)
    return [histogram.best_threshold() or 0.5] * (len(images[0].scores) - 1)


def _by(*limits: float) -> Decide:
    thresholds = Thresholds(pixel=list(limits))
    return lambda scores: classify(scores, thresholds)


def counted(images: Iterable[Scored], decide: Decide) -> NDArray[np.int64]:
    """Return D x 3 pixel counts over images."""
    return np.sum(
        [
            class_counts(confusion(i.truth, decide(i.scores.astype(np.float32)), len(i.scores) - 1))
            for i in images
        ],
        axis=0,
    )


def crossed(images: Sequence[Scored], rule: Rule) -> NDArray[np.int64]:
    """Return the counts of every image under the rule fitted without its part's fifth."""
    place = {part: i % FOLDS for i, part in enumerate(sorted({i.part for i in images}))}
    counts = np.zeros((len(images[0].scores) - 1, 3), np.int64)
    if len(place) < 2:
        raise SystemExit("one validation part alone: nothing can be fitted without it")
    for fold in sorted(set(place.values())):
        rest = [i for i in images if place[i.part] != fold]
        counts += counted([i for i in images if place[i.part] == fold], rule(rest))
    return counts


def scored(
    model: InspectionModel, dataset: DefectDataset, records: list[ImageRecord]
) -> list[Scored]:
    """Return the scores of all images whose pixels are labelled."""
    return [
        Scored(
            r.part, model.predict(dataset.image(r)).astype(np.float16), dataset.label_map(r).defects
        )
        for r in records
        if has_pixel_labels(r)
    ]


@dataclass(frozen=True)
class Opened:
    """A run, what it was trained on, and what it kept for validation and test."""

    head: str
    model: InspectionModel
    dataset: DefectDataset
    training: list[ImageRecord]
    validation: list[ImageRecord]
    test: list[ImageRecord]


def opened(run: Path) -> Opened:
    """Return what a run is compared by; ``head`` begins its row of a table.

    Raises:
        SystemExit: if it kept no part.
    """
    config = load_model_config(run)
    dataset = DefectDataset.open(Path(config.data.path))
    training, validation = training_records(dataset, config.data)
    if config.data.fold is None or not validation:
        raise SystemExit(f"{run} kept no part for validation and test")
    return Opened(
        f"`{config.arm}` | {config.data.fold}",
        InspectionModel.load(run),
        dataset,
        training,
        validation,
        held_out_records(dataset, config.data.fold),
    )


def figures(run: Opened) -> list[float]:
    """Return of each rule the macro IoU crossed and on test parts."""
    kept = scored(run.model, run.dataset, run.validation)
    test = scored(run.model, run.dataset, run.test)
    found = []
    for rule in RULES:
        found.append(float(macro_iou(crossed(kept, rule))))
        found.append(float(macro_iou(counted(test, rule(kept)))))
    return found


def row(head: str, found: Sequence[float]) -> str:
    """Return a row of the table, two figures of each rule."""
    pairs = zip(found[::2], found[1::2], strict=True)
    return f"| {head} | " + " | ".join(f"{a:.3f}, {b:.3f}" for a, b in pairs) + " |"


def main() -> None:
    """Print a row for each run, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    names = [rule.__name__.replace("_", " ") for rule in RULES]
    print(f"| arm | fold | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    every = []
    for run in parser.parse_args().runs:
        one = opened(run)
        every.append(figures(one))
        print(row(one.head, every[-1]), flush=True)
    print(row("mean |", list(np.mean(every, axis=0))))


if __name__ == "__main__":
    main()
