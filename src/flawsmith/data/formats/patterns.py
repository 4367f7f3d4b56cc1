"""Part, view and class from the path of an image, by a regular expression."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence

from flawsmith.errors import FlawsmithError

SECONDS = 5.0
"""Time to match a pattern, and a millisecond more for every path."""

# Matching `(a+)+$` takes longer than the age of the universe, and Python cannot interrupt it in
# every thread of every operating system; it can end another process.
_SEARCH = """
import json, re, sys
pattern, group, paths = json.load(sys.stdin)
found = map(re.compile(pattern).search, paths)
json.dump([match[group] if match else None for match in found], sys.stdout)
"""


class PathPattern:
    """A regular expression whose group of the same name, or first group, is the value.

    It is searched in the path relative to the imported folder, with ``/`` between folders.
    """

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.text = text
        try:
            pattern = re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise FlawsmithError(
                f"--{what}-pattern '{text}' is no regular expression: {error}"
            ) from None
        if not pattern.groups:
            raise FlawsmithError(
                f"--{what}-pattern '{text}' has no group; put the {what} into parentheses, "
                r"such as '(\d+)_top\.png'"
            )
        self._group: str | int = what if what in pattern.groupindex else 1
        self._known: dict[str, str | None] = {}

    def value(self, path: str) -> str | None:
        """Return the value in ``path``, or None where the pattern does not match."""
        if path not in self._known:
            self._search([path])
        return self._known[path]

    def require_some(self, paths: Sequence[str]) -> None:
        """Match all paths at once, which is much faster than one by one.

        Raises:
            FlawsmithError: if no path matches (with an example), or matching does not end.
        """
        self._search(paths)
        if paths and not any(self._known[path] for path in paths):
            raise FlawsmithError(
                f"--{self.what}-pattern '{self.text}' matches none of {len(paths)} images; "
                f"the first is '{paths[0]}'"
            )

    def _search(self, paths: Sequence[str]) -> None:
        seconds = SECONDS + 0.001 * len(paths)
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _SEARCH],
                input=json.dumps([self.text, self._group, list(paths)]),
                capture_output=True,
                encoding="ascii",
                timeout=seconds,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise FlawsmithError(
                f"--{self.what}-pattern '{self.text}' did not end within {seconds:.0f} s; repeats "
                "inside of repeats, such as (a+)+, try endless ways to match: write it without"
            ) from None
        values = json.loads(done.stdout)
        self._known |= {path: value or None for path, value in zip(paths, values, strict=True)}


def path_pattern(what: str, text: str | None) -> PathPattern | None:
    """Return the pattern, or None without a text."""
    return PathPattern(what, text) if text else None
