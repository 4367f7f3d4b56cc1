"""The results store: every verdict with what made it, durable before anyone is told."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.line.code_version import code_version
from flawsmith.line.results import ImageInspection, Novelty, PartVerdict, Reason, Verdict
from flawsmith.line.store.database import name_of, open_engine, parse_url, told, writing
from flawsmith.line.store.part_record import PartRecord, Review, handling_key
from flawsmith.line.store.tables import (
    AuditRow,
    CounterRow,
    DeliveryRow,
    ImageRow,
    KeyRow,
    PartRow,
    RegionRow,
    ReviewRow,
    WaitingRow,
)

PAGE = 200
"""Parts read at a time, so that a query over years takes constant memory."""


@dataclass(frozen=True)
class Query:
    """Which parts; what is None does not matter.

    Attributes:
        since: finished at this time or later.
        until: finished before this time.
        defect_class: with at least one region of this class, whatever its case.
        reviewed: whether a person has said something of it.
        due: only what waits for a person: it failed, is doubtful, or is audited.
    """

    since: datetime | None = None
    until: datetime | None = None
    verdict: Verdict | None = None
    defect_class: str | None = None
    part: str | None = None
    reviewed: bool | None = None
    due: bool = False

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return what a row of `PartRow` has to satisfy."""
        found: list[sa.ColumnElement[bool]] = []
        if self.since is not None:
            found.append(PartRow.finished_at >= self.since)
        if self.until is not None:
            found.append(PartRow.finished_at < self.until)
        if self.verdict is not None:
            found.append(PartRow.verdict == self.verdict.value)
        if self.part is not None:
            found.append(PartRow.part == self.part)
        if self.reviewed is not None:
            found.append(PartRow.reviews.any() if self.reviewed else ~PartRow.reviews.any())
        if self.due:
            found.append(~PartRow.reviews.any(ReviewRow.verdict != Verdict.REVIEW.value))
            found.append((PartRow.verdict != Verdict.PASS.value) | PartRow.audit.has())
        if self.defect_class is not None:
            found.append(
                sa.exists()
                .where(ImageRow.part_id == PartRow.id)
                .where(RegionRow.image_id == ImageRow.id)
                .where(sa.func.lower(RegionRow.class_name) == self.defect_class.lower())
            )
        return found


