"""Options that several training verbs share; the same words mean the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(help="Defect data set with folds.")]
Out = Annotated[Path | None, typer.Option(help="Run folder to make.")]
Preset = Annotated[str, typer.Option(help="tiny, small, stable or paper.")]
Fold = Annotated[int | None, typer.Option(help="Test fold, left out of training.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, such as training.seed=1.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print configuration and costs; train nothing.")
]
Resume = Annotated[
    Path | None, typer.Option(help="Run folder to go on with after a stop or a kill.")
]
