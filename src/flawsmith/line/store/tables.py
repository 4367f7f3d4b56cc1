"""Tables of the results store, in the schema of the newest migration."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Schemas from the first to the one of these tables, each with a file in ``migrations``."""


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite keeps no time zone, so that it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the same instant in UTC; a time without a zone is a programming error."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


PlainData = JSON(none_as_null=True)


class Base(DeclarativeBase):
    """All tables; the names of keys and indices are the same on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime, dict[str, Any]: PlainData, list[Any]: PlainData}


class CounterRow(Base):
    """The last sequence number; its row is also the lock that puts writers in a line."""

    __tablename__ = "counters"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class PartRow(Base):
    """One verdict of one part.

    Attributes:
        id: sequence number: 1, 2, 3, ... without a gap as they are written, never used again.
        key: hash of everything that makes it the same handling (`handling_key`).
        seconds: from a clock that never jumps, unlike the two times.
    """

    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(unique=True)
    part: Mapped[str] = mapped_column(index=True)
    verdict: Mapped[str] = mapped_column(index=True)
    reasons: Mapped[list[Any]]
    hidden: Mapped[list[Any]]
    rules: Mapped[str]
    code_version: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime] = mapped_column(index=True)
    seconds: Mapped[float]
    images: Mapped[list["ImageRow"]] = relationship(
        order_by="ImageRow.position", passive_deletes=True
    )
    reviews: Mapped[list["ReviewRow"]] = relationship(order_by="ReviewRow.id", passive_deletes=True)
    audit: Mapped["AuditRow | None"] = relationship(passive_deletes=True)


def _part_key(*, primary: bool = False) -> Mapped[int]:
    key = ForeignKey("parts.id", ondelete="CASCADE")
    return mapped_column(key, primary_key=primary, index=not primary)


class ImageRow(Base):
    """What was found in one image of a part; see `ImageInspection`.

    Attributes:
        mean: of the pixels, as a share of the largest value; None if it was not measured.
        spread: their standard deviation in the same unit.
    """

    __tablename__ = "images"
    __table_args__ = (Index(None, "path", "sha256"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = _part_key()
    position: Mapped[int]
    path: Mapped[str]
    view: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    model: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    problem: Mapped[str | None]
    warnings: Mapped[list[Any]]
    novelty_score: Mapped[float | None]
    novelty_box: Mapped[list[Any] | None]
    mean: Mapped[float | None]
    spread: Mapped[float | None]
    seconds: Mapped[dict[str, Any]]
    regions: Mapped[list["RegionRow"]] = relationship(
        order_by="RegionRow.position", passive_deletes=True
    )


class RegionRow(Base):
    """One region of an image.

    Attributes:
        measures: all of `Region`; the columns beside it are copies to search by.
    """

    __tablename__ = "regions"
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    class_name: Mapped[str] = mapped_column(index=True)
    score: Mapped[float]
    area_px: Mapped[int]
    length_px: Mapped[float]
    length_mm: Mapped[float | None]
    measures: Mapped[dict[str, Any]]


class ReviewRow(Base):
    """What a person said of a part; the last one counts, none is ever changed."""

    __tablename__ = "reviews"
    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = _part_key()
    person: Mapped[str]
    verdict: Mapped[str]
    defect_class: Mapped[str | None]
    reason: Mapped[str]
    reviewed_at: Mapped[datetime]


class AuditRow(Base):
    """A passed part that the lot sent to review.

    Attributes:
        rate: the share of passed parts that were drawn at that time, in (0, 1].
    """

    __tablename__ = "audit"
    part_id: Mapped[int] = _part_key(primary=True)
    rate: Mapped[float]
    sampled_at: Mapped[datetime]


class KeyRow(Base):
    """A secret of the store, made at random when it is first needed and never changed."""

    __tablename__ = "keys"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    made_at: Mapped[datetime]


class DeliveryRow(Base):
    """The outbox: one verdict for one sink, written together with the verdict.

    Attributes:
        next_try_at: not before this time; due at once from the start.
        delivered_at: None until the sink has taken it.
        skipped_at: when a person gave it up; the sink will not be told.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(None, "part_id", "sink", unique=True),
        Index(None, "delivered_at", "next_try_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id", ondelete="CASCADE"))
    sink: Mapped[str]
    attempts: Mapped[int]
    next_try_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    skipped_at: Mapped[datetime | None]

    @classmethod
    def waits(cls) -> ColumnElement[bool]:
        """Return the condition of a message that the sink has still to be told."""
        return cls.delivered_at.is_(None) & cls.skipped_at.is_(None)


class WaitingRow(Base):
    """A view that was answered for while others of its part are missing; see `store.waiting`.

    Attributes:
        holder: name of the service that waits.
        refusal: why it could not inspect the view, or empty.
        inspection: all of `ImageInspection`.
    """

    __tablename__ = "waiting"
    __table_args__ = (Index(None, "holder", "part"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    holder: Mapped[str]
    part: Mapped[str]
    received_at: Mapped[datetime]
    refusal: Mapped[str]
    inspection: Mapped[dict[str, Any]]
