"""All numbers of a robustness test as plain data: a line a finished cell, and the whole."""

import json
from pathlib import Path

from flawsmith.config import StrictModel
from flawsmith.metrics.evaluation import Interval, Rate
from flawsmith.storage import write_text

FACTS_FILE = "robustness.json"
PAGE_FILE = "robustness.html"
CELLS_FILE = "cells.jsonl"
UNDISTURBED = "undisturbed"
VIEW = "view"


class PartFigures(StrictModel):
    """What a cell keeps of a part.

    Attributes:
        defective: whether any of its views shows a defect.
        fails: the verdict.
        score: of its worst view, 0 to 1.
        counts: [true positive, false positive, false negative] pixels of each class; empty for a
            model that knows no classes.
    """

    part: str
    defective: bool
    fails: bool
    score: float
    counts: list[list[int]]


class Cell(StrictModel):
    """A finished test: the same images under one disturbance; a line of ``cells.jsonl``.

    Attributes:
        key: hash of model, tested images, code, disturbance and strength.
        disturbance: its name, `UNDISTURBED` or `VIEW`.
        strength: None without one.
        view: whose images alone were tested; empty for all.
        classes: IoU by class, None where a class is absent.
    """

    key: str
    disturbance: str
    strength: float | None
    view: str = ""
    macro_iou: float | None
    macro_iou_interval: Interval | None
    escape: Rate | None
    overkill: Rate | None
    part_auroc: float | None
    classes: dict[str, float | None]
    parts: list[PartFigures]
    images: int
    seconds: float


class Change(StrictModel):
    """A figure less the same of the undisturbed images, paired over parts.

    Attributes:
        low: of the 95 % interval from a bootstrap over parts; None with too few of them.
    """

    value: float
    low: float | None
    high: float | None


class VerdictChange(Change):
    """The change of a rate of wrong verdicts.

    Attributes:
        newly_wrong: parts judged wrongly only when disturbed.
        newly_right: parts judged wrongly only when not disturbed.
        p: of McNemar's exact test, two-sided.
    """

    newly_wrong: int
    newly_right: int
    p: float


class Row(StrictModel):
    """One disturbance at one strength.

    Attributes:
        text: the strength as it is read.
        seen_in_training: of a view, whether training had images of it; None where that is unknown.
        macro_change: over the classes that are present in both.
    """

    disturbance: str
    strength: float | None
    text: str
    seen_in_training: bool | None = None
    images: int
    macro_iou: float | None
    macro_iou_interval: Interval | None
    escape: Rate | None
    overkill: Rate | None
    part_auroc: float | None
    classes: dict[str, float | None]
    macro_change: Change | None = None
    escape_change: VerdictChange | None = None
    overkill_change: VerdictChange | None = None
    auroc_change: Change | None = None


class Robustness(StrictModel):
    """What ``flawsmith model robustness`` found; ``robustness.json``.

    Attributes:
        run: folder of the inspection model.
        model_hash: of its weights and thresholds.
        rows: disturbed, by disturbance and strength.
        views: undisturbed images of one view each, where parts have several.
        only: the disturbances that were asked for; empty for all.
    """

    format_version: int = 1
    run: str
    arm: str
    model: str
    model_hash: str
    data: str
    data_fingerprint: str
    fold: int
    simulated: bool
    defective_parts: int
    good_parts: int
    undisturbed: Row
    rows: list[Row]
    views: list[Row]
    only: list[str]
    seconds: float
    version: str

    def save(self, folder: Path) -> Path:
        """Write ``robustness.json`` and return its path."""
        path = folder / FACTS_FILE
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path


def cell_line(cell: Cell) -> dict[str, object]:
    """Return a cell as plain data for its line."""
    values: dict[str, object] = json.loads(cell.model_dump_json())
    return values
