"""What a selection leaves on disk: accepted and rejected images, numbers, and the page."""

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flawsmith.data.dataset import DatasetWriter, DefectDataset, ImageRecord
from flawsmith.data.templates import render as fill
from flawsmith.data.thumbnails import displayed, fitted, outlined
from flawsmith.experiment.report.facts import Picture
from flawsmith.experiment.report.pictures import photo
from flawsmith.experiment.report.words import percent
from flawsmith.experiment.selection import words
from flawsmith.experiment.selection.facts import (
    PAGE_FILE,
    ClassSelection,
    ImageVerdict,
    RealDefect,
    Selection,
)
from flawsmith.experiment.selection.selecting import SelectionRequest
from flawsmith.experiment.synthesis import SynthesisSettings
from flawsmith.storage import new_folder, write_text

ACCEPTED = "accepted"
REJECTED = "rejected"
SHOWN = 12
"""Pictures of each kind and class, drawn at random."""

BOX = 160
Item = TypeVar("Item")


@dataclass(frozen=True)
class Tile:
    """A picture with what is said of it."""

    picture: Picture
    name: str
    lines: list[str]


@dataclass(frozen=True)
class Sheet:
    """The pictures of one class."""

    item: ClassSelection
    accepted: list[Tile]
    rejected: list[Tile]
    real: list[Tile]


def write_selection(request: SelectionRequest, result: Selection, out: Path) -> Path:
    """Write a folder with two data sets, ``selection.json`` and a page; return the page.

    Raises:
        FlawsmithError: if ``out`` exists and is not empty, or cannot be written.
    """
    verdicts = {verdict.file_name: verdict for verdict in result.images}
    with new_folder(out, what="selection") as folder:
        for name, wanted in ((ACCEPTED, True), (REJECTED, False)):
            records = [r for r in request.made if verdicts[r.file_name].accepted is wanted]
            _write_set(request.synthetic, records, folder / name)
        result.save(folder)
        pictures = _Pictures(request)
        sheets = [pictures.sheet(item, result) for item in result.classes]
        write_text(folder / PAGE_FILE, _render(result, sheets))
    return out / PAGE_FILE


def _write_set(dataset: DefectDataset, records: Sequence[ImageRecord], folder: Path) -> None:
    """Copy images with all that is known of them; the settings tell how many of each there are."""
    written_anew = {"file_name", "mask_file_name", "background_file_name", "sha256", "height",
                    "width"}  # fmt: skip
    with DatasetWriter(folder, dataset.schema) as writer:
        for record in records:
            writer.add(
                Path(record.file_name).stem,
                dataset.path(record.file_name),
                dataset.label_map(record),
                **record.model_dump(exclude=written_anew),
            )
    settings = SynthesisSettings.load(dataset.root)
    if settings is not None:
        plan = {name: sum(name in r.labels for r in records) for name in settings.plan}
        settings.model_copy(update={"plan": plan}).save(folder)


class _Pictures:
    """Draws from the verdicts at random, never by their figures."""

    def __init__(self, request: SelectionRequest) -> None:
        self.request = request
        self.records = {record.file_name: record for record in request.made}
        self.real_records = {record.file_name: record for record in request.validation}

    def sheet(self, item: ClassSelection, result: Selection) -> Sheet:
        """Return accepted, rejected and real defects of a class."""
        shown = [v for v in result.images if any(f.name == item.name for f in v.figures.defects)]
        real = [r for r in result.real if r.figures.name == item.name]
        return Sheet(
            item,
            [self._made(v, item.name) for v in _drawn([v for v in shown if v.accepted])],
            [self._made(v, item.name) for v in _drawn([v for v in shown if not v.accepted])],
            [self._real(r) for r in _drawn(real)],
        )

    def _made(self, verdict: ImageVerdict, name: str) -> Tile:
        record = self.records[verdict.file_name]
        own = verdict.figures_of(name)
        lines = [words.reason(reason) for reason in verdict.reasons]
        return Tile(
            self._picture(self.request.synthetic, record, None),
            verdict.file_name,
            lines or [f"probability {own.probability:.2f}, found {percent(own.found)}"],
        )

    def _real(self, defect: RealDefect) -> Tile:
        own = defect.figures
        lines = [f"probability {own.probability:.2f}, found {percent(own.found)}"]
        picture = self._picture(
            self.request.data, self.real_records[defect.file_name], defect.window
        )
        return Tile(
            picture, defect.file_name, lines + (["would be rejected"] if defect.fails else [])
        )

    def _picture(
        self, dataset: DefectDataset, record: ImageRecord, window: tuple[int, int, int, int] | None
    ) -> Picture:
        top, left, height, width = window or (0, 0, record.height, record.width)
        box = (slice(top, top + height), slice(left, left + width))
        shown = displayed(fitted(dataset.image(record)[box], BOX), dataset.schema)
        return photo(outlined(shown, dataset.label_map(record).defects[box], dataset.schema))


def _drawn(items: list[Item]) -> list[Item]:
    return random.Random(0).sample(items, min(SHOWN, len(items)))


def _render(result: Selection, sheets: list[Sheet]) -> str:
    command = ["flawsmith", "select", result.synthetic, "--model", result.model]
    command += ["--data", result.data, "--quantile", f"{result.quantile:g}"]
    command += [] if result.copies_checked else ["--no-copies"]
    return fill(
        "flawsmith.experiment.report",
        "selection.html.j2",
        page=result,
        sheets=sheets,
        words=words,
        command=shlex.join(command),
    )
