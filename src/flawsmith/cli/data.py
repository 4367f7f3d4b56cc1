"""``flawsmith data``: import, check, split, look through, change and export a data set."""

import typer

from flawsmith.cli import (
    data_check,
    data_export,
    data_filter,
    data_history,
    data_import,
    data_merge,
    data_relabel,
    data_show,
    data_split,
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    data = typer.Typer(
        no_args_is_help=True,
        help="Import, check, split, look through, change and export a defect data set.",
    )
    data_import.register(data)
    data_check.register(data)
    data_split.register(data)
    data_show.register(data)
    data_merge.register(data)
    data_filter.register(data)
    data_relabel.register(data)
    data_history.register(data)
    data_export.register(data)
    app.add_typer(data, name="data")
