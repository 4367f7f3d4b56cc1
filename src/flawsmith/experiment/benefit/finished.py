"""Folders that are complete say so, and how long they took; what a kill left behind does not."""

import json
from pathlib import Path
from typing import Any

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
    return float(_progress(run).get("seconds", 0.0))


def trained_share(run: Path, total_images: int) -> float:
    """Return how much of a training a kill left done, 0 to 1."""
    return min(1.0, float(_progress(run).get("images", 0)) / total_images)


def _progress(run: Path) -> dict[str, Any]:
    saved = ckpt.checkpoints(run)
    progress: dict[str, Any] = ckpt.read_state(saved[-1])["progress"] if saved else {}
    return progress