class Store:
    """An open results store; threads may share one.

    Args:
        url: file of an SQLite database, made if it is absent, or ``postgresql://...``.

    Raises:
        FlawsmithError: if it cannot be opened, or is of a newer version, or damaged. So does every
            method where the database cannot do its work; nothing is then half-written.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(parse_url(url))
        self._writing = writing(self._engine)

    @property
    def name(self) -> str:
        """What a user calls it: file or URL without the password."""
        return name_of(self._engine)

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one state of the store."""
        with told(self._engine), Session(self._engine) as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session that is committed, durably, when the block ends without an error."""
        with told(self._engine), Session(self._writing) as session, session.begin():
            yield session

    def record(
        self,
        verdict: PartVerdict,
        images: Sequence[ImageInspection],
        *,
        started_at: datetime | None = None,
        seconds: float = 0.0,
        audit_rate: float | None = None,
        sinks: Sequence[str] = (),
        once: bool = False,
        holder: str | None = None,
    ) -> int:
        """Store a verdict with its images, and what is to be announced, in one transaction.

        Args:
            verdict: of the part.
            images: that it was made from; any order.
            started_at: when the first image was taken up; now if it is not known.
            seconds: how long it took, by a monotonic clock.
            audit_rate: given if the lot fell on this part, at this share of passed parts.
            sinks: names of those that are to be told.
            once: refuse images of which one is stored already (same path and content).
            holder: name of the service whose waiting views of this part are settled with it.

        Returns:
            The sequence number; the one of before if the same handling is stored already.

        Raises:
            FlawsmithError: if nothing was stored, or ``once`` found an image.
        """
        key = handling_key(verdict, images)
        now = datetime.now(UTC)
        with self.transaction() as session:
            number = _next_number(session)  # also keeps other writers out until the commit
            known = session.scalar(sa.select(PartRow.id).where(PartRow.key == key))
            if known is not None:
                session.rollback()  # the number is still free
                return known
            if once:
                _refuse_known(session, images, self.name)
            rows = [_image_row(n, image) for n, image in enumerate(images)]
            session.add(
                PartRow(
                    id=number, key=key, part=verdict.part, verdict=verdict.verdict.value,
                    reasons=[r.model_dump(mode="json") for r in verdict.reasons],
                    hidden=verdict.hidden, rules=verdict.rules, code_version=code_version(),
                    started_at=started_at or now, finished_at=now, seconds=seconds, images=rows,
                )
            )  # fmt: skip
            _add_regions(session, rows, images)
            if audit_rate is not None:
                session.add(AuditRow(part_id=number, rate=audit_rate, sampled_at=now))
            session.add_all(
                DeliveryRow(part_id=number, sink=sink, attempts=0, next_try_at=now)
                for sink in dict.fromkeys(sinks)
            )
            if holder is not None:
                _end_waiting(session, holder, verdict.part)
        return number

    def key(self, name: str) -> bytes:
        """Return a secret of this store, made at random when it is first asked for."""
        wanted = sa.select(KeyRow.value).where(KeyRow.name == name)
        with self.reading() as session:
            found = session.scalar(wanted)
        if found is None:
            with self.transaction() as session:
                session.execute(sa.select(CounterRow).with_for_update())  # one process makes it
                found = session.scalar(wanted)
                if found is None:
                    found = secrets.token_hex(32)
                    session.add(KeyRow(name=name, value=found, made_at=datetime.now(UTC)))
        return bytes.fromhex(found)

    def handled(self, path: str, sha256: str) -> bool:
        """Tell whether an image of this path and content is part of any stored verdict."""
        found = sa.select(ImageRow.id).where(ImageRow.path == path, ImageRow.sha256 == sha256)
        with self.reading() as session:
            return session.scalar(found.limit(1)) is not None

    def find_copy(
        self, part: str, view: str, sha256: str, judged_by: tuple[str, str] | None = None
    ) -> int | None:
        """Return the last result of a part in which this view has exactly this content.

        Args:
            part: its name.
            view: name of the view.
            sha256: of the image; empty: of none.
            judged_by: identities of model and rules; only results of these count then.
        """
        found = (
            sa.select(sa.func.max(PartRow.id))
            .join(PartRow.images)
            .where(PartRow.part == part, ImageRow.view == view, ImageRow.sha256 == sha256)
        )
        if judged_by is not None:
            model, rules = judged_by
            found = found.where(ImageRow.model == model, PartRow.rules == rules)
        with self.reading() as session:
            return session.scalar(found) if sha256 else None

    def find_other_view(self, part: str, view: str) -> tuple[int, str] | None:
        """Return the last result of a part that has a named view besides this one, and its name."""
        found = (
            sa.select(PartRow.id, ImageRow.view)
            .join(PartRow.images)
            .where(PartRow.part == part, ImageRow.view.not_in([view, ""]))
            .order_by(PartRow.id.desc())
        )
        with self.reading() as session:
            row = session.execute(found.limit(1)).first()
        return None if row is None else (row[0], row[1])

    def get(self, number: int) -> PartRecord:
        """Return the part with this sequence number.

        Raises:
            FlawsmithError: if there is none.
        """
        for record in self._pages([PartRow.id == number]):
            return record
        raise FlawsmithError(
            f"the results store {self.name} has no result {number}; "
            "flawsmith results lists what it has"
        )

    def find(self, query: Query | None = None) -> Iterator[PartRecord]:
        """Yield the parts in the order in which they were stored."""
        return self._pages((query or Query()).conditions())

    def count(self, query: Query | None = None) -> dict[Verdict, int]:
        """Return how many parts there are with each verdict, 0 included."""
        rows = (
            sa.select(PartRow.verdict, sa.func.count())
            .where(*(query or Query()).conditions())
            .group_by(PartRow.verdict)
        )
        with self.reading() as session:
            found = {verdict: count for verdict, count in session.execute(rows)}
        return {verdict: found.get(verdict.value, 0) for verdict in Verdict}

    def add_review(self, number: int, review: Review) -> None:
        """Add what a person said of a part; earlier reviews stay.

        Raises:
            FlawsmithError: if there is no such part.
        """
        values = review.model_dump(exclude={"verdict"})
        with self.transaction() as session:
            if session.get(PartRow, number) is None:
                raise FlawsmithError(f"the results store {self.name} has no result {number}")
            session.add(ReviewRow(part_id=number, verdict=review.verdict.value, **values))

    def _pages(self, conditions: Sequence[sa.ColumnElement[bool]]) -> Iterator[PartRecord]:
        last = 0
        everything = (
            selectinload(PartRow.images).selectinload(ImageRow.regions),
            selectinload(PartRow.reviews),
            selectinload(PartRow.audit),
        )
        while True:
            page = sa.select(PartRow).where(*conditions, PartRow.id > last)
            page = page.options(*everything).order_by(PartRow.id).limit(PAGE)
            with self.reading() as session:
                records = [_record(row) for row in session.scalars(page)]
            yield from records
            if len(records) < PAGE:
                return
            last = records[-1].id


def _next_number(session: Session) -> int:
    step = sa.update(CounterRow).where(CounterRow.name == "part")
    step = step.values(value=CounterRow.value + 1)
    return session.execute(step.returning(CounterRow.value)).scalar_one()


def _end_waiting(session: Session, holder: str, part: str) -> None:
    settled = (WaitingRow.holder == holder, WaitingRow.part == part)
    session.execute(sa.delete(WaitingRow).where(*settled))


def _refuse_known(session: Session, images: Sequence[ImageInspection], store: str) -> None:
    for image in images:
        found = sa.select(ImageRow.part_id).where(
            ImageRow.path == image.image, ImageRow.sha256 == image.sha256
        )
        number = session.scalar(found.limit(1))
        if number is not None:
            raise FlawsmithError(
                f"{image.image} is part of result {number} in {store} already: another process "
                "handles the same images with the same store; stop one of the two"
            )


def _image_row(position: int, image: ImageInspection) -> ImageRow:
    novelty = image.novelty
    return ImageRow(
        position=position, path=image.image, view=image.view, sha256=image.sha256,
        model=image.model, width=image.width, height=image.height, problem=image.problem,
        warnings=image.warnings, seconds=image.seconds, mean=image.mean, spread=image.spread,
        novelty_score=novelty.score if novelty else None,
        novelty_box=list(novelty.box) if novelty and novelty.box else None,
    )  # fmt: skip


def _add_regions(
    session: Session, rows: Sequence[ImageRow], images: Sequence[ImageInspection]
) -> None:
    """Insert plain rows: for an image with hundreds of regions a third of the time of objects."""
    session.flush()  # the images have their numbers
    regions = [
        _region_values(row.id, position, region)
        for row, image in zip(rows, images, strict=True)
        for position, region in enumerate(image.regions)
    ]
    if regions:
        session.execute(sa.insert(RegionRow), regions)


def _region_values(image_id: int, position: int, region: Region) -> dict[str, Any]:
    return {
        "image_id": image_id, "position": position, "class_name": region.class_name,
        "score": region.score, "area_px": region.area_px, "length_px": region.length_px,
        "length_mm": region.length_mm, "measures": region.model_dump(mode="json"),
    }  # fmt: skip


def _record(row: PartRow) -> PartRecord:
    return PartRecord(
        id=row.id,
        verdict=PartVerdict(
            part=row.part, verdict=Verdict(row.verdict), hidden=row.hidden, rules=row.rules,
            reasons=[Reason.model_validate(reason) for reason in row.reasons],
        ),
        images=[_inspection(row.part, image) for image in row.images],
        code_version=row.code_version, started_at=row.started_at, finished_at=row.finished_at,
        seconds=row.seconds, audited=row.audit is not None,
        reviews=[
            Review(
                person=r.person, verdict=Verdict(r.verdict), defect_class=r.defect_class,
                reason=r.reason, reviewed_at=r.reviewed_at,
            )
            for r in row.reviews
        ],
    )  # fmt: skip


def _inspection(part: str, row: ImageRow) -> ImageInspection:
    novelty: dict[str, Any] | None = None
    if row.novelty_score is not None:
        novelty = {"score": row.novelty_score, "box": row.novelty_box}
    return ImageInspection(
        image=row.path, sha256=row.sha256, part=part, view=row.view, model=row.model,
        width=row.width, height=row.height, problem=row.problem, warnings=row.warnings,
        mean=row.mean, spread=row.spread,
        seconds=row.seconds, novelty=Novelty.model_validate(novelty) if novelty else None,
        regions=[Region.model_validate(region.measures) for region in row.regions],
    )  # fmt: skip
