"""The page of drift: alarms, and a chart of every figure with its limits."""

from pathlib import Path

from markupsafe import Markup

from flawsmith.data.templates import render
from flawsmith.line.reviews.charts import Series, time_chart
from flawsmith.line.reviews.drift import FIGURES, Alarm, Chart, DriftReport
from flawsmith.storage import write_bytes

KINDS = {"p": "p-chart", "individuals": "individuals", "ewma": "EWMA"}


def write_page(report: DriftReport, path: Path) -> Path:
    """Write the report as one HTML file, whole or not at all, and return its path.

    Raises:
        FlawsmithError: if it cannot be written.
    """
    html = render(
        "flawsmith.line",
        "drift.html.j2",
        report=report,
        figures=FIGURES,
        kinds=KINDS,
        headline=headline(report),
        notes=notes(report),
        charts=[_chart(chart) for chart in report.charts],
        number=number,
    )
    write_bytes(path, html.encode("utf-8", "replace"))
    return path


def headline(report: DriftReport) -> str:
    """Return in a sentence whether something drifted."""
    if not report.alarms:
        return f"No figure left its limits on {len(report.charts)} charts."
    names = list(dict.fromkeys(FIGURES[alarm.figure].title for alarm in report.alarms))
    count = len(report.alarms)
    return f"{count} alarm{'s' if count > 1 else ''}: {', '.join(names)}."


def notes(report: DriftReport) -> list[str]:
    """Return what a reader has to know, unstable references included."""
    found = list(report.notes)
    for chart in report.charts:
        # Three of a hundred outside by chance is already rare at 0.27 %.
        if chart.reference_outside > max(1, 0.03 * chart.reference_points):
            found.append(
                f"{FIGURES[chart.figure].title} ({KINDS[chart.kind]}): "
                f"{chart.reference_outside} of {chart.reference_points} subgroups of the reference "
                "lie outside its own limits; it was not stable, and alarms say little."
            )
    return found


def alarm_words(alarm: Alarm) -> str:
    """Return an alarm in a line."""
    over = alarm.value > alarm.high
    limit = alarm.high if over else alarm.low
    lasted = f" until {alarm.until:%Y-%m-%d %H:%M}" if alarm.points > 1 else ""
    return (
        f"{alarm.time:%Y-%m-%d %H:%M}{lasted}  {FIGURES[alarm.figure].title} "
        f"({KINDS[alarm.kind]}): {number(alarm.value)} is {'above' if over else 'below'} "
        f"{number(limit)}; look at {alarm.look_at}"
    )


def number(value: float) -> str:
    """Return a figure in four digits."""
    return f"{value:.4g}"


def _chart(chart: Chart) -> Markup:
    points = chart.points
    labels = [f"{point.time:%d %b}" for point in points]
    percent = FIGURES[chart.figure].is_share
    outside = frozenset(n for n, point in enumerate(points) if point.outside)
    series = [
        Series("upper limit", "limit", [point.high for point in points], dots=False),
        Series("lower limit", "limit", [point.low for point in points], dots=False),
        Series("value", "value", [point.value for point in points], marks=outside),
    ]
    title = f"{FIGURES[chart.figure].title}, {KINDS[chart.kind]}"
    return time_chart(title, labels, series, percent=percent)
