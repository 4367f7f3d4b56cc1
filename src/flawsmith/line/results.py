"""What inspection says of an image and of a part: plain data that all of the line shares."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from flawsmith.config import StrictModel
from flawsmith.inspection.findings import Novelty as Novelty
from flawsmith.inspection.regions import Region


class Verdict(StrEnum):
    """What happens to a part. Silence is never PASS."""

    PASS = "PASS"
    REVIEW = "REVIEW"
    FAIL = "FAIL"

    @property
    def severity(self) -> int:
        """0 for PASS, 1 for REVIEW, 2 for FAIL: of several, the highest decides."""
        return list(Verdict).index(self)


class ImageInspection(StrictModel):
    """What one inspection model found in one image.

    Attributes:
        image: path or name as given.
        sha256: of the image's encoded bytes; empty if there were none to read.
        view: which of the part's expected images it is; empty where a part has one view.
        model: identity of the exported model (`ExportedModel.identity`); empty without inspection.
        regions: highest score first, nothing left out.
        problem: why the image could not be inspected (unreadable, timeout, wrong size); it never
            counts as free of defects.
        warnings: what makes the answer doubtful although there is one (expired calibration).
        mean: of the pixels, as a share of the largest value of their type; None if not measured.
        spread: their standard deviation in the same unit.
        seconds: durations by stage: decode, network, regions, novelty.
    """

    image: str
    sha256: str = ""
    part: str
    view: str = ""
    model: str = ""
    width: int = Field(default=0, ge=0)
    height: int = Field(default=0, ge=0)
    regions: list[Region] = []
    novelty: Novelty | None = None
    problem: str | None = None
    warnings: list[str] = []
    mean: float | None = Field(default=None, ge=0.0, le=1.0)
    spread: float | None = Field(default=None, ge=0.0, le=1.0)
    seconds: dict[str, float] = {}

    @model_validator(mode="after")
    def _nothing_found_where_nothing_was_seen(self) -> Self:
        if self.problem and self.regions:
            raise ValueError("an image that could not be inspected has no regions")
        return self


class Reason(StrictModel):
    """One thing that made a verdict.

    Attributes:
        verdict: what this alone would decide.
        rule: name of the acceptance rule, or of a check that no rule can switch off
            (``missing view``, ``unreadable image``, ``novelty``, ``calibration``, ``timeout``).
        text: for a person, with the figures: "crack 12.3 mm long in zone edge; 10 mm allowed".
        view: where it was seen; empty for the whole part.
        regions: positions in that view's list of regions.
    """

    verdict: Verdict
    rule: str
    text: str
    view: str = ""
    regions: list[int] = []


class PartVerdict(StrictModel):
    """The verdict of one part.

    Attributes:
        reasons: every one that was found, the most severe first; a PASS has none of FAIL or REVIEW.
        hidden: regions that a size limit or a do-not-inspect mask left out of account, in words.
        rules: identity of the acceptance rules.
    """

    part: str
    verdict: Verdict
    reasons: list[Reason] = []
    hidden: list[str] = []
    rules: str = ""

    @model_validator(mode="after")
    def _worst_reason_decides(self) -> Self:
        worst = max(
            (r.verdict for r in self.reasons), key=lambda v: v.severity, default=self.verdict
        )
        if self.reasons and worst is not self.verdict:
            raise ValueError(f"{self.verdict} with a reason for {worst}")
        return self
