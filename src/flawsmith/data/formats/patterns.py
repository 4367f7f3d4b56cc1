"""Part, view and class from the path of an image, by a regular expression."""

import re
from collections.abc import Sequence

from flawsmith.errors import FlawsmithError


class PathPattern:
    """A regular expression whose group of the same name, or first group, is the value.

    It is searched in the path relative to the imported folder, with ``/`` between folders.
    """

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.text = text
        try:
            self._pattern = re.compile(text)
        except re.error as error:
            raise FlawsmithError(
                f"--{what}-pattern '{text}' is no regular expression: {error}"
            ) from None
        if not self._pattern.groups:
            raise FlawsmithError(
                f"--{what}-pattern '{text}' has no group; put the {what} into parentheses, "
                r"such as '(\d+)_top\.png'"
            )
        self._group: str | int = what if what in self._pattern.groupindex else 1

    def value(self, path: str) -> str | None:
        """Return the value in ``path``, or None where the pattern does not match."""
        match = self._pattern.search(path)
        return (match[self._group] or None) if match else None

    def require_some(self, paths: Sequence[str]) -> None:
        """Raise a `FlawsmithError` with an example if no path matches."""
        if paths and not any(self.value(path) for path in paths):
            raise FlawsmithError(
                f"--{self.what}-pattern '{self.text}' matches none of {len(paths)} images; "
                f"the first is '{paths[0]}'"
            )


def path_pattern(what: str, text: str | None) -> PathPattern | None:
    """Return the pattern, or None without a text."""
    return PathPattern(what, text) if text else None
