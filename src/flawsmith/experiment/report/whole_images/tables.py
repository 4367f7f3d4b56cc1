"""From the tests of several classification models to the tables of a report."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsmith.experiment.plant import PlantAssumptions, plant_figures
from flawsmith.experiment.report.tables import (
    FEW_PARTS,
    OTHER_COLOURS,
    ROLE_COLOURS,
    arm_label,
    find_roles,
    is_lucky,
    make_paired,
    thin,
)
from flawsmith.experiment.report.whole_images.facts import (
    Confusion,
    ImageArm,
    ImageClassCell,
    ImageClassRow,
    ImagePaired,
)
from flawsmith.metrics.classification import verdict_scale
from flawsmith.metrics.evaluation import ClassResult, Evaluation, Interval
from flawsmith.metrics.intervals import bootstrap_auroc, rate
from flawsmith.metrics.testing import MIN_INTERVAL_PARTS

GOOD = "good"
NETWORKS = {
    "cnn_classifier": "small network from scratch",
    "efficientnet_classifier": "pretrained network",
}


def is_single_label(evaluation: Evaluation) -> bool:
    """Tell whether every tested image shows one class at most, and its score is known."""
    results = evaluation.image_results
    return bool(results) and all(len(result.labels) <= 1 for result in results)


def named_classes(evaluation: Evaluation) -> dict[str, list[str]]:
    """Return what each tested image was taken for: the classes whose thresholds it reaches.

    Where no image shows two classes it is taken for one at most, the one farthest above its
    threshold on the scale of `PartResult.score`.
    """
    names = [result.name for result in evaluation.classes]
    thresholds = np.array(evaluation.thresholds.pixel)
    single = is_single_label(evaluation)
    said = {}
    for result in evaluation.image_results:
        scores = np.array(result.scores)
        reached = np.flatnonzero(scores >= thresholds)
        if single and len(reached):
            reached = np.array([int(verdict_scale(scores, thresholds).argmax())])
        said[result.image] = [names[k] for k in reached]
    return said


def right_parts(evaluation: Evaluation) -> set[str]:
    """Return the parts of which every image was given just the classes that it shows."""
    said = named_classes(evaluation)
    wrong = {r.image for r in evaluation.image_results if set(r.labels) != set(said[r.image])}
    return {part.part for part in evaluation.parts if not wrong & set(part.views)}


def rejected_for_others(evaluation: Evaluation) -> set[str]:
    """Return the defective parts that were rejected for classes alone that they do not show.

    What rejects a part need not be found in an image: it has a threshold of its own. Without the
    scores of the images those parts are meant in which no class that they show was found.
    """
    rejected = {p.part: p for p in evaluation.parts if p.labels and p.verdict == "FAIL"}
    if not evaluation.image_results:
        return {name for name, part in rejected.items() if is_lucky(part)}
    names = np.array([result.name for result in evaluation.classes])
    limits = evaluation.thresholds
    reasons: dict[str, set[str]] = {name: set() for name in rejected}
    owner = {view: name for name, part in rejected.items() for view in part.views}
    for result in evaluation.image_results:
        if result.image in owner:
            scaled = verdict_scale(np.array(result.scores), np.array(limits.pixel))
            reasons[owner[result.image]].update(names[scaled >= limits.region].tolist())
    return {name for name, found in reasons.items() if not found & set(rejected[name].labels)}


def make_image_arms(
    runs: Sequence[Path], evaluations: Sequence[Evaluation], assumptions: PlantAssumptions | None
) -> list[ImageArm]:
    """Return the columns of the report in the order of the runs."""
    others = iter(OTHER_COLOURS * len(runs))
    labels = _labels(runs, evaluations)
    arms = []
    for run, evaluation, role, (label, short) in zip(
        runs, evaluations, find_roles(evaluations), labels, strict=True
    ):
        parts = len(evaluation.parts)
        known = bool(evaluation.image_results)
        plant = None
        if assumptions is not None:
            plant = plant_figures(evaluation.escape, evaluation.overkill, assumptions)
        arms.append(
            ImageArm(
                arm=evaluation.arm,
                label=label,
                short=short,
                network=network_words(evaluation),
                role=role,
                colour=ROLE_COLOURS.get(role) or next(others),
                run=str(run),
                model=evaluation.model,
                escape=evaluation.escape,
                overkill=evaluation.overkill,
                wrong=rate(parts - len(right_parts(evaluation)), parts) if known else None,
                other_class=len(rejected_for_others(evaluation)),
                plant=plant,
                macro_f1=evaluation.macro_f1,
                macro_f1_interval=evaluation.macro_f1_interval,
                macro_balanced_accuracy=evaluation.macro_balanced_accuracy,
                macro_balanced_accuracy_interval=evaluation.macro_balanced_accuracy_interval,
                part_auroc=evaluation.part_auroc,
                part_average_precision=evaluation.part_average_precision,
                thresholds=evaluation.thresholds.pixel,
                part_threshold=evaluation.thresholds.region,
                images=evaluation.images,
                seconds_per_image=evaluation.seconds_per_image,
                composition=evaluation.composition,
            )
        )
    return arms


def network_words(evaluation: Evaluation) -> str:
    """Return what a network is called in a sentence."""
    return NETWORKS.get(evaluation.model, evaluation.model)


def _labels(runs: Sequence[Path], evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Return the words for each column, long and short: what makes it different is named."""
    several_networks = len({e.model for e in evaluations}) > 1
    several_arms = len({e.arm for e in evaluations}) > 1
    labels = []
    for evaluation in evaluations:
        label, short = arm_label(evaluation)
        if several_networks:
            network = network_words(evaluation)
            title = network[:1].upper() + network[1:]
            label = f"{title}: {label[:1].lower()}{label[1:]}" if several_arms else title
            short = f"{network}, {short}" if several_arms else network
        labels.append((label, short))
    repeated = Counter(labels)
    return [
        (f"{label}, {run.name}", f"{short}, {run.name}") if repeated[label, short] > 1 else
        (label, short)
        for run, (label, short) in zip(runs, labels, strict=True)
    ]  # fmt: skip


