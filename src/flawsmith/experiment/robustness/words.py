"""How the figures of a robustness test are written, and what they say in a sentence."""

from flawsmith.experiment.report.words import short_range
from flawsmith.experiment.robustness.disturbances import DISTURBANCES
from flawsmith.experiment.robustness.facts import VIEW, Change, Robustness, Row, VerdictChange
from flawsmith.metrics.evaluation import Interval, Rate

LEVEL = 0.05
HEADINGS = (
    "macro IoU (95 %)", "change", "missed", "change", "rejected", "change", "AUROC", "change",
)  # fmt: skip
CHANCE_SENTENCE = (
    "Marked changes are beyond chance one by one: the interval leaves out 0, or McNemar's exact "
    "test gives p < 0.05. If nothing mattered, about one in twenty would be marked all the same."
)


def label(row: Row) -> str:
    """Return ``rotation 15°`` or ``view exp5``."""
    return f"{row.disturbance.replace('_', ' ')} {row.text}".strip()


def score(value: float | None, interval: Interval | None = None) -> str:
    """Return ``0.32 (0.20 to 0.41)``."""
    if value is None:
        return "-"
    text = f"{value:.2f}"
    return f"{text} ({interval.low:.2f} to {interval.high:.2f})" if interval else text


def change(given: Change | None) -> str:
    """Return ``-0.12 (-0.20 to -0.03)``."""
    if given is None:
        return "-"
    text = _signed(given.value)
    if given.low is None or given.high is None:
        return text
    return f"{text} ({_signed(given.low)} to {_signed(given.high)})"


def verdicts(given: VerdictChange | None) -> str:
    """Return ``+3: 4 new, 1 gone (-4 to +40 %)`` in parts; the interval is of the rate."""
    if given is None:
        return "-"
    if not given.newly_wrong and not given.newly_right:
        return "the same parts"
    net = given.newly_wrong - given.newly_right
    text = f"{net:+d}" if net else "0"
    text += f": {given.newly_wrong} new, {given.newly_right} gone"
    if given.low is None or given.high is None or given.low == given.high:
        return text  # all parts changed alike: resampling them says nothing of others
    low, high = (f"{100 * end:+.0f}" for end in (given.low, given.high))
    return f"{text} ({low if float(low) else 0} to {high if float(high) else 0} %)"


def rate(given: Rate | None) -> str:
    """Return ``3 of 15 (20 %, 4 to 48 %)``."""
    if given is None:
        return "-"
    return f"{given.count} of {given.total} ({short_range(given)})"


def cells(row: Row) -> list[tuple[str, str]]:
    """Return what stands in a row, each with "worse", "better" or no mark."""
    return [
        (score(row.macro_iou, row.macro_iou_interval), ""),
        (change(row.macro_change), mark(row.macro_change)),
        (rate(row.escape), ""),
        (verdicts(row.escape_change), mark(row.escape_change)),
        (rate(row.overkill), ""),
        (verdicts(row.overkill_change), mark(row.overkill_change)),
        (score(row.part_auroc), ""),
        (change(row.auroc_change), mark(row.auroc_change)),
    ]


def mark(given: Change | None) -> str:
    """Return "worse" or "better" where a change is beyond chance, else nothing."""
    if isinstance(given, VerdictChange):
        if given.p >= LEVEL:
            return ""
        return "worse" if given.value > 0 else "better"
    if given is None or given.low is None or given.high is None:
        return ""
    return "worse" if given.high < 0 else "better" if given.low > 0 else ""


def headline(page: Robustness) -> str:
    """Return what an engineer should know first."""
    if not page.rows:
        return "No disturbance was tested."
    hurt = [_where(page, name) for name in _names(page.rows)]
    told = [text for text in hurt if text]
    if not told:
        return (
            "No disturbance makes this model worse beyond chance, as far as these parts can tell."
        )
    return f"Worse beyond chance under {'; '.join(told)}."


def _where(page: Robustness, name: str) -> str:
    """Return from which strengths on a disturbance hurts, and what; empty if it does not."""
    rows = [row for row in page.rows if row.disturbance == name and _hurt(row)]
    if not rows:
        return ""
    what = list(dict.fromkeys(text for row in rows for text in _hurt(row)))
    strengths = ", ".join(row.text for row in rows)
    return f"{name.replace('_', ' ')} {strengths} ({', '.join(what)})"


def _hurt(row: Row) -> list[str]:
    changes = {
        "IoU": row.macro_change,
        "missed parts": row.escape_change,
        "rejected good parts": row.overkill_change,
        "AUROC": row.auroc_change,
    }
    return [what for what, given in changes.items() if mark(given) == "worse"]


def worst(page: Robustness) -> str:
    """Return the sentence on the largest loss, by IoU, for a model without classes by AUROC."""
    figure, losses = "macro IoU", [(r.macro_change, r) for r in page.rows if r.macro_change]
    if not losses:
        figure, losses = "AUROC", [(r.auroc_change, r) for r in page.rows if r.auroc_change]
    if not losses:
        return ""
    lost, row = min(losses, key=lambda pair: pair[0].value)
    if lost.value >= 0:
        return f"{figure} falls under none of them."
    return f"The largest loss of {figure}: {change(lost)} under {label(row)}."


def seen(row: Row) -> str:
    """Say whether training had images of a view."""
    if row.seen_in_training is None:
        return "unknown: the training data is not there"
    return "in training" if row.seen_in_training else "not in training"


def meaning(name: str) -> str:
    """Return what a disturbance is."""
    return "" if name == VIEW else DISTURBANCES.get(name).meaning


def _names(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row.disturbance for row in rows))


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text
