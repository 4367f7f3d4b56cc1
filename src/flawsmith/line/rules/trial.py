"""What acceptance rules would have decided on parts that were inspected before."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flawsmith.config import validate
from flawsmith.errors import FlawsmithError
from flawsmith.line.results import ImageInspection, PartVerdict, Verdict
from flawsmith.line.rules.acceptance import AcceptanceRules
from flawsmith.line.rules.checks import TIMEOUT

MAX_LINE = 1 << 26
"""Characters of one line of results: a part with hundreds of thousands of regions."""

SQLITE = b"SQLite format 3\x00"
_VERDICT_KEYS = ("part", "verdict", "reasons", "hidden", "rules")


@dataclass(frozen=True)
class PastPart:
    """A part as it was inspected before.

    Attributes:
        label: sequence number and name, or the name alone.
        verdict: what was decided; None where only images are known.
        person: what the last review decided; None without one.
    """

    part: str
    label: str
    images: list[ImageInspection]
    verdict: PartVerdict | None = None
    person: Verdict | None = None


@dataclass(frozen=True)
class Change:
    """A part that the rules would have decided otherwise."""

    label: str
    before: Verdict
    after: Verdict
    person: Verdict | None
    reason: str


@dataclass
class Trial:
    """Old verdict x new verdict, counting parts.

    Attributes:
        counts: (before or None, after) -> parts.
        changes: in the order of the results.
        person: (what a person decided, after) -> parts that were reviewed.
        late: parts that were late, of which nothing says whether they would be again.
    """

    counts: dict[tuple[Verdict | None, Verdict], int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    person: dict[tuple[Verdict, Verdict], int] = field(default_factory=dict)
    late: int = 0

    @property
    def parts(self) -> int:
        """How many parts were tried."""
        return sum(self.counts.values())


def try_rules(rules: AcceptanceRules, past: Iterable[PastPart]) -> Trial:
    """Decide past parts anew, from what was found in their images."""
    trial = Trial()
    for part in past:
        new = rules.decide(part.part, part.images)
        before = part.verdict.verdict if part.verdict else None
        key = (before, new.verdict)
        trial.counts[key] = trial.counts.get(key, 0) + 1
        if part.person is not None:
            seen = (part.person, new.verdict)
            trial.person[seen] = trial.person.get(seen, 0) + 1
        if part.verdict and any(r.rule == TIMEOUT and not r.view for r in part.verdict.reasons):
            trial.late += 1
        if before is not None and before is not new.verdict:
            # Where nothing is against the part now, what was against it before tells most.
            reasons = new.reasons or part.verdict.reasons if part.verdict else []
            text = reasons[0].text if reasons else ""
            text = text if new.reasons else f"no longer: {text}"
            trial.changes.append(Change(part.label, before, new.verdict, part.person, text))
    return trial


def read_past(source: str) -> Iterator[PastPart]:
    """Yield the parts of a results store or of a file of JSON lines.

    A line is either a part as ``flawsmith inspect`` prints it, or the inspection of one image;
    the images of a part are put together by its name.

    Args:
        source: file or URL of a results store, or a file of JSON lines.

    Raises:
        FlawsmithError: if there is no such file, or a line of it is neither.
    """
    if "://" in source or _is_sqlite(Path(source)):
        yield from _read_store(source)
    else:
        yield from _read_lines(Path(source))


def _is_sqlite(path: Path) -> bool:
    # Opening a store makes it if it is absent, which is not what a reader wants.
    if not path.is_file():
        raise FlawsmithError(
            f"there are no results {path}; expected a results store (file or URL), or JSON lines"
        )
    try:
        with path.open("rb") as stream:
            return stream.read(len(SQLITE)) == SQLITE
    except OSError as error:
        raise FlawsmithError(f"cannot read {path}: {error.strerror or error}") from None


def _read_store(url: str) -> Iterator[PastPart]:
    from flawsmith.line.store import Store

    with Store(url) as store:
        for record in store.find():
            person = record.reviews[-1].verdict if record.reviews else None
            name = record.verdict.part
            yield PastPart(name, f"{record.id} {name}", record.images, record.verdict, person)


def _read_lines(path: Path) -> Iterator[PastPart]:
    loose: dict[str, list[ImageInspection]] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            number = 0
            while line := stream.readline(MAX_LINE + 1):
                number += 1
                values = _parse(line, f"{path}, line {number}")
                if values is None:
                    continue
                if "images" in values:
                    yield _whole_part(values, f"{path}, line {number}")
                    continue
                image = validate(ImageInspection, values, source=f"{path}, line {number}")
                loose.setdefault(image.part, []).append(image)
    except (OSError, UnicodeDecodeError) as error:
        raise FlawsmithError(f"cannot read {path}: {error}") from None
    for name, images in loose.items():
        yield PastPart(name, name, images)


def _parse(line: str, where: str) -> dict[str, Any] | None:
    """Return what a line holds; None for an empty one."""
    if not line.strip():
        return None
    try:
        values = json.loads(line) if len(line) <= MAX_LINE else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise FlawsmithError(
            f"{where}: no part or image as 'flawsmith inspect' writes it, one JSON object a line"
        )
    return values


def _whole_part(values: dict[str, Any], where: str) -> PastPart:
    known = {key: values[key] for key in _VERDICT_KEYS if key in values}
    verdict = validate(PartVerdict, known, source=where)
    images = values["images"]
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise FlawsmithError(f"{where}: 'images' is no list of images")
    number = values.get("id")
    label = f"{number} {verdict.part}" if isinstance(number, int) else verdict.part
    return PastPart(
        verdict.part,
        label,
        [validate(ImageInspection, image, source=where) for image in images],
        verdict,
        _person(values.get("reviews"), where),
    )


def _person(reviews: object, where: str) -> Verdict | None:
    """Return the verdict of the last review."""
    if not reviews:
        return None
    try:
        return Verdict(reviews[-1]["verdict"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError, IndexError):
        raise FlawsmithError(f"{where}: 'reviews' is no list of reviews with a verdict") from None
