"""Taking operations back, and giving up what is kept for that."""

import os
import shutil
from pathlib import Path

from flawsmith.data.history.log import (
    BEFORE,
    HISTORY_FOLDER,
    REDO,
    UNDO,
    Operation,
    kept_bytes,
    read_history,
    undoable,
)
from flawsmith.data.history.transaction import (
    STAGING,
    changing,
    digests,
    locked,
    settle,
)
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError, listed


def undo(root: Path, *, redo: bool = False) -> Operation:
    """Take back the last operation that is in effect, and return it.

    The files are byte for byte what they were. That is recorded as an operation too.

    Args:
        root: the data set.
        redo: take back the last undo instead.

    Raises:
        FlawsmithError: if there is none, or a file was changed since or is not kept any more.
    """
    with changing(root, REDO if redo else UNDO, []) as changes:
        target = _target(root, redo=redo)
        _refuse_changed(root, target)
        changes.reverts = target.number
        changes.summary.append(f"took back {target.number} ({target.verb})")
        kept = root / HISTORY_FOLDER / target.folder / BEFORE
        for change in target.files:
            if change.before is None:
                changes.remove(change.file)
            else:
                changes.restore(change.file, kept / change.file, change.before)
    return target


def _target(root: Path, *, redo: bool) -> Operation:
    history = read_history(root)
    if redo:
        if not history or history[-1].verb != UNDO:
            raise FlawsmithError(f"the last operation on {root} is no undo: nothing to redo")
        return history[-1]
    stack = undoable(history)
    if not stack:
        raise FlawsmithError(f"{root} has nothing to undo; see: flawsmith data history {root}")
    return stack[-1]


def _refuse_changed(root: Path, target: Operation) -> None:
    title = f"operation {target.number} ({target.verb}) on {root} cannot be taken back"
    kept = root / HISTORY_FOLDER / target.folder / BEFORE
    if not kept.is_dir() and any(change.before for change in target.files):
        raise FlawsmithError(f"{title}: its old files were pruned")
    present = digests([root / change.file for change in target.files])
    changed = [
        change.file
        for change, found in zip(target.files, present, strict=True)
        if found != change.after
    ]
    if changed:
        raise FlawsmithError(
            f"{title}: {listed(changed)} changed since in another way, and that would be lost; "
            "put the files back as they were, or keep the data set as it is"
        )
    old = [change for change in target.files if change.before is not None]
    found_old = digests([kept / change.file for change in old])
    damaged = [c.file for c, found in zip(old, found_old, strict=True) if found != c.before]
    if damaged:
        raise FlawsmithError(f"{title}: in {kept}, {listed(damaged)} is missing or damaged")


def prune(root: Path) -> int:
    """Remove the old files of all operations and return their size in bytes.

    What was done stays on record; none of it can be undone any more.
    """
    Schema.load(root)
    freed = 0
    with locked(root):
        settle(root)
        staging = root / HISTORY_FOLDER / STAGING
        for operation in read_history(root):
            before = root / HISTORY_FOLDER / operation.folder / BEFORE
            if not before.is_dir():
                continue
            freed += kept_bytes(root, operation)
            shutil.rmtree(staging, ignore_errors=True)
            try:
                os.rename(before, staging)  # at once, so that a kill leaves none half removed
            except OSError as error:
                raise FlawsmithError(f"cannot remove {before}: {error}") from error
            shutil.rmtree(staging, ignore_errors=True)
    return freed
