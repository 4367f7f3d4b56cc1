"""The page of the report on both stages: one file without scripts."""

import statistics
from pathlib import Path

from markupsafe import Markup

from flawsmith.data.templates import render
from flawsmith.line.reviews.charts import Band, Node, Series, flow_chart, time_chart
from flawsmith.line.reviews.escape import Share
from flawsmith.line.reviews.second_stage import Span, Stages
from flawsmith.line.reviews.stage_report import StageReport
from flawsmith.storage import write_bytes


def write_page(report: StageReport, path: Path) -> Path:
    """Write the report as one HTML file, whole or not at all, and return its path.

    Raises:
        FlawsmithError: if it cannot be written.
    """
    html = render(
        "flawsmith.line",
        "stages.html.j2",
        report=report,
        stages=report.stages,
        headline=headline(report.stages),
        flow=_flow(report.stages),
        charts=_charts(report),
        share_words=share_words,
    )
    write_bytes(path, html.encode("utf-8", "replace"))
    return path


def share_words(share: Share | None) -> str:
    """Return a share with its interval: "2.3 % (1.1 to 4.2 %)"."""
    if share is None:
        return "none seen"
    ends = f"{_percent(share.low)} to {_percent(share.high)} %"
    return (
        f"{_percent(share.value)} % ({ends})"
        if share.value is not None
        else f"not measured ({ends})"
    )


def _percent(value: float) -> str:
    percent = 100 * value
    return f"{percent:.3g}" if 0 < percent < 10 else f"{percent:.1f}"


def headline(stages: Stages) -> str:
    """Return what a plant has to know, in a sentence or two."""
    sent = stages.sent
    said = (
        f"Of {stages.parts:,} parts the first stage passed {stages.passed:,} "
        f"({100 * stages.passed / stages.parts:.1f} %) and sent {sent.parts:,} to a person, who "
        f"overturned {sent.overturned:,} and confirmed {sent.confirmed:,}"
    )
    said += f"; {sent.waiting:,} wait." if sent.waiting else "."
    if stages.escape is None:
        return f"{said} No defective part was seen."
    if stages.escape.value is None:
        return f"{said} How many defective parts passed was not measured."
    return f"{said} Escape: {share_words(stages.escape)} of the defective parts passed."


def _flow(stages: Stages) -> Markup:
    """Return the chart of the flow of Figure 16: first stage, second stage, end."""
    failed, doubtful = stages.failed, stages.doubtful
    waiting = failed.waiting + doubtful.waiting
    columns = [
        [Node("Inspected", "all", stages.parts)],
        [
            Node("Passed", "good", stages.passed),
            Node("Doubtful", "doubt", doubtful.parts),
            Node("Failed", "bad", failed.parts),
        ],
        [
            Node("Good in the end", "good", stages.final_good),
            Node("Waits for a review", "wait", waiting),
            Node("Defective in the end", "bad", stages.final_defective),
        ],
    ]
    bands = [
        [Band(0, 0, stages.passed), Band(0, 1, doubtful.parts), Band(0, 2, failed.parts)],
        [
            Band(0, 0, stages.passed - stages.found_defective),
            Band(0, 2, stages.found_defective),
            Band(1, 0, doubtful.overturned), Band(1, 1, doubtful.waiting),
            Band(1, 2, doubtful.confirmed),
            Band(2, 0, failed.overturned), Band(2, 1, failed.waiting), Band(2, 2, failed.confirmed),
        ],
    ]  # fmt: skip
    return flow_chart(columns, bands)


def _charts(report: StageReport) -> list[Markup]:
    usual = statistics.median(span.stages.parts for span in report.spans)
    spans = [span for span in report.spans if span.stages.parts >= usual / 10]
    labels = [f"{span.start:%d %b}" for span in spans]

    def shares(name: str, style: str, count: str) -> Series:
        return Series(name, style, [_share(span, count) for span in spans])

    found = [
        time_chart(
            f"First stage, share of the parts of each {report.unit}",
            labels,
            [shares("failed", "bad", "failed"), shares("doubtful", "doubt", "doubtful")],
            percent=True,
        )
    ]
    measured = [span.stages.missed_share if span.stages.audit.drawn else None for span in spans]
    if any(share and share.value is not None for share in measured):
        known = [share if share and share.value is not None else None for share in measured]
        series = Series(
            "defective among the passed", "bad", [s.value if s else None for s in known],
            [s.low if s else None for s in known], [s.high if s else None for s in known],
        )  # fmt: skip
        title = "Defective parts among the passed, from the audit"
        found.append(time_chart(title, labels, [series], percent=True))
    overturned = [
        sent.overturned / sent.decided if (sent := span.stages.sent).decided else None
        for span in spans
    ]
    if any(value is not None for value in overturned):
        series = Series("overturned", "good", overturned)
        title = "Overturned, share of the parts that a person decided on"
        found.append(time_chart(title, labels, [series], percent=True))
    return found


def _share(span: Span, name: str) -> float | None:
    parts = span.stages.parts
    count: int = getattr(span.stages, name).parts
    return count / parts if parts else None
