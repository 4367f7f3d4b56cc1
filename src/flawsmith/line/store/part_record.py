"""What the results store keeps of one part, as the commands print and export it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from flawsmith.config import StrictModel
from flawsmith.line.results import ImageInspection, PartVerdict, Verdict


class Review(StrictModel):
    """What a person said of a part.

    Attributes:
        verdict: confirms or overturns the stored one.
        defect_class: what it is, in the reviewer's eyes; None for no defect or no opinion.
    """

    person: str
    verdict: Verdict
    defect_class: str | None = None
    reason: str = ""
    reviewed_at: datetime


class PartRecord(StrictModel):
    """One verdict of one part with everything that made it.

    Attributes:
        id: sequence number; a gap means that a line of output was lost, or its part was removed
            by retention.
        audited: a passed part that the lot sent to review.
        reviews: the oldest first; the last one counts.
    """

    id: int
    verdict: PartVerdict
    images: list[ImageInspection]
    code_version: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    audited: bool = False
    reviews: list[Review] = []

    def line(self) -> str:
        """Return one line of JSON: the verdict's own values first, at the top level."""
        values = self.model_dump(mode="json")
        values = {"id": values.pop("id"), **values.pop("verdict"), **values}
        return json.dumps(values, ensure_ascii=False)


def handling_key(verdict: PartVerdict, images: Sequence[ImageInspection]) -> str:
    """Return a hash that two recordings share if they are the same handling of the same images.

    Part, content and path of every image, model, rules and what was decided: after a crash the
    same images come to the same key, and a verdict that differs is never taken for recorded.
    """
    seen = sorted((i.image, i.view, i.sha256, i.model, i.problem or "") for i in images)
    reasons = sorted((r.rule, r.view, r.verdict.value) for r in verdict.reasons)
    facts = [verdict.part, verdict.verdict.value, verdict.rules, seen, reasons]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
