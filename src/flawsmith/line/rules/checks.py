"""Checks of a part that no acceptance rule can switch off: silence is never a pass."""

from collections.abc import Iterator, Sequence
from math import isfinite

from flawsmith.errors import listed
from flawsmith.line.results import ImageInspection, Reason, Verdict
from flawsmith.line.rules.rule_file import RuleFile
from flawsmith.line.rules.words import number

MISSING = "missing view"
UNEXPECTED = "unexpected view"
UNREADABLE = "unreadable image"
TIMEOUT = "timeout"
NOVELTY = "novelty"
CALIBRATION = "calibration"
WARNING = "warning"
MODEL = "model"
NO_RULE = "no rule"
OTHER_PART = "other part"
ZONE = "zone"

CHECKS = (
    MISSING, UNEXPECTED, UNREADABLE, TIMEOUT, NOVELTY, CALIBRATION, WARNING, MODEL, NO_RULE,
    OTHER_PART, ZONE,
)  # fmt: skip
"""Names that no rule may have, so that a reason's name says who made it."""


def without_copies(views: Sequence[ImageInspection]) -> list[ImageInspection]:
    """Return the inspections without exact copies, in an order that does not depend on theirs.

    The same image that was inspected twice with two answers is no copy.
    """
    groups: dict[tuple[str, str], list[ImageInspection]] = {}
    for view in views:
        groups.setdefault((view.view, view.sha256), []).append(view)
    kept: list[ImageInspection] = []
    for _, group in sorted(groups.items()):
        answers: dict[str, ImageInspection] = {}
        if len(group) > 1:  # else there is nothing to compare with, which takes time
            group = sorted(group, key=lambda view: view.model_dump_json())
        for view in group:
            # Name of the file and durations may differ.
            answer = view.model_dump_json(exclude={"image", "seconds"}) if len(group) > 1 else ""
            answers.setdefault(answer, view)
        kept += answers.values()
    return kept


def check_part(
    content: RuleFile,
    part: str,
    views: Sequence[ImageInspection],
    *,
    missing_ok: bool = False,
    waited_seconds: float | None = None,
) -> list[Reason]:
    """Return every reason why a part cannot pass that is none of its defects.

    Args:
        content: the rules; they say which views are expected and how long a part waits.
        part: its name.
        views: without copies.
        missing_ok: views are still awaited.
        waited_seconds: from the first to the last image, if measured.
    """
    lost = Verdict(content.part.not_inspected)
    reasons = list(_check_views(content, views, Verdict.REVIEW if missing_ok else lost))
    if not part:
        text = "it is not known which part these images belong to"
        reasons.append(Reason(verdict=Verdict.REVIEW, rule=OTHER_PART, text=text))
    limit = content.part.timeout_seconds
    if limit is not None and waited_seconds is not None and not waited_seconds <= limit:
        text = (
            f"its images took {number(waited_seconds, limit)} s to come; "
            f"{number(limit)} s are allowed"
        )
        reasons.append(Reason(verdict=lost, rule=TIMEOUT, text=text))
    models = sorted({view.model for view in views if view.model and not view.problem})
    if len(models) > 1:
        text = f"its views were inspected by different models: {listed([m[:16] for m in models])}"
        reasons.append(Reason(verdict=Verdict.REVIEW, rule=MODEL, text=text))
    for view in views:
        reasons += _check_image(content, part, view, lost)
    return reasons


def _check_views(
    content: RuleFile, views: Sequence[ImageInspection], lost: Verdict
) -> Iterator[Reason]:
    """Yield reasons for views that are missing, unexpected or there twice."""
    names = [view.view for view in views]
    expected = content.part.views
    if not views and not expected:
        yield Reason(verdict=lost, rule=MISSING, text="there is no image of it")
    for name in expected:
        if name not in names:
            text = f"view {name} is missing" if name else "its image is missing"
            yield Reason(verdict=lost, rule=MISSING, text=text, view=name)
    for name in dict.fromkeys(names):
        if expected and name not in expected:
            listing = ", ".join(expected) if expected != [""] else "one without a name"
            text = f"view {name or 'without a name'} is none of its views ({listing})"
            yield Reason(verdict=Verdict.REVIEW, rule=UNEXPECTED, text=text, view=name)
        same = [view for view in views if view.view == name]
        answers = len({view.sha256 for view in same}) < len(same)
        if len(same) > 1 and (expected or name or answers):
            text = f"{len(same)} different images or answers{f' of view {name}' if name else ''}"
            yield Reason(verdict=Verdict.REVIEW, rule=UNEXPECTED, text=text, view=name)
    origins: dict[str, list[str]] = {}
    for view in views:
        if view.sha256 and view.view not in (known := origins.setdefault(view.sha256, [])):
            known.append(view.view)
    for places in origins.values():
        if len(places) > 1:
            text = f"one and the same image came as the views {', '.join(places)}"
            yield Reason(verdict=Verdict.REVIEW, rule=UNEXPECTED, text=text)


def _check_image(
    content: RuleFile, part: str, view: ImageInspection, lost: Verdict
) -> Iterator[Reason]:
    """Yield reasons why what one image says is not enough to pass a part."""

    def reason(rule: str, text: str, verdict: Verdict = Verdict.REVIEW) -> Reason:
        where = f"view {view.view}: " if view.view else ""
        return Reason(verdict=verdict, rule=rule, text=f"{where}{text}", view=view.view)

    if view.part != part:
        yield reason(OTHER_PART, f"{view.image} is an image of part {view.part or 'unknown'}")
    if view.problem:
        late = any(word in view.problem.casefold() for word in ("timeout", "timed out"))
        yield reason(TIMEOUT if late else UNREADABLE, view.problem, lost)
        return
    if not (view.model and view.width and view.height):
        yield reason(UNREADABLE, f"nothing says that {view.image} was inspected", lost)
    if any(not isfinite(value) for r in view.regions for value in (r.score, r.length_px)):
        yield reason(MODEL, f"the scores or sizes of {view.image} are not finite")
    for warning in view.warnings:
        rule = CALIBRATION if "calibration" in warning.casefold() else WARNING
        yield reason(rule, warning)
    if view.novelty is not None and not view.novelty.score <= 1:
        x, y = view.novelty.box[:2] if view.novelty.box else (None, None)
        where = f" near x {x}, y {y}" if view.novelty.box else ""
        score = number(view.novelty.score, 1)
        yield reason(NOVELTY, f"unlike any good part{where}: novelty {score}; 1 is the limit")
    if any(z.located for z in content.zones) and any(
        region.part_position is None for region in view.regions
    ):
        yield reason(ZONE, f"the part was not located in {view.image}, so its zones are not known")
    whole = (0, 0, view.width, view.height)
    for zone in content.zones:
        applies = zone.view in (None, view.view) and not zone.located and view.width
        if applies and not zone.touches(whole):
            yield reason(ZONE, f"zone {zone.name} lies outside the {view.width} x {view.height} px")
