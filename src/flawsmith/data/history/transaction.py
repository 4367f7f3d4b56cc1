"""Changing several files of a data set at once: all of them or none, at every instant.

New files and links to the old ones are gathered in ``.history/.partial`` and flushed. Then
``.history/pending`` appears, in one rename: before that moment nothing has happened, after it
everything has, for whoever finds a pending operation finishes it before doing anything else. Each
step of finishing can be repeated. If a step fails (no permission, a full disk), ``pending`` is
replaced by one that says "back", and the old files are put back in the same way.
"""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from flawsmith.config import StrictModel, validate
from flawsmith.data.history.log import (
    AFTER,
    BEFORE,
    HISTORY_FOLDER,
    FileChange,
    Operation,
    next_number,
    now,
    read_history,
    read_operation,
    undoable,
    write_operation,
)
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import sync_files, sync_folder, take_lock, write_text

STAGING = ".partial"
PENDING_FILE = "pending"
LOCK_FILE = "lock"
TOUCHED_FILE = "metadata.jsonl"
"""Gets the time of the operation, by which readers know that their figures are older."""

READER_WAITS = 60.0
"""Seconds that a reader waits for an operation that another process is finishing."""

_HASH_THREADS = 4
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS}


class Pending(StrictModel):
    """``.history/pending``: the operation to finish, or to take back."""

    folder: str
    direction: Literal["forward", "back"]


class Changes:
    """Collects the new state of files; nothing of the data set is touched until the end.

    Attributes:
        summary: sentences for the history.
        reverts: number of the operation that is taken back.
    """

    def __init__(self, root: Path, staging: Path) -> None:
        self.root = root
        self.summary: list[str] = []
        self.reverts: int | None = None
        self._staging = staging
        self._after: dict[str, str | None] = {}

    def write(self, name: str, data: bytes) -> None:
        """Give a file new content; it may be a new one."""
        path = self._staging / AFTER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._after[name] = hashlib.sha256(data).hexdigest()

    def restore(self, name: str, path: Path, digest: str) -> None:
        """Give a file the content of ``path``, whose SHA-256 is ``digest``."""
        _keep(path, self._staging / AFTER / name)
        self._after[name] = digest

    def remove(self, name: str) -> None:
        """Move a file from the data set into its history."""
        self._after[name] = None

    def stage(self) -> list[FileChange]:
        """Keep the old files and flush all; return what differs between before and after."""
        names = sorted(self._after)
        old = digests([self.root / name for name in names])
        changes = []
        for name, before in zip(names, old, strict=True):
            change = FileChange(file=name, before=before, after=self._after[name])
            if change.before == change.after:
                (self._staging / AFTER / name).unlink(missing_ok=True)
                continue
            if before is not None:
                _keep(self.root / name, self._staging / BEFORE / name)
            changes.append(change)
        written = [p for p in self._staging.rglob("*") if p.is_file() and not p.is_symlink()]
        sync_files(written)
        for folder in [self._staging, *(p for p in self._staging.rglob("*") if p.is_dir())]:
            sync_folder(folder)
        return changes


@contextmanager
def changing(root: Path, verb: str, arguments: list[str]) -> Iterator[Changes]:
    """Yield what collects changes of files; they take effect together when the block ends.

    Nothing happens, and nothing is recorded, if the block raises or changes no file. The data set
    is locked meanwhile, and an operation that was interrupted before is finished first.

    Raises:
        FlawsmithError: if there is no data set, another process changes it, or it cannot be
            written; it is then as it was.
    """
    Schema.load(root)
    with locked(root):
        settle(root)
        _drop_reverted(root)
        staging = root / HISTORY_FOLDER / STAGING
        try:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            changes = Changes(root, staging)
            yield changes
            _commit(changes, verb, arguments)
        except OSError as error:
            raise FlawsmithError(
                f"cannot change {root}: {error}; it is as it was before"
            ) from error
        finally:
            if not (root / HISTORY_FOLDER / PENDING_FILE).exists():
                shutil.rmtree(staging, ignore_errors=True)
        _drop_reverted(root)


def finish_pending(root: Path) -> None:
    """Finish an operation that a kill interrupted, or wait for the process that is at it."""
    if not (root / HISTORY_FOLDER / PENDING_FILE).exists():
        return
    with locked(root, wait=READER_WAITS):
        settle(root)


def settle(root: Path) -> None:
    """Finish what is pending in a data set that is locked.

    Raises:
        FlawsmithError: if it cannot be written.
    """
    try:
        _settle(root)
    except OSError as error:
        raise FlawsmithError(
            f"a change of {root} was interrupted and cannot be finished: {error}; "
            "make the folder writable and try again"
        ) from error


