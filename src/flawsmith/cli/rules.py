"""``flawsmith rules``: check acceptance rules, and choose their thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console

if TYPE_CHECKING:
    from flawsmith.data.schema import Schema
    from flawsmith.experiment.tuned_rules import Tuning
    from flawsmith.inspection.thresholds import Thresholds
    from flawsmith.line.rules import AcceptanceRules
    from flawsmith.line.rules.trial import Trial


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    rules = typer.Typer(no_args_is_help=True, help="Check and tune acceptance rules.")
    rules.command("check")(check)
    rules.command("tune")(tune)
    app.add_typer(rules, name="rules")


def check(
    file: Annotated[Path, typer.Argument(help="Acceptance rules (TOML).")],
    model: Annotated[
        Path | None, typer.Option(help="Exported model, or a run, whose classes they are for.")
    ] = None,
    part_layout: Annotated[
        Path | None, typer.Option(help="Where zones lie on the part (TOML).")
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(help="Past results: store (file or URL) or JSON lines of flawsmith inspect."),
    ] = None,
    show: Annotated[int, typer.Option(help="Changed parts to name.", min=0)] = 20,
) -> None:
    """Check acceptance rules, say what they mean and what they would have decided before."""
    from flawsmith.line.rules import AcceptanceRules

    schema, thresholds = _model(model) if model else (None, None)
    rules = AcceptanceRules.load(file, schema)
    if part_layout is not None:
        rules.require_layout(part_layout)
    title = f" ({rules.content.name})" if rules.content.name else ""
    console.print(f"{file}{title}: valid, identity {rules.identity}", markup=False)
    for line in rules.explain():
        console.print(f"- {line}", markup=False)
    if schema is None and not rules.classes:
        console.print(
            "Classes are not checked: give --model, or write classes = [...] into the file.",
            markup=False,
        )
    if part_layout is None and rules.located_zones:
        console.print(
            f"Zones on the part are not checked ({', '.join(rules.located_zones)}): give "
            "--part-layout.",
            markup=False,
        )
    if schema and thresholds:
        _print_lowered(rules, schema, thresholds)
        _print_unlimited(rules, schema, thresholds)
    if results is not None:
        from flawsmith.line.rules.trial import read_past, try_rules

        _print_trial(try_rules(rules, read_past(results)), show)


def tune(
    run: Annotated[Path, typer.Argument(help="Run folder of an inspection model.")],
    max_escape: Annotated[
        float, typer.Option(help="Share of defective parts that may pass.", min=0, max=1)
    ],
    max_overkill: Annotated[
        float | None, typer.Option(help="Share of good parts that may fail. [fewest]", min=0, max=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="Rules file to make.")] = Path("rules.toml"),
) -> None:
    """Choose a threshold for each class on the validation parts of a run; write rules."""
    from flawsmith.cli.train import training_hooks
    from flawsmith.experiment.rule_tuning import tune_rules

    hooks = training_hooks()
    _print_tuning(tune_rules(run, out, hooks, max_escape=max_escape, max_overkill=max_overkill))
    console.print(f"Written: {out}; see flawsmith rules check {out} --model {run}", markup=False)


def _print_tuning(tuning: Tuning) -> None:
    from rich.table import Table

    from flawsmith.experiment.tuned_rules import told

    table = Table("class", "pixel threshold", "threshold")
    for name, threshold in tuning.content.thresholds.items():
        table.add_row(name, f"{tuning.lowest[name]:.3f}", f"{threshold:.3f}")
    console.print(table)
    for title, verdicts in (
        ("the model's own threshold", tuning.before),
        ("these thresholds", tuning.tuned),
        ("chosen without the part", tuning.left_out),
    ):
        console.print(f"{title}: {told(verdicts)}", markup=False)
    for what, names in (("missed", tuning.missed), ("failed though good", tuning.failed)):
        if names:
            console.print(f"{what}: {', '.join(names)}", markup=False)
    for statement in tuning.statements:
        console.print(statement, markup=False)


def _model(folder: Path) -> tuple[Schema, Thresholds | None]:
    """Return schema and thresholds of an exported model, or of a run."""
    from flawsmith.config import load_toml, validate
    from flawsmith.data.schema import SCHEMA_FILE, Schema
    from flawsmith.inspection.exported import ExportedModel
    from flawsmith.inspection.thresholds import Thresholds

    if not (folder / SCHEMA_FILE).is_file():
        exported = ExportedModel.load(folder)
        return exported.schema, exported.thresholds
    path = folder / "thresholds.toml"
    if not path.is_file():
        return Schema.load(folder), None
    return Schema.load(folder), validate(Thresholds, load_toml(path), source=str(path))


def _print_lowered(rules: AcceptanceRules, schema: Schema, thresholds: Thresholds) -> None:
    """Say where the rules lower the model's pixel threshold."""
    lowered: dict[tuple[float, float], list[str]] = {}
    for name, lowest in zip(schema.defect_names, thresholds.pixel, strict=True):
        if 0 < (chosen := rules.threshold(name)) < lowest:
            lowered.setdefault((chosen, lowest), []).append(name)
    for (chosen, lowest), names in lowered.items():
        console.print(
            f"Note: {', '.join(names)}: the rules count from score {chosen:g}, below the model's "
            f"pixel threshold of {lowest:.3f}: at inspection that is lowered too, so regions are "
            "larger.",
            markup=False,
        )


def _print_unlimited(rules: AcceptanceRules, schema: Schema, thresholds: Thresholds) -> None:
    """Say which classes count at any score, and what the model alone does."""
    names = [name for name in schema.defect_names if not rules.threshold(name)]
    if names:
        console.print(
            f"Note: {', '.join(names)} count at any score, as no line in [thresholds] says more "
            "than 0 for them; without a rules file they count from the model's region threshold. "
            f"To keep that: any = {thresholds.region!r}",
            markup=False,
        )


def _print_trial(trial: Trial, show: int) -> None:
    from rich.table import Table

    from flawsmith.line.results import Verdict

    table = Table("before", *(f"now {verdict}" for verdict in Verdict))
    for before in (*Verdict, None):
        counts = [trial.counts.get((before, now), 0) for now in Verdict]
        if any(counts):
            table.add_row(str(before) if before else "not known", *map(str, counts))
    console.print(f"{trial.parts} past parts, decided anew:", markup=False)
    if trial.parts:
        console.print(table)
    reviewed = sum(trial.person.values())
    if reviewed:
        missed = trial.person.get((Verdict.FAIL, Verdict.PASS), 0)
        bad = sum(n for (person, _), n in trial.person.items() if person is Verdict.FAIL)
        failed = trial.person.get((Verdict.PASS, Verdict.FAIL), 0)
        good = sum(n for (person, _), n in trial.person.items() if person is Verdict.PASS)
        console.print(
            f"Of {reviewed} reviewed parts: {missed} of {bad} that a person failed would pass, "
            f"{failed} of {good} that a person passed would fail.",
            markup=False,
        )
    if trial.late:
        console.print(
            f"Late then: {trial.late} of {trial.parts}; nothing says whether they would be now.",
            markup=False,
        )
    if any(before is not None for before, _ in trial.counts):
        console.print(f"Another verdict: {len(trial.changes)} of {trial.parts}.", markup=False)
    for change in trial.changes[:show]:
        person = f", a person: {change.person}" if change.person else ""
        text = f"{change.label}: {change.before} -> {change.after}{person}; {change.reason}"
        console.print(text, markup=False)
    if len(trial.changes) > show:
        more = len(trial.changes) - show
        console.print(f"... and {more} more; name them all with --show {len(trial.changes)}")
