"""``flawsmith data``: import, check and split a defect data set."""

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    data = typer.Typer(no_args_is_help=True, help="Import, check and split a defect data set.")
    app.add_typer(data, name="data")
