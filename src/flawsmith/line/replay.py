"""The same image through the same model and rules: is it the same answer?"""

from dataclasses import dataclass
from pathlib import Path

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region
from flawsmith.line.code_version import code_version
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage
from flawsmith.line.results import ImageInspection, PartVerdict
from flawsmith.line.rules.checks import TIMEOUT
from flawsmith.line.store.part_record import PartRecord


@dataclass(frozen=True)
class Replay:
    """What came of inspecting a stored part again.

    Attributes:
        same: verdict, reasons and every region are what is stored.
        differences: what is not, a sentence each; of model, rules and code too, which do not count
            as another answer as long as the answer is the same.
    """

    verdict: PartVerdict
    same: bool
    differences: list[str]


def replay(record: PartRecord, inspector: Inspector) -> Replay:
    """Inspect the images of a stored part again; nothing is stored.

    Args:
        record: the stored part.
        inspector: with the model and the rules that it was inspected with.

    Raises:
        FlawsmithError: if an image is not there any more, or is another one now.
    """
    part = OpenPart(record.verdict.part)
    for stored in record.images:
        inspector.look(_load(stored, record), part, before=record.id)
    verdict = _as_late(inspector.rules.decide(part.part, part.views), record.verdict)
    differences = []
    for stored, now in zip(record.images, part.views, strict=True):
        differences += _image_differences(stored, now)
    differences += _verdict_differences(record.verdict, verdict)
    models = {image.model for image in record.images if image.model}
    circumstances = []
    if models - {inspector.identity}:
        told = ", ".join(sorted(model[:16] for model in models))
        circumstances.append(f"model {told} then, {inspector.identity[:16]} now")
    if record.verdict.rules != verdict.rules:
        circumstances.append(f"rules {record.verdict.rules} then, {verdict.rules} now")
    if record.code_version != code_version():
        circumstances.append(f"Flawsmith {record.code_version} then, {code_version()} now")
    return Replay(verdict, same=not differences, differences=circumstances + differences)


def _as_late(now: PartVerdict, stored: PartVerdict) -> PartVerdict:
    """Return a verdict with what the stored one says of lateness, which nobody can repeat."""
    late = [r for r in stored.reasons if r.rule == TIMEOUT and r not in now.reasons]
    if not late:
        return now
    reasons = sorted([*late, *now.reasons], key=lambda reason: -reason.verdict.severity)
    return now.model_copy(update={"reasons": reasons, "verdict": reasons[0].verdict})


def _load(stored: ImageInspection, record: PartRecord) -> PartImage:
    if not stored.sha256:
        raise FlawsmithError(
            f"result {record.id} has no content of {stored.image} ({stored.problem}), so there is "
            "nothing to inspect again"
        )
    image = PartImage.from_file(Path(stored.image), part=stored.part, view=stored.view)
    if image.problem:
        raise FlawsmithError(
            f"{image.problem}; put the image back where it was to replay result {record.id}"
        )
    if image.sha256 != stored.sha256:
        raise FlawsmithError(
            f"{stored.image} is another image now (SHA-256 {image.sha256[:16]}; result {record.id} "
            f"is of {stored.sha256[:16]}); put the old one back to replay it"
        )
    return image


def _image_differences(stored: ImageInspection, now: ImageInspection) -> list[str]:
    name = Path(stored.image).name
    lines = []
    if stored.problem != now.problem:
        lines.append(
            f"{name}: problem {stored.problem or 'none'} then, {now.problem or 'none'} now"
        )
    if stored.warnings != now.warnings:
        lines.append(
            f"{name}: warnings {stored.warnings or 'none'} then, {now.warnings or 'none'} now"
        )
    if stored.novelty != now.novelty:
        scores = [f"{n.score:.6g}" if n else "none" for n in (stored.novelty, now.novelty)]
        lines.append(f"{name}: novelty {scores[0]} then, {scores[1]} now")
    if len(stored.regions) != len(now.regions):
        lines.append(f"{name}: {len(stored.regions)} regions then, {len(now.regions)} now")
        return lines
    for number, (before, after) in enumerate(zip(stored.regions, now.regions, strict=True), 1):
        changed = _changed(before, after)
        if changed:
            lines.append(f"{name}: region {number} ({before.class_name}): {changed}")
    return lines


def _changed(before: Region, after: Region) -> str:
    names = [n for n in Region.model_fields if getattr(before, n) != getattr(after, n)]
    shown = [f"{n} {getattr(before, n)} then, {getattr(after, n)} now" for n in names[:2]]
    more = f", and {len(names) - 2} more measures" if len(names) > 2 else ""
    return "; ".join(shown) + more


def _verdict_differences(stored: PartVerdict, now: PartVerdict) -> list[str]:
    lines = []
    if stored.verdict is not now.verdict:
        lines.append(f"verdict {stored.verdict} then, {now.verdict} now")
    before, after = ([(r.rule, r.view, r.text) for r in v.reasons] for v in (stored, now))
    lines += [
        f"reason only then: {text}"
        for rule, view, text in before
        if (rule, view, text) not in after
    ]
    lines += [
        f"reason only now: {text}" for rule, view, text in after if (rule, view, text) not in before
    ]
    return lines
