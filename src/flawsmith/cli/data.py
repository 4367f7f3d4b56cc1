"""``flawsmith data``: import, check and split a defect data set."""

import typer

from flawsmith.cli import data_check, data_import, data_split


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    data = typer.Typer(no_args_is_help=True, help="Import, check and split a defect data set.")
    data_import.register(data)
    data_check.register(data)
    data_split.register(data)
    app.add_typer(data, name="data")
