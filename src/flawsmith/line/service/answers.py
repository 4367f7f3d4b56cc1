"""What the service answers, with the examples of its OpenAPI description."""

from datetime import datetime
from typing import Any, Self

from flawsmith.config import StrictModel
from flawsmith.line.results import ImageInspection, PartVerdict
from flawsmith.line.store.part_record import PartRecord


class PartAnswer(PartVerdict):
    """A part as it is stored, in the same words as a line of ``flawsmith results``.

    Attributes:
        id: sequence number in the results store.
        repeated: this very image was posted before; nothing was inspected again.
    """

    id: int
    images: list[ImageInspection]
    code_version: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    audited: bool = False
    repeated: bool = False

    @classmethod
    def of(cls, record: PartRecord, *, repeated: bool = False) -> Self:
        """Return the answer for a stored part."""
        values = record.model_dump(exclude={"reviews", "verdict"})
        return cls(**record.verdict.model_dump(), **values, repeated=repeated)


class WaitingAnswer(StrictModel):
    """The image was inspected; the part has no verdict before its other views are there.

    Attributes:
        missing: views that are still to come.
        timeout_seconds: how long the part waits for them, from its first image on.
        image: what was found in this one.
    """

    part: str
    missing: list[str]
    timeout_seconds: float
    image: ImageInspection


class Problem(StrictModel):
    """Why there is no ordinary answer. Without a ``result`` the part has no verdict.

    Attributes:
        result: the part as it is stored with this problem.
        missing: views that are still to come; the part is stored when they are there or late.
    """

    detail: str
    result: PartAnswer | None = None
    missing: list[str] = []


_IMAGE = {
    "image": "cell-0042/top", "sha256": "9f2c...", "part": "cell-0042", "view": "top",
    "model": "5d41402abc4b2a76", "width": 5400, "height": 2000, "regions": [], "novelty": None,
    "problem": None, "warnings": [], "seconds": {"decode": 0.04, "network": 0.42},
}  # fmt: skip

_REASON = {
    "verdict": "FAIL", "rule": "long crack", "text": "crack 12.3 mm long; 10 mm allowed",
    "view": "top", "regions": [0],
}  # fmt: skip

_PART = {
    "id": 1042, "part": "cell-0042", "verdict": "FAIL", "reasons": [_REASON], "hidden": [],
    "rules": "0c9e1f7a3b5d2e48", "images": [_IMAGE], "code_version": "0.1.0+3f2a9c1b5d7e8a40",
    "started_at": "2026-01-01T12:00:00Z", "finished_at": "2026-01-01T12:00:00.5Z",
    "seconds": 0.47, "audited": False, "repeated": False,
}  # fmt: skip


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}}


def _problem(text: str, detail: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    example = {"detail": detail, "result": None, "missing": [], **more}
    return {"model": Problem, "description": text, **_example(example)}


_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: _problem("The token is missing or wrong.", "send the service's token in the header ..."),
    403: _problem("A web page, or another machine, without a token.", "without a token no web ..."),
}

VIEW_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": PartAnswer,
        "description": "The part is complete: its verdict is stored, and this is it.",
        **_example(_PART),
    },
    202: {
        "model": WaitingAnswer,
        "description": "Inspected; the part waits for other views and has no verdict yet.",
        **_example(
            {
                "part": "cell-0042",
                "missing": ["bottom"],
                "timeout_seconds": 30.0,
                "image": _IMAGE,
            }
        ),
    },
    **_REFUSALS,
    400: _problem("A name that cannot be one.", "the part's name has a character that ..."),
    408: _problem("The image did not come in time.", "the image did not come within 30 s"),
    413: _problem(
        "Too many bytes: nothing is stored. Too many pixels: stored as not inspected.",
        "cell-0042/top claims 99999 x 99999 pixels; this service inspects at most 64,000,000",
    ),
    422: _problem(
        "The image cannot be read, or no rule expects another view: stored, and never PASS.",
        "cell-0042/top is damaged or truncated",
        result={**_PART, "verdict": "REVIEW"},
    ),
    503: _problem(
        "Too much at once, or the store fails: no verdict. Post again after Retry-After seconds.",
        "8 images are being handled, and this service takes no more at once",
    ),
}

PART_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": PartAnswer, "description": "Its last verdict.", **_example(_PART)},
    **_REFUSALS,
    404: _problem("It has no verdict (yet).", "part cell-0042 has no verdict"),
}
