"""``flawsmith benefit``: does adding synthetic images help, on held-out real parts?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli import options
from flawsmith.cli.console import console
from flawsmith.errors import FlawsmithError, InterruptionError

if TYPE_CHECKING:
    from flawsmith.experiment.benefit import BenefitSettings, BenefitTest
    from flawsmith.experiment.benefit.facts import BenefitFacts


Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        help="System to test beside real and copy_paste, or 'NAME=SYSTEM key=value'; may be "
        "repeated.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--synthetic", help="[NAME=]FOLDER: a synthetic set of one fold; may be repeated."
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(help="Arm that is always there, such as copy_paste, to leave out."),
]
Selected = Annotated[
    list[str] | None,
    typer.Option(
        help="Arm to test once more with the images alone that a model of real ones recognises; "
        "may be repeated."
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Inspection network, the first decides (efficientnet_lite0; for labels of whole "
        "images efficientnet_classifier).",
    ),
]
Amounts = Annotated[
    list[str] | None,
    typer.Option(
        "--amount",
        help="Synthetic share of the crops, or CLASS=SHARE for classes alone; several shares: one "
        "is chosen (0.1, 0.25, 0.5, 1).",
    ),
]
EachClass = Annotated[
    bool, typer.Option("--each-class", help="Choose the amount of every class by itself.")
]
Schedules = Annotated[
    list[str] | None,
    typer.Option("--schedule", help="mixed or first; several: one is chosen (both)."),
]
Folds = Annotated[
    list[int] | None, typer.Option("--fold", help="Fold to test on; may be repeated (all).")
]
Curve = Annotated[str | None, typer.Option(help="Learning curve: shares of the parts: 0.25,0.5,1.")]
Ledger = Annotated[
    Path | None, typer.Option(help="Where finished runs are found. [OUT/ledger.jsonl]")
]
HoursLeft = Annotated[
    float | None, typer.Option(help="Stop between runs before this time is over.")
]
SynthesizerSettings = Annotated[
    list[str] | None, typer.Option("--synthesizer-set", help="key=value of the synthesizers.")
]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(benefit)


def benefit(
    data: Annotated[Path, typer.Argument(help="Defect data set with frozen folds.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, synthetic images and report.")],
    arm: Arms = None,
    synthetic: Given = None,
    without: Without = None,
    select: Selected = None,
    model: Models = None,
    preset: options.Preset = "small",
    seeds: Annotated[int, typer.Option(help="Trainings of each model.")] = 1,
    draws: Annotated[int, typer.Option(help="Random draws of parts for --curve.")] = 1,
    amount: Amounts = None,
    each_class: EachClass = False,
    schedule: Schedules = None,
    per_class: Annotated[int, typer.Option(help="Synthetic images of each class.")] = 400,
    fold: Folds = None,
    curve: Curve = None,
    ledger: Ledger = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print runs and hours; do nothing.")] = False,
    hours: HoursLeft = None,
    settings: options.Settings = None,
    synthesizer_settings: SynthesizerSettings = None,
) -> None:
    """Train with and without synthetic images, test on real parts, say whether to add them."""
    from flawsmith.experiment.benefit import BenefitTest

    if hours is not None and not 0 < hours < float("inf"):
        raise FlawsmithError(f"--hours {hours:g}: expected a time above 0, such as 3")
    if hours is not None and plan:
        raise FlawsmithError("--plan prints all that is to do, and --hours does a part; give one")
    values = {
        "systems": _systems(data, arm or [], without or [], settings or []),
        "select": select,
        "given": [_named(text) for text in synthetic or []],
        "models": model,
        "preset": preset,
        "seeds": seeds,
        "draws": draws,
        **_amounts(amount or []),
        "each_class": each_class,
        "schedules": schedule,
        "per_class": per_class,
        "folds": fold,
        "curve": None if curve is None else _shares(curve),
        "overrides": settings,
        "synthesizer_overrides": synthesizer_settings,
    }
    test = BenefitTest(data, out, _settings(values), ledger)
    if plan:
        _print_plan(test)
        return
    _run(test, hours)


def _settings(values: dict[str, object]) -> BenefitSettings:
    from flawsmith.config import validate
    from flawsmith.experiment.benefit import BenefitSettings

    given = {key: value for key, value in values.items() if value is not None}
    return validate(BenefitSettings, given, source="flawsmith benefit")


def _systems(data: Path, arms: list[str], without: list[str], overrides: list[str]) -> list[str]:
    """Return the arms to train: those that are always there, but for some, and the others."""
    from flawsmith.experiment.benefit.settings import ALWAYS, level_of

    always = ALWAYS[level_of(data, overrides)]
    strangers = [name for name in without if name not in always]
    if strangers:
        raise FlawsmithError(
            f"--without {strangers[0]}: expected an arm that is there without being asked for "
            f"({', '.join(always) or 'none for labels of whole images'})"
        )
    return [name for name in (*always, *arms) if name not in ("real", *without)]


def _named(text: str) -> tuple[str, str]:
    name, separator, folder = text.partition("=")
    return (name, folder) if separator else ("", text)


def _amounts(words: list[str]) -> dict[str, object]:
    """Return the settings of ``--amount``: shares to choose from, or a share of each class."""
    named = [word.rpartition("=") for word in words if "=" in word]
    if named and len(named) < len(words):
        raise FlawsmithError(
            f"--amount {' --amount '.join(words)}: shares to choose from and shares of classes "
            "exclude each other; give one kind, such as --amount scratch=0.5 --amount patch=0.25"
        )
    if len({name for name, *_ in named}) < len(named):
        raise FlawsmithError(f"--amount {' --amount '.join(words)}: a class has one amount")
    if named:
        return {"class_amounts": {name: share for name, _, share in named}}
    return {"amounts": words or None}


def _shares(text: str) -> list[float]:
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        shares = [0.0]
    if not all(0 < share <= 1 for share in shares):
        raise FlawsmithError(f"--curve {text}: expected shares above 0 up to 1, as 0.25,0.5,1")
    return shares


def _run(test: BenefitTest, hours: float | None) -> None:
    from flawsmith.cli.demo import step
    from flawsmith.cli.train import training_hooks
    from flawsmith.experiment.benefit.page import write_report

    try:
        finished = test.run(training_hooks(), step, hours=hours)
    except InterruptionError:
        write_report(test)
        raise
    facts, page = write_report(test)
    _print_facts(facts)
    console.print(f"page: {page}\nnumbers: {page.with_suffix('.json')}")
    if not finished:
        console.print("not all runs are done; the same command goes on")


def _print_plan(test: BenefitTest) -> None:
    from flawsmith.cli.train import duration

    total = 0.0
    for number, item in enumerate(test.plan(), start=1):
        total += item.seconds
        time = f"{duration(item.seconds)} ({'measured' if item.measured else 'estimated'})"
        state = "done" if item.done else time if item.needed else "not needed"
        console.print(f"{number:3}. {item.step.title}: {state}")
    console.print(
        f"{duration(total)} on this machine; {len(test.arms) + 1} arms, folds "
        f"{', '.join(map(str, test.folds))} (most defective parts first); nothing was written"
    )


def _print_facts(facts: BenefitFacts) -> None:
    from rich.table import Column, Table

    from flawsmith.experiment.benefit.verdict import change_words

    macro = f"macro {facts.figure}"
    named = [Column(name, overflow="fold") for name in ("model", "arm")]  # names are never cut
    table = Table(*named, "folds", macro, "minus real [95 %]", "p (Holm)")
    changes = {(c.model, c.arm): c for c in facts.comparisons}
    for item in facts.arms:
        found = changes.get((item.model, item.arm))
        table.add_row(
            item.model,
            item.arm,
            str(len(item.folds)),
            _share(item.macro),
            change_words(found.change) if found else "",
            f"{found.holm:.3f}" if found and found.holm is not None else "",
        )
    console.print(table, markup=False)
    if facts.level == "image":
        _print_recall(facts)
    console.print(facts.verdict.headline, style="bold", markup=False)
    for sentence in facts.verdict.sentences:
        console.print(sentence, markup=False)


def _print_recall(facts: BenefitFacts) -> None:
    """Print what the arms find of each class: the rare ones are what synthesis is for."""
    from rich.table import Table

    for model in facts.settings.models:
        own = [item for item in facts.arms if item.model == model]
        if not own:
            continue
        title = f"{model}: recall of test images"
        table = Table("class", "parts", *(item.arm for item in own), title=title)
        for i, name in enumerate(own[0].classes):
            table.add_row(name, str(own[0].parts[i]), *(_share(item.recall[i]) for item in own))
        balanced = (_share(item.balanced_accuracy) for item in own)
        table.add_section()
        table.add_row("balanced accuracy", "", *balanced)
        console.print(table, markup=False)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
