"""Which test parts the report shows, and their pictures: missed, found, falsely rejected."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import LabelArray, read_index_mask
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.facts import Arm, Example, Panel
from flawsmith.experiment.report.pictures import (
    Pixels,
    Window,
    defect_pixels,
    displayed,
    draw,
    draw_frame,
    fit,
    photo,
    whole,
    window_around,
)
from flawsmith.experiment.report.tables import is_lucky
from flawsmith.metrics.evaluation import Evaluation, PartResult

MISSED_SHOWN = 24
FOUND_SHOWN = 6
FALSE_ALARMS_SHOWN = 6
SEED = 0
BOX = 340
"""Pixels of the longer side of a picture: sharp at half that size on a screen and in print."""

Kind = Literal["missed", "found", "false alarm"]


@dataclass(frozen=True)
class TestedRun:
    """A run, what its test found, and its column."""

    run: Path
    evaluation: Evaluation
    arm: Arm

    def prediction(self, file_name: str, shape: tuple[int, ...]) -> LabelArray | None:
        """Return the predicted index mask of a test image, or None where there is none."""
        name = self.evaluation.predictions.get(file_name)
        if name is None:
            return None
        path = self.run / name
        if not path.resolve().is_relative_to(self.run.resolve()) or not path.is_file():
            return None
        mask = read_index_mask(path)
        return mask if mask.shape == shape[:2] else None


def choose(parts: Sequence[PartResult], kind: Kind, limit: int) -> list[PartResult]:
    """Return the parts to show of a kind: all missed in order, else at random, seeded.

    Found parts are drawn class by class in turn, so that a rare class is seen too.
    """
    if kind == "missed":
        return [p for p in parts if p.labels and p.verdict == "PASS"][:limit]
    dice = random.Random(SEED)
    if kind == "false alarm":
        pool = [p for p in parts if not p.labels and p.verdict == "FAIL"]
        return dice.sample(pool, min(limit, len(pool)))
    queues: dict[str, list[PartResult]] = {}
    for part in parts:
        if part.labels and part.verdict == "FAIL":
            queues.setdefault(part.labels[0], []).append(part)
    for queue in queues.values():
        dice.shuffle(queue)
    chosen: list[PartResult] = []
    while len(chosen) < limit and any(queues.values()):
        chosen += [queue.pop() for queue in queues.values() if queue]
    return chosen[:limit]


def make_examples(
    kind: Kind,
    limit: int,
    dataset: DefectDataset | None,
    after: TestedRun,
    before: TestedRun | None,
) -> list[Example]:
    """Return the examples of a kind; without the data set they have no pictures."""
    records = {r.file_name: r for r in dataset} if dataset else {}
    examples = []
    for part in choose(after.evaluation.parts, kind, limit):
        views = [records[name] for name in part.views if name in records]
        record = _view_to_show(kind, part, views, dataset)
        panels: list[Panel] = []
        if dataset and record:
            panels = _panels(kind, dataset, record, after, before)
        examples.append(
            Example(
                kind=kind,
                part=part.part,
                labels=part.labels,
                file_name=record.file_name if record else part.worst_view,
                score=part.score,
                reason=part.reason,
                note=_note(kind, part, after),
                panels=panels,
            )
        )
    return examples


def _note(kind: Kind, part: PartResult, after: TestedRun) -> str:
    if kind == "missed":
        limit = after.evaluation.thresholds.region
        return f"highest score {part.score:.2f}, rejected from {limit:.2f}"
    if is_lucky(part):
        return "rejected, but no pixel of its defect was found with the right class"
    return ""


def _view_to_show(
    kind: Kind, part: PartResult, views: list[ImageRecord], dataset: DefectDataset | None
) -> ImageRecord | None:
    """Return the view with most of the defect for a missed part, else the one that decided."""
    if not views or dataset is None:
        return None
    worst = next((r for r in views if r.file_name == part.worst_view), views[0])
    if kind != "missed":
        return worst

    def area(record: ImageRecord) -> int:
        if record.mask_file_name is None:
            return 0
        return int(defect_pixels(dataset.label_map(record).defects).sum())

    return max(views, key=area)


def _panels(
    kind: Kind,
    dataset: DefectDataset,
    record: ImageRecord,
    after: TestedRun,
    before: TestedRun | None,
) -> list[Panel]:
    try:
        image = displayed(dataset.image(record), dataset.schema)
        truth = dataset.label_map(record).defects
    except FlawsmithError:
        return []  # an image that was removed after the test: the numbers still stand
    prediction = after.prediction(record.file_name, image.shape)
    focus = defect_pixels(truth)
    if prediction is not None and (kind == "false alarm" or not focus.any()):
        focus = focus | (prediction > 0)
    window = window_around(np.asarray(focus))
    if kind == "missed":
        return _missed_panels(image, truth, window, dataset, prediction)
    panels = []
    for tested in (before, after):
        if tested is not None:
            mask = tested.prediction(record.file_name, image.shape)
            drawn = draw(image, window, dataset.schema, truth=truth, prediction=mask, box=BOX)
            label = tested.arm.role if mask is not None else f"{tested.arm.role} (not saved)"
            panels.append(Panel(label=label, picture=photo(drawn)))
    return panels


def _missed_panels(
    image: Pixels,
    truth: LabelArray,
    window: Window,
    dataset: DefectDataset,
    prediction: LabelArray | None,
) -> list[Panel]:
    """Return the whole view with the place framed, the place plain, and the place outlined."""
    schema = dataset.schema
    frame = draw_frame(fit(image, BOX), window, image.shape)
    if window == whole(image.shape):
        frame = fit(image, BOX)
    plain = draw(image, window, schema, box=BOX)
    outlined = draw(image, window, schema, truth=truth, prediction=prediction, box=BOX)
    seen = prediction is not None and bool(window.of(prediction).any())
    last = "truth and prediction" if seen else "true outline"
    named = {"whole view": frame, "enlarged": plain, last: outlined}
    return [Panel(label=label, picture=photo(pixels)) for label, pixels in named.items()]
