"""Run folders: where they are, what is in them before the first step."""

from pathlib import Path

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import new_folder
from flawsmith.training.config import CONFIG_FILE, RunConfig
from flawsmith.training.processes import is_first_process

RUNS = Path("runs")


def create_run(run: Path, config: RunConfig, schema: Schema) -> None:
    """Make a run folder with ``config.toml`` and the schema; it must not exist yet.

    Of several processes that train together only the first makes it.
    """
    if not is_first_process():
        return
    if (run / CONFIG_FILE).is_file():
        raise FlawsmithError(
            f"{run} holds a run already; go on with --resume {run}, or give another --out"
        )
    with new_folder(run, what="run") as folder:
        config.save(folder)
        schema.save(folder)


def next_run(name: str) -> Path:
    """Return the first free folder ``runs/<name>-<n>``."""
    taken = {path.name for path in RUNS.glob(f"{name}-*")} if RUNS.is_dir() else set()
    number = 1
    while f"{name}-{number}" in taken:
        number += 1
    return RUNS / f"{name}-{number}"
