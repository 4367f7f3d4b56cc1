"""``flawsmith results``: what the results store holds, and how long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.stored import Since, StoreUrl, Until, open_store, period

if TYPE_CHECKING:
    from flawsmith.line.store.part_record import PartRecord
    from flawsmith.line.store.retention import Retained

MAX_REASONS = 2


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    results = typer.Typer(
        invoke_without_command=True, help="List and export results, remove old ones."
    )
    results.callback()(list_results)
    results.command("retain")(retain)
    app.add_typer(results, name="results")


def list_results(
    context: typer.Context,
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
    verdict: Annotated[
        str | None, typer.Option(metavar="PASS|REVIEW|FAIL", help="Only these.")
    ] = None,
    defect_class: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="With a defect of this class.")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Of this part.")] = None,
    export: Annotated[
        str | None, typer.Option(metavar="jsonl|csv", help="Print everything, a line each.")
    ] = None,
) -> None:
    """List results, the oldest first; with --export as JSON lines or CSV."""
    if context.invoked_subcommand is not None:
        return
    from flawsmith.errors import FlawsmithError
    from flawsmith.line.result_lines import line_writer
    from flawsmith.line.results import Verdict
    from flawsmith.line.store import Query

    if verdict is not None and verdict.upper() not in Verdict.__members__:
        raise FlawsmithError(f"--verdict {verdict}: expected PASS, REVIEW or FAIL")
    if export not in (None, "jsonl", "csv"):
        raise FlawsmithError(f"--export {export}: expected jsonl or csv")
    begin, end = period(since, until)
    query = Query(
        since=begin, until=end, verdict=Verdict(verdict.upper()) if verdict else None,
        defect_class=defect_class, part=part,
    )  # fmt: skip
    with open_store(store) as opened:
        if export:
            head, line = line_writer("json" if export == "jsonl" else export)
            if head:
                print(head)
            for record in opened.find(query):
                print(line(record))
            return
        for record in opened.find(query):
            console.print(_row(record), markup=False)
        counts = opened.count(query)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    console.print(f"{sum(counts.values()):,} parts: {told}")


def _row(record: PartRecord) -> str:
    from flawsmith.errors import listed

    verdict = record.verdict
    reasons = listed([r.text for r in verdict.reasons], MAX_REASONS, separator="; ")
    review = record.reviews[-1] if record.reviews else None
    said = f"  [{review.person}: {review.verdict}]" if review else ""
    head = f"{record.id}  {record.finished_at:%Y-%m-%d %H:%M:%S}  {verdict.verdict:<6}"
    return f"{head}  {verdict.part}{said}  {reasons}".rstrip()


def retain(
    keep_days: Annotated[
        float, typer.Option(help="Keep passed parts that nobody looked at for so long.")
    ],
    store: StoreUrl = "results.db",
    keep_reviewed_days: Annotated[
        float | None,
        typer.Option(
            help="Keep failed, doubtful and reviewed parts for so long; default: for good."
        ),
    ] = None,
    kept_images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of --keep-images: what no result names goes too."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")
    ] = False,
) -> None:
    """Remove old results; never those that wait for a person or for a sink."""
    from flawsmith.line.image_archive import ImageArchive
    from flawsmith.line.store.retention import retain as remove_old

    with open_store(store) as opened:
        archive = ImageArchive.existing(kept_images, opened) if kept_images is not None else None
        done = remove_old(opened, keep_days, keep_reviewed_days=keep_reviewed_days, dry_run=dry_run)
        _print_retained(done, reviewed=keep_reviewed_days is not None, dry_run=dry_run)
        if archive is not None:
            images = archive.remove_unnamed(dry_run=dry_run)
            console.print(
                f"{images.images:,} kept images ({images.bytes / 1e6:,.1f} MB) that no result "
                f"names {'would be ' if dry_run else ''}removed"
            )


def _print_retained(done: Retained, *, reviewed: bool, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    console.print(
        f"{done.removed:,} passed parts from before {done.before:%Y-%m-%d %H:%M} UTC {would}removed"
    )
    if reviewed:
        console.print(f"{done.removed_reviewed:,} reviewed parts {would}removed")
    if done.under_review:
        console.print(f"{done.under_review:,} old ones wait for review and stay: flawsmith review")
    if done.undelivered:
        console.print(f"{done.undelivered:,} old ones wait for a sink and stay")
