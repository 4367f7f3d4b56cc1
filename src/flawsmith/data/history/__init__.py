"""What was done to a defect data set, kept so that it can be undone.

An operation is either wholly done or not at all, whatever stops the process: see `transaction`.
"""

from flawsmith.data.history.log import (
    HISTORY_FOLDER,
    UNDO,
    FileChange,
    Operation,
    kept_bytes,
    read_history,
    undoable,
    write_origin,
)
from flawsmith.data.history.transaction import Changes, changing, finish_pending, state_of
from flawsmith.data.history.undo import prune, undo

__all__ = [
    "HISTORY_FOLDER",
    "UNDO",
    "Changes",
    "FileChange",
    "Operation",
    "changing",
    "finish_pending",
    "kept_bytes",
    "prune",
    "read_history",
    "state_of",
    "undo",
    "undoable",
    "write_origin",
]
