"""``flawsmith review report`` and ``drift``: both stages over a period, and what has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.stored import Since, StoreUrl, Until, open_store, period


def register(review: typer.Typer) -> None:
    """Add the verbs to ``flawsmith review``."""
    review.command("report")(report)
    review.command("drift")(drift)


def report(
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
    out: Annotated[
        Path | None, typer.Option(help="Page to write; numbers go beside it as .json.")
    ] = None,
) -> None:
    """Flow through both stages, escape and overkill with intervals."""
    from flawsmith.line.reviews.stage_page import headline, share_words, write_page
    from flawsmith.line.reviews.stage_report import report_stages
    from flawsmith.storage import write_text

    begin, end = period(since, until)
    _check(out)
    with open_store(store) as opened:
        found = report_stages(opened, since=begin, until=end)
    stages = found.stages
    console.print(headline(stages), markup=False)
    console.print(
        f"in the end: {stages.final_good:,} good, {stages.final_defective:,} defective, "
        f"{stages.sent.waiting:,} not yet reviewed"
    )
    console.print(f"overkill: {share_words(stages.overkill)} of the good parts failed")
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    if found.disagreeing:
        console.print(f"persons disagree on {found.disagreeing:,} parts")
    if out is not None:
        numbers = out.with_suffix(".json")
        write_text(numbers, found.model_dump_json(indent=2) + "\n")
        write_page(found, out)
        console.print(f"page: {out}\nnumbers: {numbers}", markup=False)


def drift(
    reference_until: Annotated[
        str, typer.Option(metavar="TIME", help="End of the reference, when all was well (UTC).")
    ],
    reference_since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Its beginning. [the store's]")
    ] = None,
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
    every: Annotated[int, typer.Option(help="Parts in a subgroup.")] = 50,
    out: Annotated[
        Path | None, typer.Option(help="Page to write; numbers go beside it as .json.")
    ] = None,
) -> None:
    """Say when verdicts, scores, novelty or brightness left the limits of a reference.

    Status 1 if any did, so that a timer's job can raise an alarm.
    """
    from flawsmith.line.reviews.drift import watch_drift
    from flawsmith.line.reviews.drift_page import alarm_words, headline, notes, write_page
    from flawsmith.line.reviews.periods import parse_time
    from flawsmith.storage import write_text

    begin, end = period(since, until)
    first = parse_time(reference_since, option="--reference-since") if reference_since else None
    last = parse_time(reference_until, option="--reference-until")
    _check(out)
    with open_store(store) as opened:
        found = watch_drift(
            opened, reference_since=first, reference_until=last, since=begin, until=end,
            every=every,
        )  # fmt: skip
    for alarm in found.alarms:
        console.print(alarm_words(alarm), markup=False)
    console.print(headline(found), markup=False)
    for note in notes(found):
        console.print(f"note: {note}", markup=False)
    if out is not None:
        numbers = out.with_suffix(".json")
        write_text(numbers, found.model_dump_json(indent=2) + "\n")
        write_page(found, out)
        console.print(f"page: {out}\nnumbers: {numbers}", markup=False)
    if found.alarms:
        raise typer.Exit(1)


def _check(out: Path | None) -> None:
    from flawsmith.errors import FlawsmithError

    if out is not None and (out.suffix != ".html" or not out.parent.is_dir()):
        raise FlawsmithError(f"--out {out}: expected a file ending in .html, in a folder there is")
