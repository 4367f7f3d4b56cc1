"""Tells of verdicts that are stored: a line on a stream, a line in a file, pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.line.inspector import OpenPart
from flawsmith.line.overlay import write_overlay
from flawsmith.line.result_lines import line_writer
from flawsmith.line.store.part_record import PartRecord

OVERLAYS = "overlays"


class Announcer:
    """Writes one line for each part, and what the user asked for beside it.

    Args:
        stream: gets every line at once.
        line_format: ``json`` or ``csv``.
        out: folder in which the lines are collected in ``results.jsonl`` or ``results.csv``, and
            overlays are made; None for neither.
        schema: for overlays; None without them.
        warn: told what went wrong with a picture; the verdict itself is stored and told by then.

    Raises:
        FlawsmithError: for an unknown format, or a folder that cannot be made.
    """

    def __init__(
        self,
        stream: TextIO,
        line_format: str = "json",
        *,
        out: Path | None = None,
        schema: Schema | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        head, self._line = line_writer(line_format)
        self._stream = stream
        self._schema = schema
        self._warn = warn
        self._overlays = out / OVERLAYS if out and schema else None
        self._file = (
            out / f"results.{'jsonl' if line_format == 'json' else line_format}" if out else None
        )
        try:
            for folder in (out, self._overlays):
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
            if self._file is not None and head and not self._file.exists():
                self._append(head)
        except OSError as error:
            raise FlawsmithError(f"cannot write into {out}: {error.strerror or error}") from None
        if head:
            print(head, file=stream, flush=True)

    def tell(self, part: OpenPart, record: PartRecord) -> None:
        """Tell of a part.

        Raises:
            FlawsmithError: if the file of lines cannot be written, or nobody reads the stream any
                more: then the line must not go on in silence; the part is stored.
        """
        line = self._line(record)
        try:
            print(line, file=self._stream, flush=True)
        except BrokenPipeError as error:
            raise FlawsmithError(
                f"nobody reads the lines any more; result {record.id} is in the results store: "
                "flawsmith results"
            ) from error
        if self._file is not None:
            try:
                self._append(line)
            except OSError as error:
                raise FlawsmithError(
                    f"cannot write {self._file}: {error.strerror or error}; result {record.id} is "
                    "in the results store: flawsmith results"
                ) from None
        if self._overlays is not None:
            self._draw(part, record)

    def _append(self, line: str) -> None:
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")

    def _draw(self, part: OpenPart, record: PartRecord) -> None:
        if self._overlays is None or self._schema is None:
            return
        for position, pixels in enumerate(part.pixels):
            if pixels is None:
                continue
            try:
                write_overlay(self._overlays, record, position, pixels, self._schema)
            except FlawsmithError as error:
                self._warn(f"no overlay of result {record.id}: {error}")
