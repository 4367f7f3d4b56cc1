"""Both stages over a period: how parts flowed, what was missed, what was rejected for nothing.

The flow is that of Figure 16 of the DBS-GAN paper: the first stage passes parts or sends them to a
person, who confirms or overturns; what the first stage passes is final but for the audit.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from flawsmith.config import StrictModel
from flawsmith.line.results import Verdict
from flawsmith.line.reviews import escape as estimates
from flawsmith.line.reviews.escape import Amount, Drawn, Share
from flawsmith.metrics.evaluation import Rate
from flawsmith.metrics.intervals import rate

UNNAMED = "(not said)"
"""The class of a defective part for which neither a person nor a region has one."""

PASS, REVIEW, FAIL = Verdict


@dataclass(frozen=True)
class Cell:
    """What parts have in common that count together.

    Attributes:
        start: the day, or the Monday of the week.
        verdict: of the first stage.
        audit_rate: at which the lot drew them; None if it did not.
        final: PASS or FAIL as the last review says; None while nobody has.
        first_class: of the region with the highest score; None without regions.
        said_class: of a defective part: the review's, else ``first_class``, else `UNNAMED`.
    """

    start: date
    verdict: Verdict
    audit_rate: float | None = None
    final: Verdict | None = None
    first_class: str | None = None
    said_class: str | None = None


Cells = Mapping[Cell, int]


class Sent(StrictModel):
    """Parts of one verdict of the first stage that a person has to look at."""

    parts: int
    overturned: int
    confirmed: int

    @property
    def decided(self) -> int:
        """How many a person decided on."""
        return self.overturned + self.confirmed

    @property
    def waiting(self) -> int:
        """How many nobody has decided on."""
        return self.parts - self.decided

    def together(self, other: "Sent") -> "Sent":
        """Return the parts of both together."""
        return Sent(
            parts=self.parts + other.parts,
            overturned=self.overturned + other.overturned,
            confirmed=self.confirmed + other.confirmed,
        )


class Audit(StrictModel):
    """Passed parts that a person looked at.

    Attributes:
        drawn: by the lot.
        good: of these, found good; the rest waits or is defective.
        defective: of these, found defective.
        defective_otherwise: passed parts that were not drawn and came back as defective.
        good_otherwise: passed parts that were not drawn and that somebody found good.
        rates: at which the lot drew, lowest first.
    """

    drawn: int
    good: int
    defective: int
    defective_otherwise: int
    good_otherwise: int
    rates: list[float]

    @property
    def waiting(self) -> int:
        """How many nobody has decided on."""
        return self.drawn - self.good - self.defective


class Stages(StrictModel):
    """The flow of some parts through both stages, and what follows from it.

    Attributes:
        missed_share: defective ones among the passed parts, from the audit alone.
        missed: number of passed parts that are defective.
        escape: defective parts passed / defective parts seen; None if there can be none.
        overkill: good parts failed / good parts seen.
        looked_at: good parts failed or doubtful / good parts seen.
    """

    parts: int
    passed: int
    failed: Sent
    doubtful: Sent
    audit: Audit
    missed_share: Share
    missed: Amount
    escape: Share | None
    overkill: Share | None
    looked_at: Share | None

    @property
    def sent(self) -> Sent:
        """Failed and doubtful parts together."""
        return self.failed.together(self.doubtful)

    @property
    def found_defective(self) -> int:
        """Passed parts that a person found defective."""
        return self.audit.defective + self.audit.defective_otherwise

    @property
    def final_good(self) -> int:
        """Parts that end as good: passed and not recalled, or overturned."""
        return self.passed - self.found_defective + self.sent.overturned

    @property
    def final_defective(self) -> int:
        """Parts that end as defective."""
        return self.sent.confirmed + self.found_defective


class ClassStages(StrictModel):
    """One class of defect through both stages.

    Attributes:
        sent: parts that the first stage failed or doubted, with this class on top.
        overturned: of these, those that a person found good, of those decided.
        caught: parts sent to a person who said that it is this class.
        missed_in_audit: audited parts with a missed defect of this class.
        missed_otherwise: other passed parts that came back with it.
        escape: as in `Stages`, for this class.
    """

    name: str
    sent: int
    overturned: Rate | None
    caught: int
    missed_in_audit: int
    missed_otherwise: int
    escape: Share | None


class Span(StrictModel):
    """A day or a week."""

    start: date
    stages: Stages


def summarise(cells: Cells) -> Stages:
    """Return the flow of the parts in some cells."""

    def count(**wanted: object) -> int:
        return sum(n for cell, n in cells.items() if _has(cell, wanted))

    def sent(verdict: Verdict) -> Sent:
        return Sent(
            parts=count(verdict=verdict),
            overturned=count(verdict=verdict, final=PASS),
            confirmed=count(verdict=verdict, final=FAIL),
        )

    passed = count(verdict=PASS)
    failed, doubtful = sent(FAIL), sent(REVIEW)
    audit = _audit(cells)
    share = estimates.sampled_share(_drawn(cells, lambda cell: cell.final is FAIL))
    missed = estimates.missed(
        passed,
        share,
        known_defective=audit.defective + audit.defective_otherwise,
        known_good=audit.good + audit.good_otherwise,
    )
    both = failed.together(doubtful)
    return Stages(
        parts=sum(cells.values()), passed=passed, failed=failed, doubtful=doubtful, audit=audit,
        missed_share=share, missed=missed,
        escape=estimates.escape(
            missed, caught=both.confirmed, decided=both.decided, waiting=both.waiting
        ),
        overkill=estimates.overkill(
            passed, missed, overturned=failed.overturned, decided=failed.decided,
            waiting=failed.waiting, others=doubtful.overturned,
            others_decided=doubtful.decided, others_waiting=doubtful.waiting,
        ),
        looked_at=estimates.overkill(
            passed, missed, overturned=both.overturned, decided=both.decided, waiting=both.waiting
        ),
    )  # fmt: skip


def by_class(cells: Cells) -> list[ClassStages]:
    """Return each class that a region or a person named, the one with most parts first."""
    names = {cell.first_class for cell in cells if cell.verdict is not PASS}
    names |= {cell.said_class for cell in cells}
    rows = [_class(name, cells) for name in sorted(name for name in names if name is not None)]
    return sorted(rows, key=lambda row: -(row.sent + row.caught + row.missed_in_audit))


def over_time(cells: Cells, days: int) -> list[Span]:
    """Return every day (1) or week (7) from the first to the last with a part, empty ones too."""
    spans: dict[date, Counter[Cell]] = {}
    for cell, n in cells.items():
        spans.setdefault(cell.start, Counter())[cell] += n
    if not spans:
        return []
    first, last = min(spans), max(spans)
    starts = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, days)]
    return [Span(start=s, stages=summarise(spans.get(s, Counter()))) for s in starts]


def coverage(cells: Cells) -> tuple[float, float] | None:
    """Return how many passed parts the drawn ones stand for, and its standard deviation.

    Each drawn part stands for 1 / pi; the variance of the sum is sum((1 - pi) / pi^2). A number
    far from that of the passed parts says that the lot was not drawn for all of the period.
    None without an audit.
    """
    drawn = [(c.audit_rate, n) for c, n in cells.items() if c.verdict is PASS and c.audit_rate]
    if not drawn:
        return None
    total = sum(n / share for share, n in drawn)
    return total, sum(n * (1 - share) / share**2 for share, n in drawn) ** 0.5


def _has(cell: Cell, wanted: Mapping[str, object]) -> bool:
    return all(getattr(cell, name) == value for name, value in wanted.items())


def _audit(cells: Cells) -> Audit:
    found: Counter[tuple[bool, Verdict | None]] = Counter()
    rates = set()
    for cell, n in cells.items():
        if cell.verdict is PASS:
            found[cell.audit_rate is not None, cell.final] += n
            rates |= {cell.audit_rate} if cell.audit_rate is not None else set()
    return Audit(
        drawn=sum(n for (drawn, _), n in found.items() if drawn),
        good=found[True, PASS],
        defective=found[True, FAIL],
        defective_otherwise=found[False, FAIL],
        good_otherwise=found[False, PASS],
        rates=sorted(rates),
    )


def _drawn(cells: Cells, counts: Callable[[Cell], bool]) -> dict[float, Drawn]:
    """Return the decided audited parts by rate, and of how many ``counts`` is true."""
    decided: Counter[float] = Counter()
    defective: Counter[float] = Counter()
    for cell, n in cells.items():
        if cell.verdict is PASS and cell.audit_rate is not None and cell.final is not None:
            decided[cell.audit_rate] += n
            defective[cell.audit_rate] += n if counts(cell) else 0
    return {r: Drawn(decided=n, defective=defective[r]) for r, n in decided.items()}


def _class(name: str, cells: Cells) -> ClassStages:
    def total(chosen: Iterable[Cell]) -> int:
        return sum(cells[cell] for cell in chosen)

    passed = [c for c in cells if c.verdict is PASS]
    sent = [c for c in cells if c.verdict is not PASS]
    mine = [c for c in passed if c.said_class == name]
    known_others = total(c for c in passed if c.final is not None and c.said_class != name)
    flagged = [c for c in sent if c.first_class == name]
    caught = total(c for c in sent if c.said_class == name)
    decided = total(c for c in sent if c.final is not None)
    missed = estimates.missed(
        total(passed),
        estimates.sampled_share(_drawn(cells, lambda cell: cell.said_class == name)),
        known_defective=total(mine),
        known_good=known_others,
    )
    return ClassStages(
        name=name,
        sent=total(flagged),
        overturned=rate(
            total(c for c in flagged if c.final is PASS),
            total(c for c in flagged if c.final is not None),
        ),
        caught=caught,
        missed_in_audit=total(c for c in mine if c.audit_rate is not None),
        missed_otherwise=total(c for c in mine if c.audit_rate is None),
        escape=estimates.escape(
            missed, caught=caught, decided=decided, waiting=total(sent) - decided
        ),
    )
