"""``flawsmith review report``: both stages over a period."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.stored import Since, StoreUrl, Until, open_store, period


def register(review: typer.Typer) -> None:
    """Add the verb to ``flawsmith review``."""
    review.command("report")(report)


def report(
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
    out: Annotated[
        Path | None, typer.Option(help="Page to write; numbers go beside it as .json.")
    ] = None,
) -> None:
    """Flow through both stages, escape and overkill with intervals."""
    from flawsmith.errors import FlawsmithError
    from flawsmith.line.stage_page import headline, share_words, write_page
    from flawsmith.line.stage_report import report_stages
    from flawsmith.storage import write_text

    begin, end = period(since, until)
    if out is not None and (out.suffix != ".html" or not out.parent.is_dir()):
        raise FlawsmithError(f"--out {out}: expected a file ending in .html, in a folder there is")
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
