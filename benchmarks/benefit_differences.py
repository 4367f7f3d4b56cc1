"""Prints what a ledger of the benefit test says of each arm, by the statistics of that test.

Folds are pooled, so that every part is tested once; runs of the same test parts (other seeds,
other draws of the training images) are averaged within each part first. Intervals as in
docs/benefit.md; * marks a p that is blind to luck in training (fewer than three folds or runs).

    python benchmarks/benefit_differences.py benchmarks/ledger/benefit_magnetic_tile.jsonl
    python benchmarks/benefit_differences.py LEDGER --against copy_paste --model fc_hardnet70
    python benchmarks/benefit_differences.py LEDGER --share 0.25    # a point of a learning curve

An arm that chose no synthetic image for any class is in the ledger as ``real`` and not by itself.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from flawsmith.experiment.benefit.facts import Comparison
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.benefit.statistics import Line, compare_arms
from flawsmith.experiment.ledger import read_lines


def results(lines: Sequence[Line], against: str, share: float) -> list[tuple[Step, Line]]:
    """Return the trainings on a share of the real parts as steps, ``against`` in place of real.

    A draw of the training images is another data set, or another draw of its parts, so data, draw
    and seed together count the runs.

    Raises:
        SystemExit: if two configurations of one arm are in the ledger, such as two amounts.
    """
    whole = [line for line in lines if line.get("kind") == "model" and line["share"] == share]
    runs = sorted({(line["data"], line["draw"], line["seed"]) for line in whole})
    found = []
    for line in whole:
        arm = REAL if line["arm"] == against else line["arm"]
        if against != REAL and line["arm"] == REAL:
            continue
        run = runs.index((line["data"], line["draw"], line["seed"]))
        step = Step("model", arm, line["fold"], network=line["model"], seed=run)
        if any(step == other for other, _ in found):
            raise SystemExit(
                f"{line['arm']}, fold {line['fold']}, seed {line['seed']} is there twice, with "
                "other settings; give each plan a ledger of its own"
            )
        found.append((step, line))
    return found


def row(comparison: Comparison) -> str:
    """Return one arm as a row of Markdown."""
    change = comparison.change
    cells = [f"`{comparison.arm}`", str(comparison.pairs), _number(comparison.real)]
    cells += (
        [_number(comparison.macro), _change(change.value, change.low, change.high)]
        if (change)
        else ["-", "-"]
    )
    cells.append(_probability(comparison))
    for c in comparison.classes:
        shown = c.change
        cells.append("-" if shown is None else _change(shown.value, shown.low, shown.high))
    for rates in (comparison.escape, comparison.overkill):
        cells.append(
            "-"
            if rates is None
            else f"{rates.real.count} to {rates.arm.count} of {rates.arm.total}"
        )
    return "| " + " | ".join(cells) + " |"


def area_row(comparison: Comparison) -> str | None:
    """Return an arm's area under the ROC curve of parts as a row, where there are good parts."""
    area = comparison.auroc
    if area is None:
        return None
    change = _change(area.change.value, area.change.low, area.change.high)
    cells = [f"`{comparison.arm}`", _number(area.real), _number(area.arm), change]
    return "| " + " | ".join(cells) + " |"


def _probability(comparison: Comparison) -> str:
    """Return p, with a star where nothing tells of luck in training."""
    if comparison.p is None:
        return "-"
    value = "< 0.001" if comparison.p < 0.001 else f"{comparison.p:.3f}"
    return value if comparison.luck_p is not None else f"{value} *"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _change(value: float, low: float | None, high: float | None) -> str:
    interval = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
    return f"{value:+.3f}{interval}"


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--against", default=REAL, help="the arm that the others are compared to")
    parser.add_argument("--share", type=float, default=1.0, help="of the real parts (1)")
    parser.add_argument("--model", help="this inspection model only")
    arguments = parser.parse_args()
    lines = read_lines(arguments.ledger)
    steps = results(lines, arguments.against, arguments.share)
    names = list(dict.fromkeys(name for _, line in steps for name in line["tp_fp_fn_parts"]))
    for model in dict.fromkeys(step.network for step, _ in steps):
        if arguments.model not in (None, model):
            continue
        comparisons = compare_arms(steps, names, model)
        if not comparisons:
            print(f"{model}: no run of an arm has its partner in {arguments.against}")
            continue
        first = comparisons[0]
        parts = [f"{c.name} ({c.parts})" for c in first.classes]
        head = ["arm", "pairs", arguments.against, f"arm's macro {first.figure}", "difference", "p"]
        head += [*parts, "missed", "rejected"]
        print(f"{model}: {first.defective} defective of {first.parts} test parts\n")
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        print("\n".join(row(comparison) for comparison in comparisons))
        areas = [area for comparison in comparisons if (area := area_row(comparison))]
        if areas:
            head = ["arm", f"AUROC of parts, {arguments.against}", "arm", "difference"]
            print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
            print("\n".join(areas))


if __name__ == "__main__":
    main()
