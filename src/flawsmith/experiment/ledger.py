"""The ledger: one line a finished run, small enough to be committed, enough to be checked.

A line names data, configuration and code by hash, so that a long experiment goes on where it
stopped and a figure in the documentation can be traced.
"""

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from flawsmith.metrics.evaluation import Evaluation
from flawsmith.storage import write_text
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
    return {
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


def append(ledger: Path, run: Path) -> None:
    """Add a run's line to a ledger, unless the same line is in it already."""
    line = json.dumps(ledger_line(run), separators=(",", ":"))
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
    if line not in lines:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        write_text(ledger, "\n".join([*lines, line]) + "\n")


def code_hash() -> str:
    """Return a short hash of the package's own source."""
    root = Path(str(resources.files("flawsmith")))
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".toml"):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
