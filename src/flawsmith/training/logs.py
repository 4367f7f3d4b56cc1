"""What a run writes down: ``metrics.jsonl``, TensorBoard events, ``environment.json``."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import torch

from flawsmith.storage import write_text

METRICS_FILE = "metrics.jsonl"
ENVIRONMENT_FILE = "environment.json"


class MetricsLog:
    """Appends one JSON line per report; a resumed run first drops what lies after its checkpoint.

    Args:
        run: the run's folder.
        images: progress to go on from; later lines are removed.
        tensorboard: also write TensorBoard events under ``tensorboard/``.
    """

    def __init__(self, run: Path, *, images: int = 0, tensorboard: bool = True) -> None:
        path = run / METRICS_FILE
        write_text(path, "".join(json.dumps(m) + "\n" for m in read_metrics(run, until=images)))
        self._stream = path.open("a", encoding="utf-8")
        self._board = _summary_writer(run / "tensorboard", images) if tensorboard else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        if self._board is not None:
            self._board.close()

    def write(self, images: int, values: dict[str, float]) -> None:
        """Add a line for the progress ``images``."""
        self._stream.write(json.dumps({"images": images, **values}) + "\n")
        self._stream.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, images)


def read_metrics(run: Path, *, until: int | None = None) -> list[dict[str, float]]:
    """Return the lines of ``metrics.jsonl`` up to ``until`` images; a torn last line is skipped."""
    path = run / METRICS_FILE
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # torn by a kill
        if until is None or line["images"] <= until:
            lines.append(line)
    return lines


def _summary_writer(folder: Path, images: int) -> Any:  # noqa: ANN401 - torch leaves it untyped
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=images or None)


def environment() -> dict[str, Any]:
    """Return what a figure may depend on: versions, processor features, threads."""
    packages = ("flawsmith", "torch", "numpy", "opencv-python-headless", "lightning")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "threads": torch.get_num_threads(),
        "cpu_count": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
