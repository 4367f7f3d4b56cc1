"""What a run folder tells of its training: losses, time, configuration, environment."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

from pydantic import Field

from flawsmith.config import StrictModel

METRICS_FILE = "metrics.jsonl"
CONFIG_FILE = "config.toml"
ENVIRONMENT_FILE = "environment.json"
VALIDATION_KEY = "val/macro_iou"
POINTS = 160


class Series(StrictModel):
    """One curve: a value over the images seen."""

    name: str
    images: list[float]
    values: list[float]


class TrainingLog(StrictModel):
    """What one run logged.

    Attributes:
        images: images seen at the end; None where nothing was logged.
        seconds: training time at the end.
        losses: at most ``POINTS`` points each, means of equal stretches.
        validation: macro IoU, or another figure, on inner validation parts.
        config: the text of ``config.toml``, or empty.
    """

    label: str
    colour: str
    run: str
    images: float | None
    seconds: float | None
    losses: list[Series]
    validation: Series | None
    config: str = Field(exclude=True)
    environment: dict[str, str]

    @property
    def images_per_second(self) -> float | None:
        """Mean speed over the run."""
        return self.images / self.seconds if self.images and self.seconds else None


def read_training_log(
    run: Path, *, label: str, colour: str, validation: str = VALIDATION_KEY
) -> TrainingLog:
    """Read what a run folder has; a file that is absent leaves its field empty.

    Args:
        run: the folder.
        label: what the run is called.
        colour: of its curves.
        validation: name of the figure that its validation is judged by.
    """
    lines = _read_lines(run / METRICS_FILE)
    names = list(dict.fromkeys(name for line in lines for name in line))
    losses = [
        _series(name, lines)
        for name in names
        if name not in ("images", "seconds") and not name.startswith("val/")
    ]
    return TrainingLog(
        label=label,
        colour=colour,
        run=str(run),
        images=max((line["images"] for line in lines), default=None),
        seconds=max((line["seconds"] for line in lines if "seconds" in line), default=None),
        losses=[smooth(series) for series in losses if series.values],
        validation=_series(validation, lines) if validation in names else None,
        config=_read_text(run / CONFIG_FILE),
        environment=_read_environment(run / ENVIRONMENT_FILE),
    )


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _read_lines(path: Path) -> list[dict[str, float]]:
    """Return the finite numbers of each line that says how many images it stands for.

    A torn last line, which a kill can leave, is skipped.
    """
    lines = []
    for text in _read_text(path).splitlines():
        try:
            values = json.loads(text)
        except ValueError:
            continue
        if not isinstance(values, dict):
            continue
        numbers = {k: float(v) for k, v in values.items() if _is_number(v)}
        if "images" in numbers:
            lines.append(numbers)
    return lines


def _is_number(value: Any) -> bool:  # noqa: ANN401 - a JSON value has any type
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _series(name: str, lines: list[dict[str, float]]) -> Series:
    points = [(line["images"], line[name]) for line in lines if name in line]
    return Series(name=name, images=[p[0] for p in points], values=[p[1] for p in points])


def smooth(series: Series, limit: int = POINTS) -> Series:
    """Return the series as means over at most ``limit`` equal stretches of its points."""
    count = len(series.values)
    if count <= limit:
        return series
    edges = [round(i * count / limit) for i in range(limit + 1)]
    spans = list(itertools.pairwise(edges))

    def means(values: list[float]) -> list[float]:
        return [sum(values[a:b]) / (b - a) for a, b in spans]

    return Series(name=series.name, images=means(series.images), values=means(series.values))


def _read_environment(path: Path) -> dict[str, str]:
    try:
        values = json.loads(_read_text(path) or "{}")
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        str(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
    }
