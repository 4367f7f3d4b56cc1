"""Results as text: one line for each part, as JSON or as a row of CSV."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from typing import Literal, get_args

from flawsmith.errors import FlawsmithError
from flawsmith.line.store.part_record import PartRecord

LineFormat = Literal["json", "csv"]

CSV_COLUMNS = (
    "id", "part", "verdict", "rule", "reason", "defects", "longest_px", "longest_mm", "novelty",
    "images", "problems", "finished_at", "seconds", "audited", "reviewed_by", "review_verdict",
    "review_class", "review_reason", "model", "rules", "code_version",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def line_writer(line_format: str) -> tuple[str, Callable[[PartRecord], str]]:
    """Return the first line of a format, empty for JSON, and what makes a line of a part.

    Raises:
        FlawsmithError: for an unknown format.
    """
    if line_format not in get_args(LineFormat):
        raise FlawsmithError(f"--format {line_format}: expected json or csv")
    if line_format == "json":
        return "", PartRecord.line
    return _row(CSV_COLUMNS), _csv_line


def _csv_line(record: PartRecord) -> str:
    verdict, images = record.verdict, record.images
    regions = [region for image in images for region in image.regions]
    counts = Counter(region.class_name for region in regions)
    lengths = [r.length_mm for r in regions if r.length_mm is not None]
    novelties = [image.novelty.score for image in images if image.novelty]
    review = record.reviews[-1] if record.reviews else None
    return _row(
        (
            record.id, verdict.part, verdict.verdict.value,
            verdict.reasons[0].rule if verdict.reasons else "",
            "; ".join(reason.text for reason in verdict.reasons),
            ", ".join(f"{count} {name}" for name, count in sorted(counts.items())),
            _figure(max((r.length_px for r in regions), default=None)),
            _figure(max(lengths, default=None)), _figure(max(novelties, default=None)),
            " ".join(image.image for image in images),
            "; ".join(image.problem for image in images if image.problem),
            record.finished_at.isoformat(timespec="milliseconds"), _figure(record.seconds),
            "yes" if record.audited else "no",
            review.person if review else "", review.verdict.value if review else "",
            (review.defect_class or "") if review else "", review.reason if review else "",
            " ".join(sorted({i.model for i in images if i.model})), verdict.rules,
            record.code_version,
        )
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _row(values: tuple[object, ...]) -> str:
    """Return one row without its line end; no text is taken for a formula by a spreadsheet."""
    stream = io.StringIO()
    safe = [f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for v in values]
    csv.writer(stream, lineterminator="").writerow(safe)
    return stream.getvalue()
