"""The report on both stages: read from the store, as plain data for the page and for JSON."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from flawsmith.config import StrictModel
from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.reviews.periods import Unit, check_order, start_of, unit_of
from flawsmith.line.reviews.second_stage import (
    UNNAMED,
    Cell,
    ClassStages,
    Span,
    Stages,
    by_class,
    coverage,
    over_time,
    summarise,
)
from flawsmith.line.store import Query, Store
from flawsmith.line.store.tables import AuditRow, ImageRow, PartRow, RegionRow, ReviewRow

MOST_DISAGREEMENTS = 100
FAR = 4.0
"""Standard deviations between the parts that the audit stands for and those that passed."""

Conditions = Sequence[sa.ColumnElement[bool]]


class Disagreement(StrictModel):
    """A part of which persons said different things; the last one counts."""

    id: int
    part: str
    first_stage: Verdict
    said: list[str]


class StageReport(StrictModel):
    """Both stages over a period.

    Attributes:
        since: the beginning that was asked for, else the first part's time.
        until: the end that was asked for, not in the period itself, else the last part's time.
        unit: of ``spans``.
        notes: what a reader has to know before the figures.
        disagreements: at most `MOST_DISAGREEMENTS`; ``disagreeing`` counts all.
    """

    format_version: int = 1
    store: str
    since: datetime
    until: datetime
    made_at: datetime
    unit: Unit
    stages: Stages
    classes: list[ClassStages]
    spans: list[Span]
    notes: list[str]
    disagreeing: int
    disagreements: list[Disagreement]


def report_stages(
    store: Store, *, since: datetime | None = None, until: datetime | None = None
) -> StageReport:
    """Return the report on a period; everything that is stored without one.

    A part that was inspected several times counts each time, and a note says so.

    Raises:
        FlawsmithError: if the period ends before it begins, or no part is in it.
    """
    check_order(since, until)
    conditions = Query(since=since, until=until).conditions()
    with store.reading() as session:
        first, last, total, names = session.execute(
            sa.select(
                sa.func.min(PartRow.finished_at), sa.func.max(PartRow.finished_at),
                sa.func.count(), sa.func.count(PartRow.part.distinct()),
            ).where(*conditions)
        ).one()  # fmt: skip
        if not total:
            raise FlawsmithError(
                f"the results store {store.name} has no part in this period; "
                "give another --since and --until, or leave them out for all parts"
            )
        removed = _removed(session, conditions)
        unit = unit_of(since or first, until or last)
        cells = _cells(session, conditions, unit)
        disagreeing = _disagreeing(session, conditions)
    numbers = disagreeing[:MOST_DISAGREEMENTS]
    stages = summarise(cells)
    return StageReport(
        store=store.name, since=since or first, until=until or last, made_at=datetime.now(UTC),
        unit=unit, stages=stages, classes=by_class(cells),
        spans=over_time(cells, 1 if unit == "day" else 7),
        notes=_notes(stages, total - names, removed, coverage(cells)),
        disagreeing=len(disagreeing), disagreements=[_disagreement(store, n) for n in numbers],
    )  # fmt: skip


def _removed(session: Session, conditions: Conditions) -> int:
    """Return how many sequence numbers between the first and the last part have no result."""
    ends = sa.select(sa.func.min(PartRow.id), sa.func.max(PartRow.id)).where(*conditions)
    first, last = session.execute(ends).one()
    there = sa.select(sa.func.count()).where(PartRow.id.between(first, last))
    return int(last - first + 1 - (session.scalar(there) or 0))


def _decided() -> sa.Subquery:
    """Return part, its last deciding review and both ends of what was decided."""
    return (
        sa.select(
            ReviewRow.part_id,
            sa.func.max(ReviewRow.id).label("last"),
            sa.func.min(ReviewRow.verdict).label("one"),
            sa.func.max(ReviewRow.verdict).label("other"),
        )
        .where(ReviewRow.verdict != Verdict.REVIEW.value)
        .group_by(ReviewRow.part_id)
        .subquery()
    )


def _cells(session: Session, conditions: Conditions, unit: Unit) -> Counter[Cell]:
    top = _top_classes(session, conditions)
    decided = _decided()
    rows = (
        sa.select(
            PartRow.id, PartRow.verdict, PartRow.finished_at, AuditRow.rate,
            ReviewRow.verdict, ReviewRow.defect_class,
        )
        .outerjoin(AuditRow, AuditRow.part_id == PartRow.id)
        .outerjoin(decided, decided.c.part_id == PartRow.id)
        .outerjoin(ReviewRow, ReviewRow.id == decided.c.last)
        .where(*conditions)
        .execution_options(yield_per=2000)
    )  # fmt: skip
    cells: Counter[Cell] = Counter()
    for number, verdict, finished, share, final, said in session.execute(rows):
        first_class = top.get(number)
        is_defective = final == Verdict.FAIL.value
        cell = Cell(
            start=start_of(finished, unit),
            verdict=Verdict(verdict),
            audit_rate=share,
            final=Verdict(final) if final else None,
            first_class=first_class,
            said_class=(said or first_class or UNNAMED) if is_defective else None,
        )
        cells[cell] += 1
    return cells


def _top_classes(session: Session, conditions: Conditions) -> dict[int, str]:
    """Return the class of the region with the highest score of every part with regions."""
    rows = (
        sa.select(ImageRow.part_id, RegionRow.class_name, sa.func.max(RegionRow.score))
        .join(RegionRow, RegionRow.image_id == ImageRow.id)
        .join(PartRow, PartRow.id == ImageRow.part_id)
        .where(*conditions)
        .group_by(ImageRow.part_id, RegionRow.class_name)
        .execution_options(yield_per=2000)
    )
    best: dict[int, tuple[float, str]] = {}
    for number, name, score in session.execute(rows):
        best[number] = max(best.get(number, (-1.0, "")), (score, name))
    return {number: name for number, (_, name) in best.items()}


def _disagreeing(session: Session, conditions: Conditions) -> list[int]:
    decided = _decided()
    rows = (
        sa.select(PartRow.id)
        .join(decided, decided.c.part_id == PartRow.id)
        .where(*conditions, decided.c.one != decided.c.other)
        .order_by(PartRow.id)
    )
    return list(session.scalars(rows))


def _disagreement(store: Store, number: int) -> Disagreement:
    found = store.get(number)
    said = []
    for review in found.reviews:
        what = "good" if review.verdict is Verdict.PASS else review.defect_class or "defective"
        if review.verdict is Verdict.REVIEW:
            what = "not sure"
        said.append(f"{review.person}: {what}{f' ({review.reason})' if review.reason else ''}")
    return Disagreement(
        id=number, part=found.verdict.part, first_stage=found.verdict.verdict, said=said
    )


def _notes(
    stages: Stages, repeated: int, removed: int, stands_for: tuple[float, float] | None
) -> list[str]:
    notes = []
    sent, audit = stages.sent, stages.audit
    if repeated:
        notes.append(
            f"{repeated:,} of the {stages.parts:,} results are of a part that has another result "
            "in the period; each result counts."
        )
    if sent.waiting:
        notes.append(
            f"{sent.waiting:,} failed or doubtful parts wait for a review. The values take them to "
            "be like the others, the intervals hold whatever they are."
        )
    if stages.passed and not audit.drawn:
        notes.append(
            "No passed part was audited, so that escape was not measured; draw some with: "
            "flawsmith review sample --rate 0.02"
        )
    elif audit.waiting:
        notes.append(
            f"{audit.waiting:,} audited parts wait for a review and do not count yet; the interval "
            "of escape holds if they are not chosen by what they look like."
        )
    if removed:
        notes.append(
            f"{removed:,} results of the period were removed (flawsmith results retain) and count "
            "nowhere; where passed parts were, shares and escape are too high. Write the report of "
            "a period before its results are removed."
        )
    elif stands_for and abs(stands_for[0] - stages.passed) > FAR * stands_for[1] + 0.5:
        notes.append(
            f"The audited parts stand for {stands_for[0]:,.0f} passed parts, and "
            f"{stages.passed:,} passed: the lot was not drawn for all of the period. Escape takes "
            "the rest to be like those it was drawn for; draw for all with: flawsmith review sample"
        )
    return notes
