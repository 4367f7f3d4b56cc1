"""What a comparison says in plain words, and its cells as text."""

from collections.abc import Mapping, Sequence

from flawsmith.experiment.benefit.facts import Comparison
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.benefit.statistics import CLASS_PARTS
from flawsmith.experiment.benefit.verdict import ALPHA, change_words, p_words, shows_gain
from flawsmith.experiment.compare.facts import Answer, Distances, Method, Ranged, SystemFacts
from flawsmith.experiment.compare.plan import MACHINE_VISION
from flawsmith.experiment.score.words import MISSING, thousandths

HEADLINE_MISSING = "No verdict yet: no system and real images alone are both tested"
FEW_SEEDS = 3


def answer(
    methods: Sequence[Method],
    comparisons: Sequence[Comparison],
    apart: Comparison | None,
    systems: Sequence[SystemFacts],
    start_with: Sequence[str],
    *,
    missing: int,
    failures: Mapping[str, str],
) -> Answer:
    """Return which system led, by how much, and what a factory should start with.

    Args:
        methods: what was tested.
        comparisons: of every system with ``real``.
        apart: the leading system against copy_paste.
        systems: everything known of each.
        start_with: systems that `flawsmith info` recommends, best first.
        missing: steps that are neither done nor failed.
        failures: where and why an arm failed.
    """
    rest = [_start_words(start_with), *_failure_words(failures), *_unknown_words(systems)]
    if missing:
        rest.append(f"{missing} steps are missing; the same command goes on.")
    macro = {m.name: m.macro for m in methods if m.macro is not None and m.name != MACHINE_VISION}
    tested = [c for c in comparisons if c.arm in macro]
    if REAL not in macro or not tested:
        return Answer(tone="open", headline=HEADLINE_MISSING, sentences=rest)
    leader = max(tested, key=lambda c: macro[c.arm])
    sentences = [*_apart_words(apart), *_worse_words(tested, leader), _seed_words(leader),
                 *_class_words(leader), *_near_words(systems), *rest]  # fmt: skip
    headline, tone = _headline(leader, macro)
    return Answer.model_validate({"tone": tone, "headline": headline, "sentences": sentences})


def _headline(leader: Comparison, macro: Mapping[str, float]) -> tuple[str, str]:
    had, change = f"macro IoU {macro[leader.arm]:.3f}", leader.change
    p = "" if leader.holm is None else f" (p {p_words(leader.holm)})"
    ahead = f"{change_words(change)} beside real images alone{p}"
    if shows_gain(leader):
        return f"{leader.arm} led: {had}, {ahead}", "better"
    if change is None or change.value <= 0:
        text = f"No system led: real images alone had macro IoU {macro[REAL]:.3f}"
        text += f"; the best system, {leader.arm}, had {macro[leader.arm]:.3f}: {ahead}"
        return text, "worse" if shows_loss(leader) else "open"
    return f"{leader.arm} was ahead: {had}, {ahead}; that could be chance", "open"


def _start_words(start_with: Sequence[str]) -> str:
    first, *others = start_with
    order = f", then {', '.join(others)}" if others else ""
    return (
        f"A factory should start with {first}{order} (as flawsmith info says); the other systems "
        "are here to compare with what papers report."
    )


def _apart_words(apart: Comparison | None) -> list[str]:
    if apart is None or apart.change is None:
        return []
    verb = "that is more than chance" if shows_gain(apart) else "that could be chance"
    p = "" if apart.holm is None else f", p {p_words(apart.holm)}"
    return [
        f"Against copy_paste, which learns nothing, {apart.arm} had {change_words(apart.change)} "
        f"macro IoU{p}: {verb}."
    ]


def _worse_words(tested: Sequence[Comparison], leader: Comparison) -> list[str]:
    """Return which other systems did harm, and which only may have: an interval below 0."""
    sentences = []
    lower = [c for c in tested if _is_lower(c) and c.arm != leader.arm]
    for start, sure in (
        ("Adding images lowered macro IoU", True),
        ("Lower than real images alone, though that could be chance", False),
    ):
        found = [f"{c.arm} ({change_words(c.change)})" for c in lower if shows_loss(c) == sure]
        sentences += [f"{start}: {', '.join(found)}."] if found else []
    return sentences


def _is_lower(c: Comparison) -> bool:
    return c.change is not None and c.change.high is not None and c.change.high < 0


def shows_loss(comparison: Comparison) -> bool:
    """Whether a system does harm beyond chance in parts and in training, as `shows_gain` has it."""
    adjusted = comparison.holm is not None and comparison.holm <= ALPHA
    return _is_lower(comparison) and adjusted and comparison.luck_p is not None


def _seed_words(leader: Comparison) -> str:
    text = (
        f"Tested on {leader.parts} real parts of one fold, {leader.defective} with a defect, "
        f"{leader.seeds} training{'s' if leader.seeds > 1 else ''} of the inspection model each; "
        "intervals are 95 %, over parts"
    )
    if leader.seeds < FEW_SEEDS:
        return f"{text} alone: with fewer than three trainings nothing is known of luck in them."
    return f"{text} and trainings. Every system was trained once, so luck in that is not in them."


def _class_words(leader: Comparison) -> list[str]:
    few = [f"{c.name} ({c.parts})" for c in leader.classes if not c.claimed]
    if not few:
        return []
    return [f"Classes with fewer than {CLASS_PARTS} test parts only describe: {', '.join(few)}."]


def _near_words(systems: Sequence[SystemFacts]) -> list[str]:
    """Return whose images are nearest to real ones, which need not be those that help."""
    scored = {s.name: s.score.overall.kid for s in systems if s.score is not None}
    known = {name: kid for name, kid in scored.items() if kid is not None}
    if len(known) < 2:
        return []
    name = min(known, key=lambda n: known[n].value)
    return [
        f"Nearest to real defects by kernel distance (thousandths): {name} with "
        f"{ranged(known[name])}; distance says nothing of use."
    ]


def _failure_words(failures: Mapping[str, str]) -> list[str]:
    return [
        f"{arm} failed, what follows from that is not in the tables: {text}"
        for arm, text in failures.items()
    ]


def _unknown_words(systems: Sequence[SystemFacts]) -> list[str]:
    found = [
        f"{s.balanced.unknown} of {s.balanced.total} by {s.name}"
        for s in systems
        if s.balanced is not None and s.balanced.unknown
    ]
    if not found:
        return []
    return [f"Images without a known mask were left out of the training mix: {', '.join(found)}."]


def ranged(value: Ranged | None) -> str:
    """Return a kernel distance in thousandths with its interval."""
    if value is None:
        return MISSING
    text = thousandths(value.value)
    if value.low is None or value.high is None:
        return text
    return f"{text} ({thousandths(value.low)} to {thousandths(value.high)})"


def plain(value: float | None, digits: int = 3) -> str:
    """Return a figure, or a dash."""
    return MISSING if value is None else f"{value:,.{digits}f}"


def frechet(row: Distances | None, *, tile: bool) -> str:
    """Return a Fréchet distance with that of real images in brackets; * where N is small."""
    if row is None:
        return MISSING
    value, floor = (
        (row.frechet_tile, row.frechet_tile_floor) if tile else (row.frechet, row.frechet_floor)
    )
    if value is None:
        return MISSING
    return plain(value, 1) + ("*" if row.small else "") + f" ({plain(floor, 1)})"


def percent(value: float | None) -> str:
    """Return a share in per cent, or a dash."""
    return MISSING if value is None else f"{100 * value:.1f} %"
