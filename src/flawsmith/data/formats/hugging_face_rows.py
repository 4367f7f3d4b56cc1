"""Rows of Hugging Face tables: reading pictures, naming mask values, painting labels."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.formats.canvas import Canvas, is_class, read_index_values, to_binary
from flawsmith.data.formats.folder import OutsideSourceError, SourceFolder, is_good_name
from flawsmith.data.formats.hugging_face_labels import (
    DEFECT,
    Columns,
    LabelReader,
    Said,
    learn_mask_names,
)
from flawsmith.data.formats.hugging_face_tables import PictureReader, Row, Table, file_in
from flawsmith.data.formats.index_png import is_binary
from flawsmith.data.images import LabelArray
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError


@dataclass(frozen=True)
class Entry:
    """One image of a table.

    Attributes:
        file: the image file, or the table's with the row and the name that the row tells.
        said: what its row says.
        row: all cells that were read; pictures as their path only.
        embedded: whether the table holds the image itself.
        mask: a listed file or nested numbers; None if the table holds it or there is none.
    """

    file: str
    table: Table
    columns: Columns
    number: int
    said: Said
    row: Row
    embedded: bool
    mask: Any = None

    def told(self) -> dict[str, Any]:
        """Return the fields of `SourceImage` that our own metadata tell."""
        kept = {column: self.row[column] for column in self.columns.kept}
        excluded = kept.get("excluded") or None
        if kept.get("source") == "synthetic":
            excluded = "it is synthetic; only real images are imported"
        own_part = kept.get("part_source", "origin") == "origin"
        fold = str(kept.get("fold"))
        return {
            "part": str(kept["part"]) if kept.get("part") and own_part else None,
            "view": str(kept.get("view") or ""),
            "fold": int(fold) if fold.isdecimal() else None,
            "excluded": str(excluded) if excluded else None,
        }


class Pictures:
    """Reads images and masks of entries, in the order of their rows, a batch at a time."""

    def __init__(self, folder: SourceFolder) -> None:
        self._folder = folder
        self._reader = PictureReader()

    def embedded(self, entry: Entry) -> bytes:
        """Return the image file that a row holds, or that it names.

        Raises:
            FlawsmithError: if there is none.
        """
        data = self._content(entry, entry.columns.image)
        if not isinstance(data, bytes):
            raise FlawsmithError(f"row {entry.number} of {entry.table.file} has no image")
        return data

    def mask_values(self, entry: Entry) -> LabelArray | None:
        """Return H x W mask values, or None without a mask.

        Raises:
            FlawsmithError: if it cannot be read.
        """
        mask = entry.mask
        if entry.columns.mask in entry.table.pictures:
            mask = self._content(entry, entry.columns.mask or "")
        if isinstance(mask, str):
            return read_index_values(self._folder.path(mask))
        if isinstance(mask, list):
            return _numbers(mask, entry)
        if mask is None:
            return None
        if not isinstance(mask, bytes):
            raise FlawsmithError(
                f"the mask in row {entry.number} of {entry.table.file} is a "
                f"{type(mask).__name__}; expected a file's name, its bytes or nested numbers"
            )
        return _decode(mask, entry)

    def count_mask_values(self, entries: Sequence[Entry]) -> NDArray[np.int64]:
        """Read every mask once, note its values, and return how often each of 0 to 255 occurs.

        A damaged mask is told when it is painted.
        """
        counts = np.zeros(256, np.int64)
        for entry in entries:
            if not entry.columns.mask:
                continue
            try:
                values = self.mask_values(entry)
            except FlawsmithError:
                continue
            if values is not None:
                found = np.bincount(values.ravel(), minlength=256)
                entry.said.values = np.flatnonzero(found).tolist()
                counts += found
        return counts

    def _content(self, entry: Entry, column: str) -> Any:  # noqa: ANN401 - bytes or nested lists
        # Image and mask are read together: the reader goes through the table once.
        wanted = [c for c in (entry.columns.image, entry.columns.mask) if c in entry.table.pictures]
        columns = [c for c in wanted if c]
        cell = self._reader.cells(entry.table, entry.number, columns)[column]
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        name = cell.get("path") if isinstance(cell, dict) else None
        if data is not None or not name:
            return data
        try:
            found = file_in(self._folder, entry.table, str(name))
        except OutsideSourceError as error:
            raise FlawsmithError(f"row {entry.number} of {entry.table.file} {error}") from None
        if found is None:
            raise FlawsmithError(
                f"row {entry.number} of {entry.table.file} names '{name}', which is not there"
            )
        return self._folder.read_bytes(found)


def _decode(data: bytes, entry: Entry) -> LabelArray:
    with tempfile.NamedTemporaryFile(suffix=".png") as scratch:
        scratch.write(data)
        scratch.flush()
        try:
            return read_index_values(Path(scratch.name))
        except FlawsmithError as error:
            where = f"the mask in row {entry.number} of {entry.table.file}"
            raise FlawsmithError(str(error).replace(scratch.name, where)) from None


def _numbers(rows: list[Any], entry: Entry) -> LabelArray:
    try:
        values = np.array(rows)
        if values.ndim == 2 and 0 <= values.min() and values.max() <= IGNORE:
            return values.astype(np.uint8)
    except (ValueError, TypeError):
        pass
    raise FlawsmithError(
        f"the mask in row {entry.number} of {entry.table.file} is no table of numbers "
        f"from 0 to {IGNORE}"
    )


@dataclass
class MaskClasses:
    """What mask values mean.

    Attributes:
        of_label: the masks have one class: that of the image's label.
        names: the class of each value, otherwise.
        unknown: values that nobody names.
        notes: sentences for the user.
    """

    of_label: bool
    threshold: Callable[[LabelArray], Any] | None = None
    names: dict[int, str] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def learn(
        cls,
        counts: NDArray[np.int64],
        entries: Sequence[Entry],
        readers: Sequence[LabelReader],
        listed: dict[int, str],
        *,
        own: bool,
    ) -> Self:
        """Find the names of the values that occur.

        Args:
            counts: how often each value from 0 to 255 occurs.
            entries: all, with the values of their masks.
            readers: those of their tables.
            listed: what ``classes.txt`` says.
            own: our own index masks, of which 255 alone is not binary.

        Raises:
            FlawsmithError: if the masks are grey images.
        """
        values = [v for v in np.flatnonzero(counts).tolist() if v not in (0, IGNORE)]
        if not own and counts.any() and is_binary(counts):
            note = "The masks have two values: the class is that of the image's label, or 'defect'."
            return cls(of_label=True, threshold=to_binary, notes=[note])
        if not own and values == [1] and not listed:
            return cls(of_label=True)
        names = dict(listed) or next((n for r in readers if (n := _counted(r, values))), {})
        names |= {v: n for v, n in _told(entries).items() if v not in names}
        unknown = [value for value in values if value not in names]
        names |= {value: f"class_{value}" for value in unknown}
        return cls(of_label=False, names={v: names[v] for v in values}, unknown=unknown)

    def all_names(self, entry: Entry) -> set[str]:
        """Return every class that painting an entry can use."""
        said = entry.said
        found = {*(said.names or []), *(name for name, _ in said.boxes or []), *said.damaged}
        found |= set(_weak(entry))
        if self.of_label and any(value != 0 for value in said.values or []):
            found.add(_only(said))
        return found | {self.names[v] for v in said.values or [] if v in self.names}

    def paint(self, entry: Entry, pictures: Pictures, canvas: Canvas) -> None:
        """Label the image of an entry.

        Raises:
            FlawsmithError: if its mask cannot be read.
        """
        said = entry.said
        values = pictures.mask_values(entry)
        if values is None and said.names is None and said.boxes is None:
            canvas.unlabelled("its row says nothing about it")
            return
        painted = set() if values is None else self._paint_mask(said, values, canvas)
        if painted and said.names == []:
            canvas.note("contradiction", "its label says good, its mask does not; the mask counts")
        if values is not None and said.names and not painted:
            canvas.note("empty mask", f"the image shows '{said.names[0]}', its mask has no pixel")
        for name in dict.fromkeys([*(said.names or []), *_weak(entry)]):
            if name not in painted or name in _weak(entry):
                canvas.label(name)
        for name in said.damaged:
            canvas.note("unreadable labels", f"'{name}' has a damaged box: image label")
            canvas.label(name)
        for name, corners in said.boxes or []:
            canvas.box(name, corners)

    def _paint_mask(self, said: Said, values: LabelArray, canvas: Canvas) -> set[str]:
        """Paint a mask and return the classes in it."""
        if self.threshold is not None:
            where = np.asarray(self.threshold(values), np.bool_)
            if not where.any():
                canvas.ignore(where)  # no pixel, but its size is compared
                return set()
            canvas.paint(_only(said), where)
            return {_only(said)}
        canvas.ignore(values == IGNORE)
        painted = set()
        for value in np.unique(values).tolist():
            if value not in (0, IGNORE):
                name = _only(said) if self.of_label else self.names[value]
                canvas.paint(name, values == value)
                painted.add(name)
        return painted


def _only(said: Said) -> str:
    """Return the one class of a mask with two values."""
    return said.names[0] if said.names and len(said.names) == 1 else DEFECT


def _weak(entry: Entry) -> list[str]:
    weak = entry.row.get("weak_labels") if "weak_labels" in entry.columns.kept else None
    return [str(name) for name in weak] if isinstance(weak, list) else []


def _counted(reader: LabelReader, values: Sequence[int]) -> dict[int, str]:
    """Return ClassLabel names by number where 0 means no defect, as in a mask."""
    names = reader.names
    background = bool(names) and (is_good_name(names[0]) or not is_class(names[0]))
    if not background or max(values, default=0) >= len(names):
        return {}
    return {value: names[value] for value in values}


def _told(entries: Sequence[Entry]) -> dict[int, str]:
    """Return the names that images with a mask tell; a label without a place tells nothing."""
    sure = []
    for entry in entries:
        names = [name for name in entry.said.names or [] if name not in _weak(entry)]
        sure.append(Said(names, values=entry.said.values))
    return learn_mask_names(sure)
