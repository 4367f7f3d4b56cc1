"""Times as a user writes them, and the days or weeks of a period."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from flawsmith.errors import FlawsmithError

Unit = Literal["day", "week"]

MOST_DAYS = 45
"""A longer period is shown in weeks."""


def parse_time(text: str, *, option: str) -> datetime:
    """Return a date (its first instant) or a time; what has no zone is UTC.

    Raises:
        FlawsmithError: if it is neither; it names the option.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FlawsmithError(
            f"{option} '{text}' is no time; expected 2024-03-31 or 2024-03-31T14:30 (UTC), "
            "or one with a zone such as 2024-03-31T14:30+09:00"
        ) from None


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Raise a `FlawsmithError` if a period ends before it begins."""
    if since is not None and until is not None and until <= since:
        raise FlawsmithError(
            f"the period ends at {until:%Y-%m-%d %H:%M} and begins at {since:%Y-%m-%d %H:%M} UTC; "
            "give an end after the beginning (the end itself is not in it)"
        )


def unit_of(first: datetime, last: datetime) -> Unit:
    """Return the unit in which a period is shown."""
    return "day" if last - first <= timedelta(days=MOST_DAYS) else "week"


def start_of(time: datetime, unit: Unit) -> date:
    """Return the day of a time in UTC, or the Monday of its week."""
    day = time.astimezone(UTC).date()
    return day if unit == "day" else day - timedelta(days=day.weekday())
