"""The ledger: one line a finished run, small enough to be committed, enough to be checked.

A line names data, configuration and code by hash, so that a long experiment goes on where it
stopped and a figure in the documentation can be traced.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.source import code_hash
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.training.config import CONFIG_FILE


def ledger_line(run: Path) -> dict[str, Any]:
    """Return the line of a tested inspection model's run."""
    evaluation = Evaluation.load(run)
    config = (run / CONFIG_FILE).read_bytes()
    classes = {
        c.name: [c.true_positive, c.false_positive, c.false_negative, c.parts]
        for c in evaluation.classes
    }
    missed = [p.part for p in evaluation.parts if p.labels and p.verdict == "PASS"]
    return _image_figures(evaluation) | {
        "arm": evaluation.arm,
        "model": evaluation.model,
        "fold": evaluation.fold,
        "data": evaluation.data_fingerprint,
        "config": hashlib.sha256(config).hexdigest()[:16],
        "code": code_hash(),
        "macro_iou": _rounded(evaluation.macro_iou),
        "tp_fp_fn_parts": classes,
        "escape": [evaluation.escape.count, evaluation.escape.total] if evaluation.escape else None,
        "overkill": (
            [evaluation.overkill.count, evaluation.overkill.total] if evaluation.overkill else None
        ),
        "missed": missed,
        "part_auroc": _rounded(evaluation.part_auroc),
        "false_regions_per_good_part": _rounded(evaluation.false_regions_per_good_part),
        "training_images": evaluation.composition,
    }


def _image_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return what a line says besides where images are counted."""
    if evaluation.level == "pixel":
        return {}
    return {
        "level": "image",
        "macro_f1": _rounded(evaluation.macro_f1),
        "macro_balanced_accuracy": _rounded(evaluation.macro_balanced_accuracy),
    }


def part_figures(evaluation: Evaluation) -> dict[str, list[Any]]:
    """Return what statistics need of each part: its labels, P or F, and its counts.

    Counts are [true positive, false positive, false negative] pixels, or images; classes without
    any are left out. At the level of images the number of images follows, of which those that a
    class does not count are true negatives.
    """
    return {
        part.part: [
            part.labels,
            part.verdict[0],
            {name: counts for name, counts in part.counts.items() if any(counts)},
            *([len(part.views)] if evaluation.level == "image" else []),
        ]
        for part in evaluation.parts
    }


def append(ledger: Path, run: Path) -> None:
    """Add a run's line to a ledger, unless the same line is in it already."""
    line = ledger_line(run)
    if line not in read_lines(ledger):
        append_line(ledger, line)


def append_line(ledger: Path, line: dict[str, Any]) -> None:
    """Add a line in one write, so that two experiments may share a ledger."""
    text = json.dumps(line, separators=(",", ":")) + "\n"
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("ab") as stream:
            torn = stream.tell() and not ledger.read_bytes().endswith(b"\n")
            stream.write((("\n" if torn else "") + text).encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise FlawsmithError(f"cannot write {ledger}: {error.strerror or error}") from error


def read_lines(ledger: Path) -> list[dict[str, Any]]:
    """Return the lines of a ledger, none if there is no such file; a torn line is left out."""
    if not ledger.is_file():
        return []
    lines = []
    for text in ledger.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a kill in the middle of a write: that run is simply not in it
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