def state_of(root: Path) -> int:
    """Return a number that is another one after each operation; for readers of several files."""
    try:
        return (root / HISTORY_FOLDER).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@contextmanager
def locked(root: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Keep other processes from changing the data set; a kill ends that too.

    Args:
        root: the data set.
        wait: for another process, in seconds.
    """
    try:
        (root / HISTORY_FOLDER).mkdir(exist_ok=True)
        handle = os.open(root / HISTORY_FOLDER / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise FlawsmithError(f"cannot write the history of {root}: {error}") from error
    try:
        end = time.monotonic() + wait
        while not take_lock(handle):
            if time.monotonic() >= end:
                raise FlawsmithError(
                    f"another process is changing {root}; try again when it has finished"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def digests(paths: Sequence[Path]) -> list[str | None]:
    """Return the SHA-256 of each file, None where there is none; links are followed."""

    def digest(path: Path) -> str | None:
        try:
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_HASH_THREADS) as threads:
        return list(threads.map(digest, paths))


def _keep(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _commit(changes: Changes, verb: str, arguments: list[str]) -> None:
    root = changes.root
    files = changes.stage()
    if not files:
        return
    operation = Operation(
        number=next_number(root),
        verb=verb,
        arguments=arguments,
        time=now(),
        summary=changes.summary,
        files=files,
        reverts=changes.reverts,
    )
    write_operation(root / HISTORY_FOLDER / STAGING, operation)
    try:
        _mark(root, operation.folder, "forward")
        _settle(root)
    except BaseException as error:  # Ctrl-C too
        if (root / HISTORY_FOLDER / PENDING_FILE).exists():
            _take_back(root, operation.folder, error)
        raise


def _take_back(root: Path, folder: str, reason: BaseException) -> None:
    try:
        _mark(root, folder, "back")
        _settle(root)
    except (OSError, FlawsmithError) as error:
        raise FlawsmithError(
            f"{root} could not be changed ({reason}) nor put back ({error}); make the folder "
            f"writable, then run: flawsmith data history {root}, which puts it in order"
        ) from reason


def _mark(root: Path, folder: str, direction: Literal["forward", "back"]) -> None:
    pending = Pending(folder=folder, direction=direction)
    write_text(root / HISTORY_FOLDER / PENDING_FILE, pending.model_dump_json() + "\n")


def _settle(root: Path) -> None:
    """Finish the pending operation, if there is one; every step can be repeated after a kill."""
    history = root / HISTORY_FOLDER
    pending = _read_pending(history / PENDING_FILE)
    if pending is None:
        return
    folder = history / pending.folder
    if not folder.exists():
        (history / STAGING).replace(folder)
    operation = read_operation(folder)
    for change in operation.files:
        if pending.direction == "forward":
            _apply(root, folder, change)
        else:
            _put_back(root, folder, change)
    for place in sorted({(root / change.file).parent for change in operation.files}):
        if place.is_dir():
            sync_folder(place)
    os.utime(root / TOUCHED_FILE)
    if pending.direction == "forward":
        shutil.rmtree(folder / AFTER, ignore_errors=True)
    else:
        folder.replace(history / STAGING)
    (history / PENDING_FILE).unlink()
    sync_folder(history)


def _read_pending(path: Path) -> Pending | None:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return validate(Pending, json.loads(text), source=str(path))
    except ValueError as error:
        raise FlawsmithError(f"{path} is damaged: {error}") from None


def _apply(root: Path, folder: Path, change: FileChange) -> None:
    place = root / change.file
    if change.after is None:
        place.unlink(missing_ok=True)
    elif os.path.lexists(folder / AFTER / change.file):
        place.parent.mkdir(parents=True, exist_ok=True)
        (folder / AFTER / change.file).replace(place)


def _put_back(root: Path, folder: Path, change: FileChange) -> None:
    place, kept = root / change.file, folder / BEFORE / change.file
    if change.before is None:
        place.unlink(missing_ok=True)
    elif os.path.lexists(kept):
        kept.replace(place)
        kept.unlink(missing_ok=True)  # a rename between two names of one file does nothing


def _drop_reverted(root: Path) -> None:
    """Remove the old files of operations that were taken back: the data set has them again."""
    history = read_history(root)
    in_effect = {operation.number for operation in undoable(history)}
    reverted = {operation.reverts for operation in history}
    for operation in history:
        if operation.number in reverted - in_effect:
            before = root / HISTORY_FOLDER / operation.folder / BEFORE
            shutil.rmtree(before, ignore_errors=True)
