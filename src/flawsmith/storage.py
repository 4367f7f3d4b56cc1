"""Files that are either whole or absent: temporary name, fsync, rename."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from flawsmith.errors import FlawsmithError

PARTIAL = ".partial"
SYNC_THREADS = 16


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(paths: Sequence[Path]) -> None:
    """Flush files that were written before, and their folders' entries.

    From several threads, so that the file system joins the flushes: on ext4 about ten times
    faster than one after the other.
    """

    def sync(path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    with ThreadPoolExecutor(SYNC_THREADS) as threads:
        list(threads.map(sync, paths))
    for folder in sorted({path.parent for path in paths}):
        sync_folder(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before."""
    temporary = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # a read-only mount refuses that too
            temporary.unlink(missing_ok=True)
        raise FlawsmithError(f"cannot write {path}: {error.strerror or error}") from error
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def new_folder(path: Path, *, what: str) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends without an error.

    Args:
        path: the folder to make; its parents are made too.
        what: what it will hold, for the message ("data set", "run").

    Raises:
        FlawsmithError: if ``path`` exists and is not an empty folder, or cannot be written.
    """
    require_free(path, what=what)
    temporary = partial_path(path)
    with _finished(temporary, path, what):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextmanager
def resumable_folder(path: Path, *, what: str) -> Iterator[Path]:
    """Yield a temporary folder as `new_folder` does; a kill or an interruption leaves it behind.

    The next try gets it with what it held, and it alone knows what of that still counts. An error
    removes it, as it would come again.

    Raises:
        FlawsmithError: as `new_folder`, or if another process is at work on it.
    """
    require_free(path, what=what)
    temporary = partial_path(path)
    try:
        temporary.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawsmithError(f"cannot write the {what} {path}: {error}") from error
    with exclusive(temporary, what=what, path=path), _finished(temporary, path, what):
        yield temporary


@contextmanager
def _finished(temporary: Path, path: Path, what: str) -> Iterator[None]:
    """Put the temporary folder in place after the block; remove it after an error."""
    try:
        yield
        if path.is_dir():
            path.rmdir()
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise FlawsmithError(f"cannot write the {what} {path}: {error}") from error
    except Exception:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def exclusive(folder: Path, *, what: str, path: Path | None = None) -> Iterator[None]:
    """Keep every other process out of a folder until the block, or this process, ends.

    Args:
        folder: is there already.
        what: it holds, for the message.
        path: the folder that the user named, if it is another.

    Raises:
        FlawsmithError: if another process is in it, or it cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise FlawsmithError(f"cannot write the {what} {path or folder}: {error}") from error
    try:
        if not take_lock(handle):
            raise FlawsmithError(
                f"another process is writing the {what} {path or folder}; wait for it, or give "
                "another place"
            )
        yield
    finally:
        os.close(handle)


def take_lock(handle: int) -> bool:
    """Lock an open file or folder until it is closed; tell whether no other process has it.

    Raises:
        FlawsmithError: if the file system has no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise FlawsmithError(f"this file system cannot lock a file: {error}") from error
    return True


def partial_path(path: Path) -> Path:
    """Return where a folder is made before it becomes ``path``."""
    return path.with_name(f".{path.name}{PARTIAL}")


def require_free(path: Path, *, what: str) -> None:
    """Raise a `FlawsmithError` unless ``path`` is absent or an empty folder."""
    try:
        path.lstat()
        free = path.is_dir() and not any(path.iterdir())
    except FileNotFoundError:
        free = True
    except (OSError, ValueError) as error:  # such as a name that no file can have
        raise FlawsmithError(f"cannot write the {what} {path}: {error}") from None
    if not free:
        raise FlawsmithError(
            f"{path} exists already; give another place for the {what}, or remove it first"
        )
