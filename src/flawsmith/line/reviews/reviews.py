"""The second look: a person confirms or overturns what the first stage said of a part."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import Review
from flawsmith.line.store.tables import PartRow, RegionRow, ReviewRow
from flawsmith.registry import nearest_name

MOST_CHARACTERS = {"name": 200, "class": 80, "reason": 2000}


@dataclass(frozen=True)
class Said:
    """A review that was written.

    Attributes:
        first_stage: the stored verdict.
        review: as it is kept.
        others: what was said of the part before, the oldest first.
    """

    first_stage: Verdict
    review: Review
    others: list[Review]

    @property
    def disagrees(self) -> bool:
        """Whether somebody decided otherwise before."""
        return disagreement([*self.others, self.review])


def final_verdict(reviews: Sequence[Review]) -> Verdict | None:
    """Return what the last review that decided says: PASS or FAIL; None if none did."""
    return next((r.verdict for r in reversed(reviews) if r.verdict is not Verdict.REVIEW), None)


def disagreement(reviews: Sequence[Review]) -> bool:
    """Tell whether the reviews of a part decided both ways."""
    return len({r.verdict for r in reviews if r.verdict is not Verdict.REVIEW}) > 1


def confirm(
    store: Store,
    number: int,
    *,
    person: str,
    defect_class: str | None = None,
    reason: str = "",
    new_class: bool = False,
) -> Said:
    """Write that the first stage was right: a passed part is good, every other one is defective.

    Args:
        store: has the part.
        number: its sequence number.
        person: who says so.
        defect_class: what the defect is; None if that is not said.
        reason: in the person's words.
        new_class: the class is one that no region and no review of the store has yet.

    Raises:
        FlawsmithError: if there is no such part, the person has no name, a text is too long or no
            text, the class is not known, or is given for a good part. Nothing is then written.
    """
    return _say(store, number, person, defect_class, reason, overturned=False, new=new_class)


def overturn(
    store: Store,
    number: int,
    *,
    person: str,
    reason: str,
    defect_class: str | None = None,
    new_class: bool = False,
) -> Said:
    """Write that the first stage was wrong: a passed part is defective, every other one is good.

    Arguments and errors are those of `confirm`; a reason is needed, and for a passed part the
    class of what was missed.
    """
    if not reason.strip():
        raise FlawsmithError("overturning needs a reason in a few words; give one with --reason")
    return _say(store, number, person, defect_class, reason, overturned=True, new=new_class)


def _say(
    store: Store, number: int, person: str, defect_class: str | None, reason: str,
    *, overturned: bool, new: bool,
) -> Said:  # fmt: skip
    person = _clean("name", person)
    if not person:
        raise FlawsmithError("a review needs the name of the person who made it; give it with --by")
    reason = _clean("reason", reason)
    wanted = _clean("class", defect_class) if defect_class is not None else None
    if not 0 < number < 1 << 63:
        raise FlawsmithError(f"{number} is no sequence number; flawsmith review list shows them")
    with store.transaction() as session:
        row = session.get(PartRow, number)
        if row is None:
            raise FlawsmithError(
                f"the results store {store.name} has no result {number}; "
                "flawsmith review list shows what is due"
            )
        first = Verdict(row.verdict)
        is_good = (first is Verdict.PASS) != overturned
        if is_good and wanted is not None:
            raise FlawsmithError(
                f"the review makes part {row.part} a good one, and good parts have no class; "
                f"leave out --class {wanted}, or say {'confirm' if overturned else 'overturn'}"
            )
        if not is_good and overturned and not wanted:
            raise FlawsmithError(
                f"part {row.part} passed; say with --class which defect was missed"
            )
        review = Review(
            person=person, verdict=Verdict.PASS if is_good else Verdict.FAIL,
            defect_class=_known(session, wanted, new=new) if wanted else None,
            reason=reason, reviewed_at=datetime.now(UTC),
        )  # fmt: skip
        others = [
            Review(
                person=r.person, verdict=Verdict(r.verdict), defect_class=r.defect_class,
                reason=r.reason, reviewed_at=r.reviewed_at,
            )
            for r in row.reviews
        ]  # fmt: skip
        values = review.model_dump(exclude={"verdict"})
        session.add(ReviewRow(part_id=number, verdict=review.verdict.value, **values))
    return Said(first_stage=first, review=review, others=others)


def _clean(what: str, text: str) -> str:
    """Return a text on one line without spaces around it."""
    text = " ".join(text.split())
    limit = MOST_CHARACTERS[what]
    if len(text) > limit:
        raise FlawsmithError(f"the {what} has {len(text)} characters; expected at most {limit}")
    if not text.isprintable():
        raise FlawsmithError(f"the {what} {text!r} has characters that cannot be printed")
    return text


def _known(session: Session, wanted: str, *, new: bool) -> str:
    """Return the class as the store spells it."""
    names = set(session.scalars(sa.select(RegionRow.class_name).distinct()))
    said = sa.select(ReviewRow.defect_class).where(ReviewRow.defect_class.is_not(None)).distinct()
    names |= {name for name in session.scalars(said) if name}
    for name in sorted(names):
        if name.casefold() == wanted.casefold():
            return name
    if new:
        return wanted
    known = f"known: {', '.join(sorted(names))}" if names else "none is known yet"
    raise FlawsmithError(
        f"no region or review of the store has the class '{wanted}'"
        f"{nearest_name(wanted, sorted(names))} ({known}); if it is a new one, add --new-class"
    )
