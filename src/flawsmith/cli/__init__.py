"""The ``flawsmith`` command: one small module per verb group; each parses, calls and prints."""

import os
import sys
from importlib import import_module

import typer

from flawsmith.errors import FlawsmithError

VERBS = (
    "demo",
    "start",
    "data",
    "train",
    "synthesize",
    "score",
    "select",
    "model",
    "benefit",
    "compare",
    "report",
    "export",
    "rules",
    "review",
    "inspect",
    "results",
    "replay",
    "serve",
    "sinks",
    "info",
)
"""Modules of this package in the order of the help page; each has ``register(app)``."""


def build_app() -> typer.Typer:
    """Return the command with all its verbs."""
    app = typer.Typer(
        name="flawsmith",
        help="Make labelled defect images, prove that they help, inspect with the result.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for verb in VERBS:
        import_module(f"flawsmith.cli.{verb}").register(app)
    return app


def main() -> None:
    """Run the command; a wrong input ends with one message and status 2."""
    try:
        build_app()()
    except FlawsmithError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error.__cause__, BrokenPipeError):
            _leave_output()
        sys.exit(error.exit_status)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("flawsmith"):
            raise
        print(
            f"error: this needs the package '{error.name}'; "
            "install it with: pip install 'flawsmith[train]'",
            file=sys.stderr,
        )
        sys.exit(2)
    except BrokenPipeError:
        _leave_output()
        sys.exit(1)


def _leave_output() -> None:
    """Let nothing more be written to standard output, which its reader has closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
