"""Which images show one physical piece, where the origin of a data set did not say it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flawsmith.config import StrictModel, validate
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.views import ViewImage, Views, find_views
from flawsmith.storage import write_text

VIEWS_FILE = "views.json"


class StoredViews(StrictModel):
    """``views.json``: what the comparison found, and a hash of the files that it compared."""

    files: str
    views: Views


@dataclass(frozen=True)
class Grouping:
    """Parts after the views that were found are joined.

    Attributes:
        records: of the whole data set, in their order.
        groups: file names of each part that was joined from several.
        contradictions: groups whose images the origin put into different parts; they stay apart.
    """

    records: list[ImageRecord]
    groups: list[list[str]]
    contradictions: list[list[str]]


def need_comparison(records: Iterable[ImageRecord]) -> bool:
    """Tell whether nobody said yet which real images show one piece."""
    return any(r.source == "real" and r.part_source == "file" for r in records)


def dataset_views(dataset: DefectDataset, progress: Callable[[int], object] | None = None) -> Views:
    """Return the views of one part among the real images; compared once, kept in ``views.json``.

    Args:
        dataset: excluded images are compared too, for they keep the fold of their part.
        progress: see `find_views`.
    """
    known = stored_views(dataset)
    if known is not None:
        return known
    real = [r for r in dataset.records if r.source == "real"]
    files, path = _digest(real), dataset.root / VIEWS_FILE
    images = [ViewImage(r.file_name, dataset.path(r.file_name)) for r in real]
    views = find_views(images, progress=progress)
    write_text(path, StoredViews(files=files, views=views).model_dump_json(indent=1) + "\n")
    return views


def stored_views(dataset: DefectDataset) -> Views | None:
    """Return what an earlier comparison found, or None if there was none of just these images."""
    stored = _read(dataset.root / VIEWS_FILE)
    files = _digest(record for record in dataset.records if record.source == "real")
    return stored.views if stored is not None and stored.files == files else None


def join_parts(records: Sequence[ImageRecord], groups: Sequence[Sequence[str]]) -> Grouping:
    """Give the images of each group one part; what the origin said is never overruled.

    The part is the origin's, where it named one for some of them, else that of the first image.
    Afterwards every real image without a part from its origin counts as compared.
    """
    by_name = {record.file_name: record for record in records}
    part_of: dict[str, str] = {}
    joined: list[list[str]] = []
    contradictions: list[list[str]] = []
    for group in groups:
        members = [by_name[name] for name in group if name in by_name]
        told = sorted({r.part for r in members if r.part_source == "origin"})
        free = [r for r in members if r.part_source != "origin"]
        if len(told) > 1:
            contradictions.append([r.file_name for r in members])
        if free and len(members) > 1:
            part = told[0] if told else members[0].part
            part_of.update((r.file_name, part) for r in free)
            joined.append([r.file_name for r in members])
    updated = [
        r.model_copy(update={"part": part_of.get(r.file_name, r.part), "part_source": "views"})
        if r.source == "real" and r.part_source != "origin"
        else r
        for r in records
    ]
    return Grouping(updated, joined, contradictions)


def leaks(records: Iterable[ImageRecord], groups: Sequence[Sequence[str]]) -> int:
    """Return how many images in use have a view of their piece in another fold than their own."""
    fold_of = {r.file_name: r.fold for r in records if r.excluded is None and r.fold is not None}
    count = 0
    for group in groups:
        known = [name for name in group if name in fold_of]
        if len({fold_of[name] for name in known}) > 1:
            count += len(known)
    return count


def _digest(records: Iterable[ImageRecord]) -> str:
    lines = sorted((record.file_name, record.sha256) for record in records)
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16]


def _read(path: Path) -> StoredViews | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # compared anew
    return validate(StoredViews, values, source=str(path))
