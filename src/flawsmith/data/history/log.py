"""The operations of a data set: one folder each in ``.history``, with what they changed."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from flawsmith.config import StrictModel, validate
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text

HISTORY_FOLDER = ".history"
"""Inside the data set; hidden, so that other readers of the folder skip it."""

OPERATION_FILE = "operation.json"
BEFORE = "before"
AFTER = "after"
UNDO, REDO = "undo", "redo"

_FOLDER = re.compile(r"\d{4,}-[a-z]+")


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or path.parts[0] == HISTORY_FOLDER:
        raise ValueError("leads out of the data set")
    return name


class FileChange(StrictModel):
    """A file that an operation wrote or removed.

    Attributes:
        file: relative to the data set.
        before: SHA-256 of what it held; None if there was no such file.
        after: the same afterwards; None if it was removed.
    """

    file: Annotated[str, AfterValidator(_inside)]
    before: str | None
    after: str | None


class Operation(StrictModel):
    """One change of a data set, saved as ``operation.json``.

    Attributes:
        number: counts 1, 2, 3, ...
        verb: the command: relabel, filter, merge, split, undo or redo.
        arguments: what it was told, as on the command line.
        time: when it was done, UTC.
        summary: sentences on what it did.
        reverts: the operation that an undo (or redo) took back.
    """

    format_version: int = 1
    number: int = Field(ge=1)
    verb: str = Field(pattern=r"^[a-z]+$")
    arguments: list[str] = []
    time: str
    summary: list[str] = []
    files: list[FileChange] = []
    reverts: int | None = None

    @property
    def folder(self) -> str:
        """Name of its folder in ``.history``."""
        return f"{self.number:04d}-{self.verb}"


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_operation(folder: Path) -> Operation:
    """Read the ``operation.json`` of an operation's folder.

    Raises:
        FlawsmithError: if it is missing or damaged.
    """
    path = folder / OPERATION_FILE
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FlawsmithError(
            f"{path} is damaged ({error}); the data set itself can be used on, remove {folder} to "
            "do without this part of its history"
        ) from None
    return validate(Operation, values, source=str(path))


def read_history(root: Path) -> list[Operation]:
    """Return the operations of a data set, oldest first; none if it was never changed."""
    history = root / HISTORY_FOLDER
    folders = (
        [p for p in history.iterdir() if _FOLDER.fullmatch(p.name)] if history.is_dir() else []
    )
    return sorted((read_operation(folder) for folder in folders), key=lambda o: o.number)


def next_number(root: Path) -> int:
    """Return the number of the next operation."""
    return max((operation.number for operation in read_history(root)), default=0) + 1


def undoable(operations: Sequence[Operation]) -> list[Operation]:
    """Return the operations that are in effect and changed files; the last is undone first."""
    stack: list[Operation] = []
    for operation in operations:
        if operation.verb == UNDO:
            stack = [o for o in stack if o.number != operation.reverts]
        elif operation.files:
            stack.append(operation)
    return stack


def kept_bytes(root: Path, operation: Operation) -> int:
    """Return the size of the old files that an operation keeps, in bytes."""
    folder = root / HISTORY_FOLDER / operation.folder / BEFORE
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def write_origin(root: Path, verb: str, arguments: list[str], summary: list[str]) -> None:
    """Begin the history of a new data set with where it came from; this cannot be undone."""
    operation = Operation(number=1, verb=verb, arguments=arguments, time=now(), summary=summary)
    folder = root / HISTORY_FOLDER / operation.folder
    folder.mkdir(parents=True)
    write_operation(folder, operation)


def write_operation(folder: Path, operation: Operation) -> None:
    """Write the ``operation.json`` of an operation's folder."""
    write_text(folder / OPERATION_FILE, operation.model_dump_json(indent=1) + "\n")
