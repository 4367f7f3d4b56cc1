"""From the tests of several models to the tables of a report."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from flawsmith.errors import FlawsmithError
from flawsmith.experiment.plant import PlantAssumptions, plant_figures
from flawsmith.experiment.report.facts import (
    Arm,
    ClassCell,
    ClassRow,
    CompositionRow,
    Paired,
    PartRow,
    Role,
)
from flawsmith.experiment.report.words import Comparison, compare_scores
from flawsmith.metrics.evaluation import ClassResult, Evaluation, PartResult

MACHINE_VISION = "machine_vision"
FEW_PARTS = 10
"""A class with fewer test parts is described; nothing is claimed of it."""

CURVE_POINTS = 120

# Grey for the old way, blue before, vermilion after: apart for colour-blind eyes and in print.
ROLE_COLOURS: dict[Role, str] = {"old way": "#7b8190", "before": "#3566a8", "after": "#c2541b"}
OTHER_COLOURS = ("#3c8d7a", "#8a5aa8", "#a88b2c", "#b34d7c")


def arm_label(evaluation: Evaluation) -> tuple[str, str]:
    """Return the words for an arm: long and short."""
    if evaluation.arm == MACHINE_VISION:
        return "Fixed rules (machine vision)", "fixed rules"
    if evaluation.arm == "real":
        return "Real images only", "real only"
    if evaluation.arm == "copy_paste":
        return "Real + copy-paste images", "real + copy-paste"
    return f"Real + synthetic images ({evaluation.arm})", f"real + {evaluation.arm}"


def change_words(evaluation: Evaluation) -> str:
    """Return what an arm adds to the real images."""
    kind = "copy-paste images" if evaluation.arm == "copy_paste" else "synthetic images"
    return kind if evaluation.arm == "copy_paste" else f"{kind} ({evaluation.arm})"


def find_roles(evaluations: Sequence[Evaluation]) -> list[Role]:
    """Return the role of each arm: first learned ``real`` is before, the last learned is after.

    A single learned model is "after" with nothing before it. Where nothing is learned, the last
    run takes that place.
    """
    roles: list[Role] = ["old way" if e.arm == MACHINE_VISION else "other" for e in evaluations]
    learned = [i for i, e in enumerate(evaluations) if e.arm != MACHINE_VISION]
    after = learned[-1] if learned else len(evaluations) - 1
    roles[after] = "after"
    before = next((i for i in learned if evaluations[i].arm == "real"), after)
    if before != after:
        roles[before] = "before"
    return roles


def require_comparable(runs: Sequence[Path], evaluations: Sequence[Evaluation]) -> None:
    """Raise a `FlawsmithError` unless all runs were tested on the same parts of the same data."""
    first = evaluations[0]
    for run, other in zip(runs[1:], evaluations[1:], strict=True):
        pairs = {
            "data set (fingerprint)": (first.data_fingerprint, other.data_fingerprint),
            "test fold": (first.fold, other.fold),
            "test parts": ({p.part for p in first.parts}, {p.part for p in other.parts}),
        }
        for what, (expected, given) in pairs.items():
            if expected != given:
                shown = f": {given}, not {expected}" if not isinstance(given, set) else ""
                raise FlawsmithError(
                    f"{run} was tested on another {what} than {runs[0]}{shown}; a report compares "
                    f"models on the same parts. Test it again with: flawsmith model test {run}"
                )


def make_arms(
    runs: Sequence[Path], evaluations: Sequence[Evaluation], assumptions: PlantAssumptions
) -> list[Arm]:
    """Return the columns of the report in the order of the runs."""
    roles = find_roles(evaluations)
    others = iter(OTHER_COLOURS * len(runs))
    repeated = Counter(arm_label(e) for e in evaluations)
    arms = []
    for run, evaluation, role in zip(runs, evaluations, roles, strict=True):
        label, short = arm_label(evaluation)
        if repeated[(label, short)] > 1:
            label, short = f"{label}, {run.name}", f"{short}, {run.name}"
        arms.append(
            Arm(
                arm=evaluation.arm,
                label=label,
                short=short,
                role=role,
                colour=ROLE_COLOURS.get(role) or next(others),
                run=str(run),
                model=evaluation.model,
                escape=evaluation.escape,
                overkill=evaluation.overkill,
                lucky=sum(is_lucky(part) for part in evaluation.parts),
                plant=plant_figures(evaluation.escape, evaluation.overkill, assumptions),
                macro_iou=evaluation.macro_iou,
                macro_iou_interval=evaluation.macro_iou_interval,
                pixel_accuracy=evaluation.pixel_accuracy,
                false_regions_per_good_part=evaluation.false_regions_per_good_part,
                part_auroc=evaluation.part_auroc,
                part_average_precision=evaluation.part_average_precision,
                region_threshold=evaluation.thresholds.region,
                pixel_thresholds=evaluation.thresholds.pixel,
                images=evaluation.images,
                seconds_per_image=evaluation.seconds_per_image,
                composition=evaluation.composition,
            )
        )
    return arms


def is_lucky(part: PartResult) -> bool:
    """Tell whether a defective part was rejected without any correctly classified pixel."""
    if not part.labels or part.verdict != "FAIL":
        return False
    hit = any(counts[0] > 0 for counts in part.counts.values())
    labelled = any(counts[0] + counts[2] > 0 for counts in part.counts.values())
    return labelled and not hit


def make_classes(evaluations: Sequence[Evaluation], colours: dict[str, str]) -> list[ClassRow]:
    """Return one row a class, in the order of their first appearance."""
    names = list(dict.fromkeys(c.name for e in evaluations for c in e.classes))
    rows = []
    for name in names:
        results = [next((c for c in e.classes if c.name == name), None) for e in evaluations]
        known = next(r for r in results if r is not None)
        rows.append(
            ClassRow(
                name=name,
                colour=colours.get(name, "#888888"),
                parts=known.parts,
                images=known.images,
                regions=known.regions,
                described_only=known.parts < FEW_PARTS,
                cells=[_cell(result) for result in results],
            )
        )
    return rows


def _cell(result: ClassResult | None) -> ClassCell:
    curve = (
        thin(list(zip(result.recall_curve, result.precision_curve, strict=True))) if result else []
    )
    return ClassCell(
        iou=result.iou if result else None,
        iou_interval=result.iou_interval if result else None,
        average_precision=result.average_precision if result else None,
        defect_recall=result.defect_recall if result else None,
        recall_curve=[round(point[0], 4) for point in curve],
        precision_curve=[round(point[1], 4) for point in curve],
    )


def thin(points: list[tuple[float, float]], limit: int = CURVE_POINTS) -> list[tuple[float, float]]:
    """Return at most ``limit`` points of a curve, evenly spaced, with the first and the last."""
    if len(points) <= limit:
        return points
    return [points[round(i * (len(points) - 1) / (limit - 1))] for i in range(limit)]


def make_composition(before: Evaluation | None, after: Evaluation) -> list[CompositionRow]:
    """Return the training images of each class; without a model before, its real images."""
    old = before.composition if before else {"real": after.composition.get("real", {})}
    new = after.composition
    names = dict.fromkeys(
        name for table in (old, new) for source in table.values() for name in source
    )

    def count(table: dict[str, dict[str, int]], source: str, name: str) -> int:
        return table.get(source, {}).get(name, 0)

    return [
        CompositionRow(
            name=name,
            before_real=count(old, "real", name),
            before_synthetic=count(old, "synthetic", name),
            after_real=count(new, "real", name),
            after_synthetic=count(new, "synthetic", name),
        )
        for name in names
    ]


def make_parts(evaluations: Sequence[Evaluation], after: Evaluation) -> list[PartRow]:
    """Return one row a test part."""
    by_part = [{p.part: p for p in e.parts} for e in evaluations]
    return [
        PartRow(
            part=part.part,
            labels=part.labels,
            verdicts=[parts[part.part].verdict for parts in by_part],
            scores=[parts[part.part].score for parts in by_part],
            reason=part.reason,
        )
        for part in after.parts
    ]


def make_paired(before: Evaluation, after: Evaluation) -> Paired:
    """Return the parts whose verdict changed."""
    old = {p.part: p.verdict for p in before.parts}

    def changed(defective: bool, verdict: str) -> list[str]:
        return [
            p.part
            for p in after.parts
            if bool(p.labels) == defective and p.verdict == verdict and old[p.part] != verdict
        ]

    return Paired(
        newly_found=changed(True, "FAIL"),
        newly_missed=changed(True, "PASS"),
        newly_passed=changed(False, "PASS"),
        newly_rejected=changed(False, "FAIL"),
    )


def compare_macro(before: Evaluation | None, after: Evaluation) -> Comparison:
    """Compare the macro IoU before and after."""
    if before is None:
        return Comparison(direction="unknown", proven=False)
    return compare_scores(
        before.macro_iou, before.macro_iou_interval, after.macro_iou, after.macro_iou_interval
    )
