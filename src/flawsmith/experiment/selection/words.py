"""What the numbers of a selection say, in words: the same on the page and in the terminal."""

from collections.abc import Iterator

from flawsmith.experiment.report.words import percent
from flawsmith.experiment.selection.facts import (
    ClassSelection,
    Limits,
    Reason,
    ReasonCode,
    Selection,
)
from flawsmith.experiment.selection.figures import FEWEST_DEFECTS
from flawsmith.metrics.evaluation import Rate

FAILS_BELOW = 0.2
"""With a smaller share accepted the generator fails at a class."""

BLIND_BELOW = 0.05
"""A model that misses real defects so clearly is a poor judge of synthetic ones."""

FEW_PARTS = 5

HEADINGS = (
    "Images", "Accepted", "Not recognised", "As another class", "Outside", "Copies",
    "Probability, median", "Real ones", "Limit", "Real that fail",
)  # fmt: skip

CODES: dict[ReasonCode, str] = {
    "not_recognised": "not recognised",
    "other_class": "taken for another class",
    "outside": "defect seen outside the mask",
    "copy": "copy of a training defect",
}

HARD_EXAMPLES = (
    "A filter keeps what the model knows already and may throw away the hard examples that it "
    "would learn most from: test the set unfiltered and filtered with flawsmith benefit, and keep "
    "the one that helps."
)


def share_words(rate: Rate) -> str:
    """Return a rate as share and counts."""
    return f"{percent(rate.count / rate.total)} ({rate.count} of {rate.total})"


def headline(selection: Selection) -> str:
    """Return the first sentence."""
    return f"{share_words(selection.accepted)} of the synthetic images are accepted"


def row(item: ClassSelection, selection: Selection) -> list[str]:
    """Return the cells of a class under `HEADINGS`."""
    count = item.reasons.get
    return [
        str(item.accepted.total),
        percent(item.accepted.count / item.accepted.total),
        str(count("not_recognised", 0)),
        str(count("other_class", 0)),
        str(count("outside", 0)),
        str(count("copy", 0)) if selection.copies_rejected else "-",
        f"{item.median_synthetic:.2f}",
        "-" if item.median_real is None else f"{item.median_real:.2f}",
        f"{item.limits.probability:.2f}",
        "-" if item.real_failing is None else (
            f"{item.real_failing.count} of {item.real_failing.total}"
        ),
    ]  # fmt: skip


def origin(limits: Limits) -> str:
    """Return which real defects the limits of a class come from."""
    pooled = ", of all classes" if limits.pooled else ""
    parts = "1 part" if limits.parts == 1 else f"{limits.parts} parts"
    noun = "defect" if limits.defects == 1 else "defects"
    return f"limits from {limits.defects} real validation {noun} on {parts}{pooled}"


def reason(item: Reason) -> str:
    """Return one reason with its figure and limit."""
    of_class = f" ({item.name})" if item.name else ""
    sign = "below" if item.code == "not_recognised" else "above"
    if item.code == "copy":
        return f"{CODES[item.code]}{of_class}: {item.value:.2f} of the usual distance"
    return f"{CODES[item.code]}{of_class}: {item.value:.3f}, {sign} {item.limit:.3f}"


def warnings(selection: Selection) -> Iterator[str]:
    """Yield what a user must know before using the accepted images."""
    for item in selection.classes:
        yield from _of_class(item)
    changed = sum(image.untouched is False for image in selection.images)
    if changed:
        yield (
            f"{changed} images differ from every parent outside their masks, though their system "
            "keeps the real surface; the model judged them there instead."
        )
    flagged = sum(any(c.copied for c in image.copies) for image in selection.images)
    if selection.copies_checked and not selection.copies_rejected and flagged:
        yield (
            f"{flagged} images are as near to training defects as copies. They are kept: "
            f"{selection.system} is shown real defects, and reuses them by design. The model was "
            "trained on these very defects, so it recognises them more easily than new ones."
        )


def _of_class(item: ClassSelection) -> Iterator[str]:
    fails = item.accepted.count < FAILS_BELOW * item.accepted.total
    rough = not item.limits.pooled and item.limits.parts < FEW_PARTS
    if fails:
        doubt = f", or the {origin(item.limits)} are too strict" if rough else ""
        yield (
            f"{item.name}: only {share_words(item.accepted)} accepted. The generator fails at this "
            f"class{doubt}: look at the pictures; then train it longer or on more labelled parts, "
            "or take copy_paste."
        )
    elif rough:
        yield f"{item.name}: {origin(item.limits)}; views of one part are alike, so they are rough."
    if item.limits.pooled:
        yield (
            f"{item.name}: fewer than {FEWEST_DEFECTS} real validation defects, so its limits are "
            "those of all classes together."
        )
    if item.limits.probability < BLIND_BELOW:
        yield (
            f"{item.name}: the model gives a real validation defect as little as "
            f"{item.limits.probability:.3f}, so recognition rejects only what it does not see at "
            "all. Train the model longer before you trust this class."
        )
