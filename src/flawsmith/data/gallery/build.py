"""Building the page of a data set: only what changed since the last time is read again."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.gallery.columns import page_data, to_script
from flawsmith.data.gallery.findings import Findings, are_outdated, read_findings
from flawsmith.data.gallery.journal import JOURNAL_FILE, Journal
from flawsmith.data.gallery.tiles import (
    SHEET_TILES,
    GalleryImage,
    Sheet,
    look_of,
    render_sheet,
    tile_key,
)
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_bytes

GALLERY_FOLDER = ".gallery"
"""Inside the data set; hidden, so that other readers of the folder skip it."""

STATIC_FILES = ("gallery.css", "filters.js", "grid.js", "viewer.js", "gallery.js")

_Group = list[tuple[str, ImageRecord]]


def build_gallery(
    dataset: DefectDataset,
    out: Path | None = None,
    *,
    findings: Findings | None = None,
    progress: Callable[[int], object] | None = None,
    workers: int | None = None,
) -> Path:
    """Write the page of a data set and return its ``index.html``, which opens without a server.

    Thumbnails are kept: a second build reads only images that are new or changed, and a build that
    was killed goes on. Images that cannot be read are shown with the reason.

    Args:
        dataset: is not changed.
        out: folder of the page; by default ``.gallery`` in the data set.
        findings: (kind, message) by file relative to the data set; by default those of its
            ``check.json``.
        progress: called with a number of finished images.
        workers: threads that read images; by default one for each processor.

    Raises:
        FlawsmithError: if ``out`` holds something else, or cannot be written.
    """
    outdated = False
    if findings is None:
        findings, outdated = read_findings(dataset.root), are_outdated(dataset.root)
    out = dataset.root / GALLERY_FOLDER if out is None else Path(out)
    _prepare(out)
    look = look_of(dataset.schema)
    keys = [tile_key(dataset, record, look) for record in dataset]
    with Journal.open(out) as journal:
        absent = [
            (key, record)
            for key, record in zip(keys, dataset, strict=True)
            if key is not None and key not in journal
        ]
        if progress is not None:
            progress(len(dataset) - len(absent))
        problems: dict[str, str] = {}
        for group, sheet in _render(dataset, absent, out, workers or os.cpu_count() or 1):
            journal.add(sheet)
            problems |= {group[place][0]: reason for place, reason in sheet.problems.items()}
            if progress is not None:
                progress(len(group))
        images = [_image(journal, key, problems) for key in keys]
        journal.drop_unused({key for key in keys if key is not None})
    data = page_data(dataset, images, findings, out=out, findings_outdated=outdated)
    return _write_page(out, to_script(data), dataset.schema.name)


def _prepare(out: Path) -> None:
    try:
        if out.is_dir() and any(out.iterdir()) and not (out / JOURNAL_FILE).is_file():
            raise FlawsmithError(
                f"{out} exists and holds no gallery; give another folder for it, or empty this one"
            )
        out.mkdir(parents=True, exist_ok=True)
        (out / JOURNAL_FILE).touch()  # first, so that a killed build is known as ours
        for name in ("sheets", "previews", "masks"):
            (out / name).mkdir(exist_ok=True)
    except OSError as error:
        raise FlawsmithError(
            f"cannot write the gallery {out} ({error.strerror or error}); "
            "give a folder for it that you can write"
        ) from None


def _render(
    dataset: DefectDataset, absent: Sequence[tuple[str, ImageRecord]], out: Path, workers: int
) -> Iterator[tuple[_Group, Sheet]]:
    """Yield the sheets in order; at most two for each thread are in memory."""
    waiting: deque[tuple[_Group, Future[Sheet]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            for start in range(0, len(absent), SHEET_TILES):
                group = list(absent[start : start + SHEET_TILES])
                waiting.append((group, threads.submit(render_sheet, dataset, group, out)))
                if len(waiting) >= 2 * workers:
                    group, future = waiting.popleft()
                    yield group, future.result()
            while waiting:
                group, future = waiting.popleft()
                yield group, future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _image(journal: Journal, key: str | None, problems: Mapping[str, str]) -> GalleryImage:
    if key is None:
        return GalleryImage(problem="there is no such file")
    if key in journal:
        return journal.image(key)
    return GalleryImage(problem=problems[key])


def _write_page(out: Path, script: str, title: str) -> Path:
    static = resources.files("flawsmith.data.gallery") / "static"
    write_bytes(out / "data.js", script.encode("ascii"))
    for name in STATIC_FILES:
        write_bytes(out / name, (static / name).read_bytes())
    # Last, so that an index.html always finds the rest.
    write_bytes(out / "index.html", (static / "gallery.html").read_bytes())
    return out / "index.html"
