"""What `flawsmith data check` found, by file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from flawsmith.data.dataset import METADATA_FILE
from flawsmith.errors import FlawsmithError

CHECK_FILE = "check.json"

Findings = Mapping[str, Sequence[tuple[str, str]]]
"""(kind, message) by file, relative to the data set; an empty file name concerns the whole set."""


def read_findings(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the findings of ``check.json`` in a data set's folder; none if there is no such file.

    Only the list of findings is read, so a report of another version will do.

    Raises:
        FlawsmithError: if the file is no report.
    """
    path = root / CHECK_FILE
    if not path.is_file():
        return {}
    found: dict[str, list[tuple[str, str]]] = {}
    try:
        for finding in json.loads(path.read_text("utf-8"))["findings"]:
            entry = (str(finding["kind"]), str(finding["message"]))
            found.setdefault(str(finding["file"]), []).append(entry)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FlawsmithError(
            f"{path} is no report of a check ({type(error).__name__}: {error}); remove it, or "
            f"write it again: flawsmith data check {root}"
        ) from None
    return found


def are_outdated(root: Path) -> bool:
    """Tell whether the data set's metadata changed after ``check.json`` was written."""
    report = root / CHECK_FILE
    if not report.is_file():
        return False
    return report.stat().st_mtime_ns < (root / METADATA_FILE).stat().st_mtime_ns
