"""Which systems failed, at which step and why: ``failures.json``, kept until the step succeeds."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text

FAILURES_FILE = "failures.json"


class Failures(dict[str, dict[str, str]]):
    """A system, or another arm -> title of the step that failed last, and the reason.

    Args:
        out: folder of the comparison.
        missing: titles of the steps that are not done; a failure at any other one is over.

    Raises:
        FlawsmithError: if the file is no JSON.
    """

    def __init__(self, out: Path, missing: Collection[str]) -> None:
        self._path = out / FAILURES_FILE
        known = read_object(self._path)
        super().__init__({arm: f for arm, f in known.items() if f.get("step") in missing})

    def note(self, arm: str, title: str, error: Exception) -> None:
        """Write that a step failed."""
        known = isinstance(error, FlawsmithError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        self[arm] = {"step": title, "reason": reason}
        self._save()

    def end(self, arm: str, title: str) -> None:
        """Write that a step that may have failed before has succeeded."""
        if self.get(arm, {}).get("step") == title:
            del self[arm]
            self._save()

    def words(self, arm: str) -> str | None:
        """Return where and why an arm failed; None if it did not."""
        return f"{self[arm]['step']}: {self[arm]['reason']}" if arm in self else None

    def _save(self) -> None:
        write_text(self._path, json.dumps(self, indent=1) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is none.

    Raises:
        FlawsmithError: if the file is no JSON.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise FlawsmithError(f"{path} is not JSON: {error}; remove it and try again") from None
    return values if isinstance(values, dict) else {}
