"""Part and view from the path of an image, by a pattern such as ``{part}_{view}.png``."""

import re
from collections.abc import Sequence
from pathlib import PurePath

from flawsmith.errors import FlawsmithError, listed

MAX_NAME = 200
"""Characters in the name of a part or view; file systems allow 255 bytes."""

_TOKEN = re.compile(r"(\{part\}|\{view\}|\*)")


class PartPattern:
    """A path with ``{part}`` and, where parts have several views, ``{view}``; ``*`` is anything.

    It is compared with as many last components of a path as it has itself, so that
    ``{part}/{view}.png`` takes the part from the folder. Within a component, ``{part}`` takes as
    much as it can: ``{part}_{view}`` splits at the last underscore. No name has a ``/``.

    Raises:
        FlawsmithError: if the pattern names no part, or one name twice, or leads elsewhere.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        components = text.replace("\\", "/").split("/")
        counts = {name: text.count(name) for name in ("{part}", "{view}")}
        rest = text.replace("{part}", "").replace("{view}", "")
        wrong = ""
        if counts["{part}"] != 1 or counts["{view}"] > 1:
            wrong = "it needs {part} once, and {view} at most once"
        elif "{" in rest or "}" in rest:
            wrong = "braces stand around part and view alone"
        elif any(component in ("", ".", "..") for component in components):
            wrong = "every component needs a name"
        elif text.count("*") > 2:
            wrong = "two * are enough"
        elif re.search(r"\}\*|\*\{|\}\{", text):
            wrong = "something has to stand between two parts that can be anything"
        if wrong:
            raise FlawsmithError(
                f"--part-pattern '{text}': {wrong}; expected such as '{{part}}_{{view}}.png', "
                "'{part}.*' or '{part}/{view}.tif'"
            )
        self._components = [re.compile(_expression(component)) for component in components]

    @property
    def has_view(self) -> bool:
        """Whether it tells views apart."""
        return "{view}" in self.text

    @property
    def depth(self) -> int:
        """Number of folders in it."""
        return len(self._components) - 1

    def names(self, path: PurePath) -> tuple[str, str] | None:
        """Return part and view of a path, or None where the pattern does not fit."""
        parts = path.parts[-len(self._components) :]
        if len(parts) < len(self._components):
            return None
        found: dict[str, str] = {}
        for expression, component in zip(self._components, parts, strict=True):
            match = expression.fullmatch(component)
            if match is None:
                return None
            found |= match.groupdict()
        names = found["part"], found.get("view", "")
        sound = all(len(name) <= MAX_NAME and name.isprintable() for name in names)
        return names if sound and not names[0].strip(". ") == "" else None


def require_views(pattern: PartPattern | None, expected: Sequence[str]) -> None:
    """Check that a pattern tells the views apart that the rules expect.

    Raises:
        FlawsmithError: if it does not; every part would lack its views.
    """
    named = [view for view in expected if view]
    if named and (pattern is None or not pattern.has_view):
        given = f"--part-pattern '{pattern.text}' has no {{view}}" if pattern else "nothing says"
        raise FlawsmithError(
            f"the rules expect the views {listed(named)}, but {given}"
            f"{'' if pattern else ' which image is which'}; give --part-pattern, such as "
            "'{part}_{view}.png'"
        )


def _expression(component: str) -> str:
    """Return the regular expression of one component; at most two open repeats, so never slow."""
    known = {"{part}": "(?P<part>.+)", "{view}": "(?P<view>.+?)", "*": ".*"}
    tokens = _TOKEN.split(component)
    return "(?s:" + "".join(known.get(token, re.escape(token)) for token in tokens) + ")"
