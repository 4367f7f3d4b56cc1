"""``flawsmith review``: the second look at parts, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli import review_export, review_report
from flawsmith.cli.console import console
from flawsmith.cli.stored import Since, StoreUrl, Until, open_store, period

if TYPE_CHECKING:
    from collections.abc import Callable

    from flawsmith.line.reviews.reviews import Said
    from flawsmith.line.store.part_record import PartRecord

Number = Annotated[int, typer.Argument(metavar="ID", help="Sequence number of the part's result.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.")]
DefectClass = Annotated[
    str | None, typer.Option("--class", metavar="CLASS", help="Which defect it is.")
]
NewClass = Annotated[
    bool, typer.Option("--new-class", help="The class is not in the store yet: add it.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    review = typer.Typer(
        no_args_is_help=True, help="Review what the first stage failed, doubted, or was drawn."
    )
    for verb in (list_, confirm, overturn, sample):
        review.command(verb.__name__.rstrip("_"))(verb)
    review_report.register(review)
    review_export.register(review)
    app.add_typer(review, name="review")


def list_(
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="Those that were reviewed, instead.")
    ] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Do not show what the first stage said.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON for each part.")] = False,
) -> None:
    """List the parts that wait for a person, the oldest first."""
    from flawsmith.errors import FlawsmithError
    from flawsmith.line.store import Query

    if blind and (json or reviewed):
        raise FlawsmithError("--blind hides what --json and --reviewed show; leave one of them out")
    begin, end = period(since, until)
    count = 0
    with open_store(store) as opened:
        wanted = Query(since=begin, until=end, due=not reviewed, reviewed=reviewed or None)
        for record in opened.find(wanted):
            count += 1
            if json:
                print(record.line())
            else:
                console.print(_line(record, blind=blind), markup=False)
    if not json:
        what = "reviewed" if reviewed else "due for review"
        console.print(f"{count:,} part{'s' if count != 1 else ''} {what}")


def _line(record: PartRecord, *, blind: bool) -> str:
    from flawsmith.line.results import Verdict
    from flawsmith.line.reviews.reviews import disagreement

    images = ", ".join(image.image for image in record.images) or "no image"
    head = f"{record.id}  {record.finished_at:%Y-%m-%d %H:%M}  {record.verdict.part or '?'}"
    if blind:
        return f"{head}  {images}"
    verdict = record.verdict
    why = "audit" if record.audited else "; ".join(reason.text for reason in verdict.reasons)
    lines = [f"{head}  {verdict.verdict}{f' ({why})' if why else ''}  {images}"]
    for review in record.reviews:
        said = "good" if review.verdict is Verdict.PASS else review.defect_class or "defective"
        reason = f": {review.reason}" if review.reason else ""
        lines.append(f"    {review.reviewed_at:%Y-%m-%d %H:%M} {review.person}: {said}{reason}")
    if disagreement(record.reviews):
        lines.append("    they disagree; the last one counts")
    return "\n".join(lines)


def confirm(
    number: Number,
    by: By,
    defect_class: DefectClass = None,
    reason: Annotated[str, typer.Option(help="Why, in a few words.")] = "",
    new_class: NewClass = False,
    store: StoreUrl = "results.db",
) -> None:
    """The first stage was right: a passed part is good, every other one is defective."""
    from flawsmith.line.reviews import reviews

    _say(reviews.confirm, store, number, by, defect_class, reason, new_class)


def overturn(
    number: Number,
    by: By,
    reason: Annotated[str, typer.Option(help="Why, in a few words.")],
    defect_class: DefectClass = None,
    new_class: NewClass = False,
    store: StoreUrl = "results.db",
) -> None:
    """The first stage was wrong: a passed part is defective, every other one is good."""
    from flawsmith.line.reviews import reviews

    _say(reviews.overturn, store, number, by, defect_class, reason, new_class)


def _say(
    say: Callable[..., Said],
    store: str,
    number: int,
    person: str,
    defect_class: str | None,
    reason: str,
    new_class: bool,
) -> None:
    """Store what a person says of a part, and print what follows."""
    with open_store(store) as opened:
        said = say(
            opened, number, person=person, defect_class=defect_class, reason=reason,
            new_class=new_class,
        )  # fmt: skip
    _print(number, said)


def _print(number: int, said: Said) -> None:
    from flawsmith.line.results import Verdict

    good = said.review.verdict is Verdict.PASS
    what = "good" if good else f"defective ({said.review.defect_class or 'class not said'})"
    console.print(
        f"{number}: the first stage said {said.first_stage}, {said.review.person} says {what}",
        markup=False,
    )
    if said.disagrees:
        before = ", ".join(sorted({review.person for review in said.others}))
        console.print(f"before, {before} decided; not all agree, the last one counts", markup=False)


def sample(
    rate: Annotated[float, typer.Option(help="Share of the passed parts, 0 to 1.")],
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
) -> None:
    """Draw passed parts for review, by a keyed lot, so that escapes are measured."""
    from flawsmith.line.reviews.audit import draw_sample

    begin, end = period(since, until)
    with open_store(store) as opened:
        drawn = draw_sample(opened, rate, since=begin, until=end)
    console.print(
        f"{drawn.drawn:,} of {drawn.passed:,} passed parts are drawn, {drawn.added:,} of them now"
    )
