"""Keeping those images of a data set that match, in place or as a new data set."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from flawsmith.data.check_report import Kind
from flawsmith.data.dataset import (
    METADATA_FILE,
    DefectDataset,
    ImageRecord,
    metadata_text,
    write_metadata,
)
from flawsmith.data.gallery.findings import CHECK_FILE, are_outdated, read_findings
from flawsmith.data.history import changing, write_origin
from flawsmith.data.relabelling import unknown_class
from flawsmith.errors import FlawsmithError
from flawsmith.registry import nearest_name
from flawsmith.storage import new_folder, sync_files

COPIED_TOGETHER = 64


@dataclass(frozen=True)
class Filter:
    """What an image must match: every option that is given, and one value of it.

    Attributes:
        classes: defects in the image.
        parts: physical pieces, with * and ? as wildcards.
        views: the same for views.
        folds: numbers.
        source: where it came from.
        state: good, defective (excluded images are neither), or excluded.
        findings: kinds that ``check.json`` lists for the image or its mask.
        invert: keep the others.
    """

    classes: Sequence[str] = ()
    parts: Sequence[str] = ()
    views: Sequence[str] = ()
    folds: Sequence[int] = ()
    source: Literal["real", "synthetic"] | None = None
    state: Literal["good", "defective", "excluded"] | None = None
    findings: Sequence[str] = ()
    invert: bool = False

    def arguments(self) -> list[str]:
        """Return it as on the command line."""
        named = (
            ("--class", self.classes),
            ("--part", self.parts),
            ("--view", self.views),
            ("--fold", self.folds),
            ("--source", [self.source] if self.source else []),
            ("--finding", self.findings),
        )
        result = [text for option, values in named for v in values for text in (option, str(v))]
        return result + [f"--{self.state}"] * bool(self.state) + ["--invert"] * self.invert


@dataclass(frozen=True)
class FilterReport:
    """What stays and what goes.

    Attributes:
        kept: records of the images that stay.
        removed: records of the others.
        notes: sentences on what else follows from it.
    """

    kept: list[ImageRecord]
    removed: list[ImageRecord]
    notes: list[str]

    def sentences(self) -> list[str]:
        """Return what was done, for the history and the terminal."""
        total = len(self.kept) + len(self.removed)
        return [f"{len(self.kept)} of {total} images kept", *self.notes]


def select(dataset: DefectDataset, what: Filter) -> FilterReport:
    """Return which images stay; nothing is written.

    Raises:
        FlawsmithError: if nothing was asked for, a value occurs nowhere, nothing would stay, or
            there are no findings that are up to date.
    """
    if not what.arguments() or what.arguments() == ["--invert"]:
        raise FlawsmithError("say what to keep, such as --class NAME; see: data filter --help")
    classes = {_class(dataset, name) for name in what.classes}
    _require_known("part", what.parts, {r.part for r in dataset})
    _require_known("view", what.views, {r.view for r in dataset})
    folds = {str(r.fold) for r in dataset if r.fold is not None}
    _require_known("fold", [str(fold) for fold in what.folds], folds)
    found = _files_with(dataset, what.findings) if what.findings else set()

    def matches(record: ImageRecord) -> bool:
        state = "good" if record.is_good else "defective"
        return (
            (not classes or bool(classes & set(record.labels)))
            and (not what.parts or _matches(record.part, what.parts))
            and (not what.views or _matches(record.view, what.views))
            and (not what.folds or record.fold in what.folds)
            and what.source in (None, record.source)
            and what.state in (None, "excluded" if record.excluded is not None else state)
            and (not what.findings or bool(found & {record.file_name, record.mask_file_name}))
        )

    kept = [record for record in dataset if matches(record) != what.invert]
    if not kept:
        raise FlawsmithError(
            f"no image of {dataset.root} matches {shlex.join(what.arguments())}; "
            "a data set needs an image at least, so nothing was changed"
        )
    names = {record.file_name for record in kept}
    removed = [record for record in dataset if record.file_name not in names]
    return FilterReport(kept, removed, _notes(kept, removed))


def _class(dataset: DefectDataset, name: str) -> str:
    try:
        return dataset.schema.defect(name).name
    except FlawsmithError:
        raise FlawsmithError(unknown_class(dataset.schema, name)) from None


def _matches(value: str, patterns: Sequence[str]) -> bool:
    wildcards = (pattern.replace("[", "[[]") for pattern in patterns)  # only * and ? are special
    return any(fnmatchcase(value, pattern) for pattern in wildcards)


def _require_known(what: str, patterns: Sequence[str], known: set[str]) -> None:
    for pattern in patterns:
        if not any(_matches(value, [pattern]) for value in known):
            some = sorted(filter(None, known))
            listed = ", ".join(some[:8]) + (", ..." if len(some) > 8 else "") or "none"
            near = nearest_name(pattern, some)
            raise FlawsmithError(f"no image has the {what} '{pattern}'{near} (there are: {listed})")


def _files_with(dataset: DefectDataset, kinds: Sequence[str]) -> set[str | None]:
    """Return the files that the last check lists with one of these kinds."""
    path = dataset.root / CHECK_FILE
    again = f"write it first: flawsmith data check {dataset.root}"
    if not path.is_file():
        raise FlawsmithError(f"--finding reads {path}, which is not there; {again}")
    if are_outdated(dataset.root):
        raise FlawsmithError(f"{path} is older than the last change of the data set; {again}")
    known = list(Kind.__args__)  # type: ignore[attr-defined]
    wanted = {kind.replace(" ", "_") for kind in kinds}
    for kind in sorted(wanted - set(known)):
        near = nearest_name(kind, known)
        raise FlawsmithError(f"--finding '{kind}' is no kind{near} (kinds: {', '.join(known)})")
    found = read_findings(dataset.root)
    return {file for file, entries in found.items() if any(kind in wanted for kind, _ in entries)}


def _notes(kept: Sequence[ImageRecord], removed: Sequence[ImageRecord]) -> list[str]:
    notes = []
    torn = {r.part for r in kept if r.source == "real"} & {
        r.part for r in removed if r.source == "real"
    }
    if torn:
        notes.append(f"{len(torn)} parts keep only some of their images")
    gone = {record.file_name for record in removed}
    orphans = sum(bool(gone & set(record.parents)) for record in kept)
    if orphans:
        notes.append(
            f"{orphans} synthetic images stay whose real images are removed; nothing can tell any "
            "more that they must not be trained on with these parts in the test"
        )
    return notes


def filter_in_place(root: Path, what: Filter) -> FilterReport:
    """Remove the images that do not match; `flawsmith.data.history.undo` brings them back.

    Raises:
        FlawsmithError: as `select`, or if the data set cannot be written.
    """
    select(DefectDataset.open(root), what)  # before anything is made
    with changing(root, "filter", what.arguments()) as changes:
        dataset = DefectDataset.open(root)
        report = select(dataset, what)
        if report.removed:
            used = {name for record in report.kept for name in files_of(record)}
            for name in sorted({n for r in report.removed for n in files_of(r)} - used):
                changes.remove(str(dataset.path(name).relative_to(root)))
            changes.write(METADATA_FILE, metadata_text(report.kept).encode())
            changes.summary += report.sentences()
    return report


def filter_to(
    root: Path, out: Path, what: Filter, *, progress: Callable[[int], object] | None = None
) -> FilterReport:
    """Copy the images that match into a new data set, which appears whole or not at all.

    Raises:
        FlawsmithError: as `select`, if a file is missing, or ``out`` exists.
    """
    dataset = DefectDataset.open(root)
    report = select(dataset, what)
    with new_folder(out, what="data set") as folder:
        dataset.schema.save(folder)
        copies: list[Path] = []
        for record in report.kept:
            for name in files_of(record):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(dataset.path(name), target)
                copies.append(target)
            if len(copies) >= COPIED_TOGETHER:
                sync_files(copies)
                copies = []
            if progress is not None:
                progress(1)
        sync_files(copies)
        write_metadata(folder / METADATA_FILE, report.kept)
        arguments = [str(root), *what.arguments()]
        write_origin(folder, "filter", arguments, [f"made from {root}", *report.sentences()])
    return report


def files_of(record: ImageRecord) -> list[str]:
    """Return the names of the files of an image."""
    names = (record.file_name, record.mask_file_name, record.background_file_name)
    return [name for name in names if name]