def make_image_classes(
    evaluations: Sequence[Evaluation], colours: dict[str, str]
) -> list[ImageClassRow]:
    """Return one row a class, in the order of the classes."""
    areas = [auroc_intervals(evaluation) for evaluation in evaluations]
    rows = []
    for index, known in enumerate(evaluations[0].classes):
        rows.append(
            ImageClassRow(
                name=known.name,
                colour=colours.get(known.name, "#888888"),
                parts=known.parts,
                images=known.images,
                described_only=known.parts < FEW_PARTS,
                cells=[
                    _cell(evaluation.classes[index], area[index])
                    for evaluation, area in zip(evaluations, areas, strict=True)
                ],
            )
        )
    return rows


def auroc_intervals(evaluation: Evaluation) -> list[Interval | None]:
    """Return the interval of each class's AUROC; None with too few parts or without scores."""
    results = evaluation.image_results
    if not results:
        return [None] * len(evaluation.classes)
    part_of = {view: i for i, part in enumerate(evaluation.parts) for view in part.views}
    parts = np.array([part_of[result.image] for result in results])
    scores = np.array([result.scores for result in results])
    intervals = []
    for k, known in enumerate(evaluation.classes):
        truth = np.array([known.name in result.labels for result in results])
        enough = known.parts >= MIN_INTERVAL_PARTS and not truth.all()
        intervals.append(bootstrap_auroc(truth, scores[:, k], parts) if enough else None)
    return intervals


def _cell(result: ClassResult, area: Interval | None) -> ImageClassCell:
    curve = thin(list(zip(result.recall_curve, result.precision_curve, strict=True)))
    figures = {
        name: getattr(result, name)
        for name in ImageClassCell.model_fields
        if name not in ("auroc_interval", "recall_curve", "precision_curve")
    }
    return ImageClassCell(
        **figures,
        auroc_interval=area,
        recall_curve=[round(point[0], 4) for point in curve],
        precision_curve=[round(point[1], 4) for point in curve],
    )


def make_confusion(index: int, evaluation: Evaluation) -> Confusion | None:
    """Return what images were taken for; None where images show several classes."""
    if not is_single_label(evaluation):
        return None
    names = [result.name for result in evaluation.classes]
    said = named_classes(evaluation)
    counts: NDArray[np.int64] = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    for result in evaluation.image_results:
        row = names.index(result.labels[0]) if result.labels else len(names)
        named = said[result.image]
        counts[row, names.index(named[0]) if named else len(names)] += 1
    rows = [k for k in range(len(names) + 1) if counts[k].any()]
    has_good = len(names) in rows
    return Confusion(
        arm=index,
        truth=[names[k] if k < len(names) else GOOD for k in rows],
        said=[*names, GOOD if has_good else "none of them"],
        counts=counts[rows].tolist(),
    )


def make_image_paired(before: Evaluation, after: Evaluation) -> ImagePaired:
    """Return the parts whose verdict changed, or whether they are classified rightly."""
    old, new = right_parts(before), right_parts(after)
    known = bool(before.image_results) and bool(after.image_results)
    changed = make_paired(before, after)
    return ImagePaired(
        **changed.model_dump(),
        newly_right=sorted(new - old) if known else [],
        newly_wrong=sorted(old - new) if known else [],
    )
