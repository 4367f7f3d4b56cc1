"""Drift: figures of the line that leave the control limits of a reference period.

Successive parts are taken together in subgroups of one size, in the order in which they were
stored, so that a clock that jumps moves none into another.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa

from flawsmith.config import StrictModel
from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.reviews.control_charts import Limits, ewma_chart, individuals_chart, share_chart
from flawsmith.line.reviews.periods import check_order
from flawsmith.line.store import Query, Store
from flawsmith.line.store.tables import ImageRow, PartRow, RegionRow

FEWEST_POINTS = 20
"""Subgroups that a reference needs; Montgomery asks for 20 to 25."""

EVERY = 50
MOST_EVERY = 100_000

ChartKind = Literal["p", "individuals", "ewma"]


@dataclass(frozen=True)
class Figure:
    """Something that is watched.

    Attributes:
        higher: what to look at when it rises.
        lower: what to look at when it falls.
        is_share: a share of parts; all others are means over the parts that have the figure.
    """

    title: str
    higher: str
    lower: str
    is_share: bool = False


_LIGHT = "the lamp, the exposure, the lens (dirt), the surface of the parts"
FIGURES = {
    "fail": Figure(
        "Share of failed parts",
        "the parts themselves first; then review some failed ones: overkill rises if they are good",
        "whether defects are missed: draw more passed parts with flawsmith review sample",
        is_share=True,
    ),
    "review": Figure(
        "Share of doubtful parts",
        "the reasons (flawsmith results): missing views, novelty, calibration, doubtful regions",
        "whether rules or model were changed",
        is_share=True,
    ),
    "confidence": Figure(
        "Highest score of a part's regions",
        "a kind of defect that comes more often than before",
        "regions that the model is unsure of: a new kind of defect, or other light or focus",
    ),
    "novelty": Figure(
        "Highest novelty of a part",
        "the places with the highest novelty: a new kind of defect, dirt, another supplier",
        "whether the camera sees the part at all; whether the model was changed",
    ),
    "mean": Figure("Brightness of the images", _LIGHT, _LIGHT),
    "spread": Figure(
        "Spread of the brightness in an image", f"{_LIGHT}, reflections", f"{_LIGHT}, focus"
    ),
}


class Point(StrictModel):
    """One subgroup on one chart.

    Attributes:
        first: sequence number of its first part.
        last: of its last part.
        time: of its last part.
        value: share or mean; smoothed on the EWMA chart.
    """

    first: int
    last: int
    time: datetime
    value: float
    low: float
    high: float
    outside: bool


class Chart(StrictModel):
    """One figure on one chart.

    Attributes:
        centre: share or mean of the reference.
        reference_points: subgroups of the reference.
        reference_outside: of these, those outside the limits that they made themselves.
    """

    figure: str
    kind: ChartKind
    centre: float
    reference_points: int
    reference_outside: int
    points: list[Point]


class Alarm(StrictModel):
    """Successive subgroups of one chart outside its limits, all on one side.

    Attributes:
        time: of the last part of the first of them.
        until: of the last part of the last of them.
        value: of the first of them, with the limits it left.
        points: how many there are.
        look_at: what to do.
    """

    figure: str
    kind: ChartKind
    time: datetime
    until: datetime
    first: int
    last: int
    value: float
    low: float
    high: float
    points: int
    look_at: str


class DriftReport(StrictModel):
    """What left its limits; ``every`` parts are a subgroup."""

    format_version: int = 1
    store: str
    reference_since: datetime | None
    reference_until: datetime
    since: datetime
    until: datetime | None
    every: int
    made_at: datetime
    charts: list[Chart]
    alarms: list[Alarm]
    notes: list[str]


@dataclass
class Subgroups:
    """Values of one figure in subgroups; the last one, not yet full, is left out."""

    every: int
    values: list[float] = field(default_factory=list)
    ends: list[tuple[int, int, datetime]] = field(default_factory=list)
    _open: list[float] = field(default_factory=list)
    _first: int = 0

    def add(self, number: int, time: datetime, value: float) -> None:
        """Add the value of the next part."""
        if not self._open:
            self._first = number
        self._open.append(value)
        if len(self._open) == self.every:
            self.values.append(sum(self._open) / self.every)
            self.ends.append((self._first, number, time))
            self._open = []

    @property
    def found(self) -> int:
        """How many parts have the figure."""
        return len(self.values) * self.every + len(self._open)


def watch_drift(
    store: Store,
    *,
    reference_since: datetime | None,
    reference_until: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    every: int = EVERY,
) -> DriftReport:
    """Return the charts of a period against the limits of a reference, and the alarms.

    Args:
        store: has both.
        reference_since: None for the beginning of the store.
        reference_until: end of the reference, in which all was as it should be.
        since: beginning of what is watched; None for the end of the reference.
        until: None for the end of the store.
        every: parts in a subgroup.

    Raises:
        FlawsmithError: if the periods overlap or end before they begin, the size is no size, or
            the reference has too few parts for any figure.
    """
    check_order(reference_since, reference_until)
    begin = since or reference_until
    check_order(begin, until)
    if begin < reference_until:
        raise FlawsmithError(
            f"the watched period begins at {begin:%Y-%m-%d %H:%M}, within the reference, which "
            f"ends at {reference_until:%Y-%m-%d %H:%M} UTC; let it begin then or later"
        )
    if not 2 <= every <= MOST_EVERY:
        raise FlawsmithError(f"--every {every}: expected 2 to {MOST_EVERY:,} parts in a subgroup")
    reference = _subgroups(store, Query(since=reference_since, until=reference_until), every)
    watched = _subgroups(store, Query(since=begin, until=until), every)
    charts: list[Chart] = []
    notes: list[str] = []
    for name in FIGURES:
        note = _note(name, reference[name], watched[name])
        if note:
            notes.append(note)
        if len(reference[name].values) >= FEWEST_POINTS:
            charts += _charts(name, reference[name], watched[name])
    if not charts:
        parts = reference["fail"].found
        raise FlawsmithError(
            f"the reference has {parts:,} parts; {FEWEST_POINTS} subgroups of {every} are "
            f"needed ({FEWEST_POINTS * every:,} parts): take a longer one, or a smaller --every"
        )
    alarms = [alarm for chart in charts for alarm in _alarms(chart)]
    return DriftReport(
        store=store.name, reference_since=reference_since, reference_until=reference_until,
        since=begin, until=until, every=every, made_at=datetime.now(UTC), charts=charts,
        alarms=sorted(alarms, key=lambda alarm: alarm.first), notes=notes,
    )  # fmt: skip


def _subgroups(store: Store, query: Query, every: int) -> dict[str, Subgroups]:
    found = {name: Subgroups(every) for name in FIGURES}
    images = sa.select(
        ImageRow.part_id,
        sa.func.max(ImageRow.novelty_score).label("novelty"),
        sa.func.avg(ImageRow.mean).label("mean"),
        sa.func.avg(ImageRow.spread).label("spread"),
    )
    seen = images.group_by(ImageRow.part_id).subquery()
    regions = sa.select(ImageRow.part_id, sa.func.max(RegionRow.score).label("score"))
    regions = regions.join(RegionRow, RegionRow.image_id == ImageRow.id)
    top = regions.group_by(ImageRow.part_id).subquery()
    rows = (
        sa.select(
            PartRow.id, PartRow.finished_at, PartRow.verdict, top.c.score,
            seen.c.novelty, seen.c.mean, seen.c.spread,
        )
        .outerjoin(seen, seen.c.part_id == PartRow.id)
        .outerjoin(top, top.c.part_id == PartRow.id)
        .where(*query.conditions())
        .order_by(PartRow.id)
        .execution_options(yield_per=2000)
    )  # fmt: skip
    with store.reading() as session:
        for number, time, verdict, *values in session.execute(rows):
            shares = (verdict == Verdict.FAIL.value, verdict == Verdict.REVIEW.value)
            for name, value in zip(FIGURES, (*shares, *values), strict=True):
                if value is not None:
                    found[name].add(number, time, float(value))
    return found


def _note(name: str, reference: Subgroups, watched: Subgroups) -> str:
    title = FIGURES[name].title
    if not reference.found:
        return f"{title}: not measured in the reference." if watched.found else ""
    if len(reference.values) < FEWEST_POINTS:
        return (
            f"{title}: {reference.found:,} parts of the reference have it, "
            f"{FEWEST_POINTS * reference.every:,} are needed; it is not watched."
        )
    if not watched.values:
        return (
            f"{title}: {watched.found:,} parts have it since the reference, a subgroup needs "
            f"{watched.every:,}; nothing was compared."
        )
    return ""


def _charts(name: str, reference: Subgroups, watched: Subgroups) -> Iterator[Chart]:
    kinds: dict[ChartKind, Callable[[Sequence[float], Sequence[float]], list[Limits]]] = {
        "individuals": individuals_chart,
        "ewma": ewma_chart,
    }
    if FIGURES[name].is_share:

        def shares(known: Sequence[float], new: Sequence[float]) -> list[Limits]:
            every = watched.every
            before, after = ([round(value * every) for value in values] for values in (known, new))
            return share_chart(before, after, every)

        kinds = {"p": shares}
    for kind, draw in kinds.items():
        yield Chart(
            figure=name, kind=kind, centre=sum(reference.values) / len(reference.values),
            reference_points=len(reference.values),
            reference_outside=sum(p.outside for p in draw(reference.values, reference.values)),
            points=[
                Point(
                    first=first, last=last, time=time, value=found.value, low=found.low,
                    high=found.high, outside=found.outside,
                )
                for found, (first, last, time) in zip(
                    draw(reference.values, watched.values), watched.ends, strict=True
                )
            ],
        )  # fmt: skip


def _alarms(chart: Chart) -> Iterator[Alarm]:
    """Yield an alarm for each run of points outside on one side."""
    run: list[Point] = []
    for point in [*chart.points, None]:
        goes_on = run and point and point.outside and _above(point) == _above(run[0])
        if run and not goes_on:
            yield _alarm(chart, run)
            run = []
        if point and point.outside:
            run.append(point)


def _above(point: Point) -> bool:
    return point.value > point.high


def _alarm(chart: Chart, run: Sequence[Point]) -> Alarm:
    first, last, figure = run[0], run[-1], FIGURES[chart.figure]
    return Alarm(
        figure=chart.figure, kind=chart.kind, time=first.time, until=last.time,
        first=first.first, last=last.last, value=first.value, low=first.low, high=first.high,
        points=len(run), look_at=figure.higher if _above(first) else figure.lower,
    )  # fmt: skip
