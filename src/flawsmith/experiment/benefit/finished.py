"""Folders that are complete say so, and how long they took; what a kill left behind does not."""

import json
from pathlib import Path

from flawsmith.storage import write_text
from flawsmith.training import checkpoint as ckpt

FINISHED_FILE = "finished.json"


def finish(folder: Path, seconds: float) -> None:
    """Write that a folder is complete."""
    write_text(folder / FINISHED_FILE, json.dumps({"seconds": round(seconds, 1)}) + "\n")


def finished_seconds(folder: Path) -> float | None:
    """Return how long a complete folder took; None for any other."""
    path = folder / FINISHED_FILE
    if not path.is_file():
        return None
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])


def trained_seconds(run: Path) -> float:
    """Return the seconds of training in a run that a kill left behind."""
    saved = ckpt.checkpoints(run)
    return float(ckpt.read_state(saved[-1])["progress"].get("seconds", 0.0)) if saved else 0.0
