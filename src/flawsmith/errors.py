"""The exceptions that a user is meant to read."""


class FlawsmithError(Exception):
    """A wrong input or setting, told in the user's words.

    The message says what was given, what was expected and what to do. The command line prints it
    without a traceback and ends with status 2.
    """

    exit_status = 2


class InterruptionError(FlawsmithError):
    """The user stopped a command; nothing is lost."""

    exit_status = 130
