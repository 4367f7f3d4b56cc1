"""``flawsmith compare``: every system at one budget, and the seed paper's tables on own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli import options
from flawsmith.cli.console import console
from flawsmith.cli.info import START_WITH
from flawsmith.errors import FlawsmithError, InterruptionError

if TYPE_CHECKING:
    from flawsmith.experiment.compare import CompareSettings, SystemComparison
    from flawsmith.experiment.compare.facts import CompareFacts

Places = Annotated[
    list[Path],
    typer.Argument(help="Defect data set with frozen folds; with --join several compare.json."),
]
Systems = Annotated[
    list[str] | None,
    typer.Option("--system", help="System of flawsmith info, or all; may be repeated (all)."),
]
Minutes = Annotated[
    float | None, typer.Option(help="Training time of each system on this machine. [25]")
]
Images = Annotated[
    int | None, typer.Option(help="Images that each system sees, instead of --minutes.")
]
SystemSettings = Annotated[
    list[str] | None, typer.Option("--system-set", help="NAME.key=value of one system.")
]
ModelSettings = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the inspection models.")
]
Ledger = Annotated[
    Path | None, typer.Option(help="Where finished steps are found. [OUT/ledger.jsonl]")
]
HoursLeft = Annotated[
    float | None, typer.Option(help="Stop between steps before this time is over.")
]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(compare)


def compare(
    places: Places,
    out: Annotated[Path, typer.Option(help="Folder for runs, synthetic sets and the page.")],
    system: Systems = None,
    minutes: Minutes = None,
    images: Images = None,
    fold: Annotated[int, typer.Option(help="Test fold.")] = 0,
    seeds: Annotated[int, typer.Option(help="Trainings of the inspection model.")] = 3,
    model: Annotated[str, typer.Option(help="Inspection network.")] = "efficientnet_lite0",
    per_class: Annotated[int, typer.Option(help="Images of each class, with the real ones.")] = 400,
    preset: options.Preset = "small",
    settings: ModelSettings = None,
    system_settings: SystemSettings = None,
    ledger: Ledger = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print steps and hours; do nothing.")
    ] = False,
    hours: HoursLeft = None,
    join: Annotated[bool, typer.Option("--join", help="Join comparisons of several data.")] = False,
) -> None:
    """Train systems at one budget, compare their images and what these teach; write the tables."""
    from flawsmith.experiment.compare import SystemComparison
    from flawsmith.experiment.compare.page import join as join_pages
    from flawsmith.experiment.compare.plan import ALL, MINUTES, chosen_systems, split_override

    if join:
        console.print(f"page: {join_pages(places, out)}")
        return
    if len(places) > 1:
        raise FlawsmithError(
            f"flawsmith compare takes one data set, not {len(places)}; --join takes several "
            "compare.json of finished comparisons"
        )
    if hours is not None and not 0 < hours < float("inf"):
        raise FlawsmithError(f"--hours {hours:g}: expected a time above 0, such as 3")
    systems = chosen_systems(system or [ALL])
    values: dict[str, object] = {
        "systems": systems,
        "minutes": MINUTES if minutes is None and images is None else minutes,
        "images": images,
        "fold": fold,
        "seeds": seeds,
        "model": model,
        "per_class": per_class,
        "preset": preset,
        "overrides": settings,
        "system_overrides": [split_override(text, systems) for text in system_settings or []],
    }
    test = SystemComparison(places[0], out, _settings(values), ledger)
    if plan:
        _print_plan(test)
        return
    _run(test, hours)


def _settings(values: dict[str, object]) -> CompareSettings:
    from flawsmith.config import validate
    from flawsmith.experiment.compare import CompareSettings

    given = {key: value for key, value in values.items() if value is not None}
    return validate(CompareSettings, given, source="flawsmith compare")


def _run(test: SystemComparison, hours: float | None) -> None:
    from flawsmith.cli.demo import step
    from flawsmith.cli.train import training_hooks
    from flawsmith.experiment.compare.page import write_page

    try:
        finished = test.run(training_hooks(), step, hours=hours)
    except InterruptionError:
        write_page(test, START_WITH)
        raise
    facts, page = write_page(test, START_WITH)
    _print_facts(facts)
    console.print(f"page: {page}\nnumbers: {page.with_suffix('.json')}")
    if not finished:
        console.print("not all steps are done; the same command goes on")
    if test.failures:
        console.print("the same command tries what failed again")


def _print_plan(test: SystemComparison) -> None:
    from flawsmith.cli.train import duration

    total = 0.0
    for number, item in enumerate(test.plan(), start=1):
        total += item.seconds
        title = item.step.title(test.settings.model)
        images = test.identity.budgets.get(item.step.arm)
        if item.step.kind == "synthesizer" and images is not None:
            title += f" on {images:,} images"
        time = f"{duration(item.seconds)} ({'measured' if item.measured else 'estimated'})"
        console.print(f"{number:3}. {title}: {'done' if item.done else time}")
    added = ", ".join(f"{name} {count}" for name, count in test.balance.added.items())
    console.print(f"{test.settings.budget} for every system that learns, {test.tile_size} px")
    console.print(f"images to synthesize with each system: {added}")
    console.print(
        f"{duration(total)} on this machine; fold {test.settings.fold}; nothing was written"
    )


def _print_facts(facts: CompareFacts) -> None:
    from rich.table import Table

    from flawsmith.experiment.benefit.verdict import change_words
    from flawsmith.experiment.compare.words import plain, ranged

    table = Table("trained with", "macro IoU", "minus real [95 %]", "KID x 1000", "mask source")
    changes = {c.arm: c.change for c in facts.comparisons}
    systems = {s.name: s for s in facts.systems}
    for method in facts.methods:
        made = systems.get(method.name)
        table.add_row(
            method.name,
            plain(method.macro),
            change_words(changes[method.name]) if method.name in changes else "",
            ranged(made.score.overall.kid) if made and made.score else "",
            made.balanced.mask_source if made and made.balanced else "",
        )
    console.print(table, markup=False)
    console.print(facts.answer.headline, style="bold", markup=False)
    for sentence in facts.answer.sentences:
        console.print(sentence, markup=False)
