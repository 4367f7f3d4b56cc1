"""The report on both stages, read from a store."""

from datetime import UTC, datetime, timedelta

import pytest
from line_facts import dated, record, region

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.line.reviews.periods import parse_time
from flawsmith.line.reviews.reviews import confirm, overturn
from flawsmith.line.reviews.second_stage import UNNAMED
from flawsmith.line.reviews.stage_report import report_stages
from flawsmith.line.store import Store
from flawsmith.line.store.tables import PartRow

PASS, REVIEW, FAIL = Verdict
MARCH = datetime(2024, 3, 1, 23, 30, tzinfo=UTC)


def fill(store):
    """Four days: every kind of flow once, good parts on the first and the last day."""
    two = [region("hole", 0.4, 2), region("crack", 0.9)]
    rows = [
        ("good", PASS, (), {}), ("failed", FAIL, two, {}), ("doubted", REVIEW, (), {}),
        ("waits", FAIL, two, {}), ("drawn", PASS, (), {"audit_rate": 0.5}),
        ("escaped", PASS, [region("hole", 0.1, 2)], {"audit_rate": 0.5}),
        ("not yet", PASS, (), {"audit_rate": 0.5}), ("good", PASS, two, {"take": "2"}),
    ]  # fmt: skip
    for n, (part, value, regions, more) in enumerate(rows):
        dated(store, record(store, part, value, regions, **more), MARCH + timedelta(hours=12 * n))
    overturn(store, 2, person="Kim", reason="dust")
    confirm(store, 2, person="Lee", reason="no dust")
    confirm(store, 3, person="Lee")
    confirm(store, 5, person="Kim")
    overturn(store, 6, person="Kim", reason="seen", defect_class="hole")


def test_the_report_counts_what_is_stored(url):
    with Store(url) as store:
        fill(store)
        report = report_stages(store)
    stages = report.stages
    assert (stages.parts, stages.passed, stages.failed.parts, stages.doubtful.parts) == (8, 5, 2, 1)
    assert (stages.failed.confirmed, stages.failed.overturned, stages.failed.waiting) == (1, 0, 1)
    assert (stages.audit.drawn, stages.audit.good, stages.audit.defective) == (3, 1, 1)
    assert stages.missed_share.value == 0.5
    assert stages.missed.value == 2.5
    classes = {row.name: (row.sent, row.caught, row.missed_in_audit) for row in report.classes}
    assert classes == {"crack": (2, 1, 0), "hole": (0, 0, 1), UNNAMED: (0, 1, 0)}
    assert (report.unit, [s.start.day for s in report.spans]) == ("day", [1, 2, 3, 4, 5])
    assert [s.stages.parts for s in report.spans] == [1, 2, 2, 2, 1]
    assert report.disagreeing == 1
    assert report.disagreements[0].said == ["Kim: good (dust)", "Lee: defective (no dust)"]
    notes = " ".join(report.notes)
    assert "1 of the 8 results are of a part that has another result" in notes
    assert "1 failed or doubtful parts wait" in notes
    assert "1 audited parts wait" in notes
    assert "stand for" not in notes  # 6 of 5, far within chance


def test_a_period_is_cut_out_and_a_long_one_is_shown_in_weeks(store):
    fill(store)
    begin = datetime(2024, 3, 2, tzinfo=UTC)
    report = report_stages(store, since=begin, until=begin + timedelta(days=1))
    assert report.stages.parts == 2
    report = report_stages(store, since=begin - timedelta(days=60))
    assert (report.unit, [s.start.isoformat() for s in report.spans]) == (
        "week", ["2024-02-26", "2024-03-04"],
    )  # fmt: skip


def test_an_audit_of_one_day_only_and_none_at_all_are_told(store):
    for n in range(60):
        record(store, f"p{n}", audit_rate=1.0 if n < 20 else None)
    assert "the lot was not drawn for all of the period" in " ".join(report_stages(store).notes)
    with Store(str(store.name) + "2") as other:
        record(other, "a")
        assert "escape was not measured" in report_stages(other).notes[0]
        assert report_stages(other).stages.escape.value is None


def test_results_that_were_removed_are_told(store):
    for n in range(9):
        record(store, f"p{n}", audit_rate=1.0 if n % 4 == 0 else None)
    with store.transaction() as session:
        for number in (2, 3, 6):
            session.delete(session.get(PartRow, number))
    notes = " ".join(report_stages(store).notes)
    assert "3 results of the period were removed" in notes
    assert "stand for" not in notes


def test_a_period_with_nothing_in_it(store):
    with pytest.raises(FlawsmithError, match="has no part in this period"):
        report_stages(store)
    with pytest.raises(FlawsmithError, match="ends at 2024-03-01"):
        report_stages(store, since=MARCH, until=MARCH)


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "9999-12-31T23:59-23:00", "1"])
def test_what_is_no_time(text):
    with pytest.raises(FlawsmithError, match=r"--since '.*' is no time; expected 2024-03-31"):
        parse_time(text, option="--since")


def test_times_are_utc_unless_they_have_a_zone():
    assert parse_time("2024-03-01", option="--since") == datetime(2024, 3, 1, tzinfo=UTC)
    assert parse_time(" 2024-03-01T09:00+09:00", option="") == datetime(2024, 3, 1, tzinfo=UTC)
