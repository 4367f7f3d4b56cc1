"""How far an import came: one line an image, so that a killed import goes on where it stopped."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from flawsmith.config import StrictModel
from flawsmith.data.dataset import METADATA_FILE, ImageRecord, read_metadata, write_metadata
from flawsmith.data.formats.pixel_facts import PixelFacts
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text

JOURNAL_FILE = ".import.jsonl"


class Entry(StrictModel):
    """What became of one image of the source.

    Attributes:
        file: in the data set; None if the image was not imported.
        pixels: None in that case too.
        findings: kind and message of what was odd.
    """

    file: str | None = None
    pixels: PixelFacts | None = None
    findings: list[tuple[str, str]] = []


class ImportJournal:
    """The finished images of an unfinished import, in the order of the source.

    Lines are written after the writer of the data set has flushed the same images, so that the
    journal never says more than is on disk.

    Attributes:
        done: entry and record of each image that an earlier try finished.
    """

    def __init__(self, root: Path, done: list[tuple[Entry, ImageRecord | None]]) -> None:
        self.done = done
        self._path = root / JOURNAL_FILE
        self._stream = self._path.open("a", encoding="utf-8")
        self._lines: list[str] = []

    @classmethod
    def open(cls, root: Path, key: str, *, keep: str) -> Self:
        """Go on with what an earlier try left in ``root``, or clear the folder.

        Args:
            root: the unfinished data set.
            key: what an earlier try must have had to count: the same source and options.
            keep: name in ``root`` that is never cleared.
        """
        done = list(_read(root, key))
        if not done:
            _clear(root, keep)
        write_metadata(root / METADATA_FILE, [record for _, record in done if record])
        lines = [json.dumps({"key": key}), *(entry.model_dump_json() for entry, _ in done)]
        write_text(root / JOURNAL_FILE, "".join(f"{line}\n" for line in lines))
        return cls(root, done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._stream.closed:
            self.flush()
            self._stream.close()

    def add(self, entry: Entry) -> None:
        """Note an image; it counts with the next `flush`."""
        self._lines.append(entry.model_dump_json(exclude_defaults=True) + "\n")

    def flush(self) -> None:
        """Put the lines on disk; the data set's files and lines must be there already."""
        self._stream.write("".join(self._lines))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._lines = []

    def remove(self) -> None:
        """Delete the journal of a finished import."""
        self._stream.close()
        self._path.unlink()


def _clear(root: Path, keep: str) -> None:
    for path in root.iterdir():
        if path.name == keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _read(root: Path, key: str) -> Iterator[tuple[Entry, ImageRecord | None]]:
    """Yield what is surely finished; nothing if it belongs to another source or other options."""
    try:
        *lines, _torn = (root / JOURNAL_FILE).read_text("utf-8", errors="replace").split("\n")
        if not lines or json.loads(lines[0]) != {"key": key}:
            return
    except (OSError, ValueError):
        return
    records = {record.file_name: record for record in _whole_records(root / METADATA_FILE)}
    for line in lines[1:]:
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError:
            return
        if entry.file is None:
            yield entry, None
        elif entry.file in records:
            yield entry, records[entry.file]
        else:
            return


def _whole_records(path: Path) -> Iterator[ImageRecord]:
    """Yield records up to the first line that a kill tore."""
    try:
        yield from read_metadata(path)
    except FlawsmithError:
        return
