"""The exceptions that a user is meant to read, and how their messages name many things."""

from collections.abc import Sequence


class FlawsmithError(Exception):
    """A wrong input or setting, told in the user's words.

    The message says what was given, what was expected and what to do. The command line prints it
    without a traceback and ends with status 2.
    """

    exit_status = 2


class InterruptionError(FlawsmithError):
    """The user stopped a command; nothing is lost."""

    exit_status = 130


def listed(names: Sequence[str], shown: int = 3, *, separator: str = ", ") -> str:
    """Return the first names and how many more there are: "a, b, c and 4 more"."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more
