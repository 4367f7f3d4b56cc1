"""From the lines of the ledger to figures: nothing is trained or read from images here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsmith.experiment.benefit.facts import (
    ArmFigures,
    Change,
    ClassChange,
    Comparison,
    CurvePoint,
    FurtherFigure,
    PartAuroc,
    PartRates,
)
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.metrics.further import Size, further, noise_variance
from flawsmith.metrics.intervals import rate
from flawsmith.metrics.paired import (
    Difference,
    Paired,
    PartCounts,
    compare,
    holm,
    mcnemar,
    mean_difference,
)
from flawsmith.metrics.pooled import BALANCED_ACCURACY, F1, IOU, RECALL, PooledFigure

Line = dict[str, Any]
Results = Sequence[tuple[Step, Line]]
CLASS_PARTS = 10
"""Test parts of a class below which its figures only describe."""
GAIN = 0.05
"""The gain in macro IoU, or F1, that a test should be able to see."""


def figure_of(results: Results) -> PooledFigure:
    """Return what the arms are compared by: IoU of pixels, or F1 where images were counted."""
    return F1 if any(line.get("level") == "image" for _, line in results) else IOU


def compare_arms(results: Results, names: Sequence[str], network: str) -> list[Comparison]:
    """Return every arm of a network against ``real``, p-values adjusted for their number.

    An arm without a finished pair is left out.
    """
    main = [(s, line) for s, line in results if s.network == network and s.share == 1.0]
    arms = list(dict.fromkeys(step.arm for step, _ in main if step.arm != REAL))
    found = [c for arm in arms if (c := _compare(main, arm, names, len(arms))) is not None]
    known = [c.p for c in found if c.p is not None]
    adjusted = iter(holm(known))
    return [
        c if c.p is None else c.model_copy(update={"holm": round(next(adjusted), 6)}) for c in found
    ]


def _compare(results: Results, arm: str, names: Sequence[str], arms: int) -> Comparison | None:
    sides = [{(s.fold, s.seed): line for s, line in results if s.arm == a} for a in (REAL, arm)]
    pairs = sorted(sides[0].keys() & sides[1].keys())
    if not pairs:
        return None
    lines = [[side[pair] for pair in pairs] for side in sides]
    folds = [fold for fold, _ in pairs]
    (reference, owners), (counts, _) = (part_table(side, folds, names) for side in lines)
    figure, seeds = figure_of(results), _by_seed(sides, names)
    tables = (reference, counts)
    paired = compare(reference, counts, owners, figure=figure, seeds=seeds)
    main = _pooled_change(figure, tables, paired, names)
    others = [
        _pooled_change(other, tables, compare(*tables, owners, figure=other, seeds=seeds), names)
        for other in ((RECALL, BALANCED_ACCURACY) if figure is F1 else ())
    ]
    defective = sum(bool(labels) for labels in _labels(lines[0]).values())
    tested = Size(defective, len(set(folds)), max(1, len(seeds)))
    needed = _needed(figure, paired.macro, tested, seeds, arms)
    return Comparison(
        arm=arm,
        model=str(lines[1][0]["model"]),
        mix=Mix(**lines[1][0]["mix"]),
        pairs=len(pairs),
        folds=sorted(set(folds)),
        seeds=max(folds.count(fold) for fold in folds),
        parts=len(reference),
        defective=defective,
        real=main.real,
        macro=main.arm,
        change=main.change,
        swap_p=paired.swap_p,
        luck_p=paired.luck_p,
        p=paired.p,
        holm=None,
        classes=main.classes,
        escape=_part_rates(lines, defective=True),
        overkill=_part_rates(lines, defective=False),
        further_parts=None if needed is None else needed.parts - defective,
        further_seeds=None if needed is None else needed.seeds,
        auroc=_part_auroc(folds, lines),
        figure=figure.name,
        further=others,
        rarest=_rarest(lines[0], names) if others else None,
    )


def _needed(
    figure: PooledFigure,
    macro: Difference,
    tested: Size,
    seeds: Sequence[tuple[PartCounts, PartCounts]],
    arms: int,
) -> Size | None:
    """Return the size of a test that would show `GAIN`; None where that is not known."""
    if not macro.standard_error or macro.parts_error is None:
        return None
    noise = noise_variance(seeds, macro.parts_error**2, figure)
    return further(macro, tested, GAIN, noise=noise, tests=arms)


def _pooled_change(
    figure: PooledFigure,
    tables: tuple[PartCounts, PartCounts],
    paired: Paired,
    names: Sequence[str],
) -> FurtherFigure:
    """Return a figure in both arms, over the classes and of each."""
    pooled = [table.sum(axis=0) for table in tables]
    macro = [_number(float(figure.macro(table))) for table in pooled]
    classes = [[_number(float(v)) for v in figure.of_classes(table)] for table in pooled]
    shown = (tables[0][..., 0] + tables[0][..., 2] > 0).sum(axis=0)
    return FurtherFigure(
        name=figure.name,
        real=macro[0],
        arm=macro[1],
        change=None if macro[0] is None else _change(paired.macro),
        classes=[
            ClassChange(
                name=name,
                parts=int(shown[i]),
                claimed=bool(shown[i] >= CLASS_PARTS),
                real=classes[0][i],
                arm=classes[1][i],
                change=None if (found := paired.classes[i]) is None else _change(found),
            )
            for i, name in enumerate(names)
        ],
    )


def _rarest(lines: Sequence[Line], names: Sequence[str]) -> str:
    """Return the class with the fewest real training images, over the folds."""
    images = {
        name: sum(line["training_images"]["real"].get(name, 0) for line in lines) for name in names
    }
    return min(names, key=lambda name: images[name])


def _by_seed(
    sides: Sequence[dict[tuple[int, int], Line]], names: Sequence[str]
) -> list[tuple[PartCounts, PartCounts]]:
    """Return the tables of (real, arm) for every seed that tested all the folds."""
    both = sides[0].keys() & sides[1].keys()
    folds = sorted({fold for fold, _ in both})
    tables = []
    for seed in sorted({seed for _, seed in both}):
        if all((fold, seed) in both for fold in folds):
            first, second = (
                part_table([side[fold, seed] for fold in folds], folds, names)[0] for side in sides
            )
            tables.append((first, second))
    return tables


def part_table(
    lines: Sequence[Line], folds: Sequence[int], names: Sequence[str]
) -> tuple[PartCounts, NDArray[np.int64]]:
    """Return P x D x C counts, averaged over the lines that tested a part, and their folds.

    C is 3 for pixels, 4 for images; see `flawsmith.metrics.pooled`.
    """
    tables: dict[str, list[NDArray[np.float64]]] = {}
    fold_of: dict[str, int] = {}
    for line, fold in zip(lines, folds, strict=True):
        for part, (_, _, counts, *images) in line["parts"].items():
            table = np.array([counts.get(name, (0, 0, 0)) for name in names], np.float64)
            if images:
                table = np.column_stack([table, images[0] - table.sum(axis=1)])
            tables.setdefault(part, []).append(table)
            fold_of[part] = fold
    order = sorted(tables)
    stacked = np.stack([np.mean(tables[part], axis=0) for part in order])
    return stacked, np.array([fold_of[part] for part in order])


def arm_figures(results: Results, names: Sequence[str], network: str) -> list[ArmFigures]:
    """Return each arm of a network by itself."""
    main = [(s, line) for s, line in results if s.network == network and s.share == 1.0]
    figure = figure_of(main)
    figures = []
    for arm in dict.fromkeys(step.arm for step, _ in main):
        own = [(step, line) for step, line in main if step.arm == arm]
        folds = [step.fold for step, _ in own]
        counts, _ = part_table([line for _, line in own], folds, names)
        pooled = counts.sum(axis=0)
        values = [_number(float(v)) for v in figure.of_classes(pooled)]
        mix = own[0][1]["mix"]
        figures.append(
            ArmFigures(
                arm=arm,
                model=network,
                mix=None if mix is None else Mix(**mix),
                folds=sorted(set(folds)),
                seeds=max(folds.count(fold) for fold in folds),
                images=own[0][1]["training_images"],
                classes=list(names),
                parts=(counts[..., 0] + counts[..., 2] > 0).sum(axis=0).tolist(),
                iou=values if figure is IOU else [None] * len(names),
                macro=_number(float(figure.macro(pooled))),
                synthetic=_synthetic_images([line for _, line in own], names),
                **_image_figures(figure, pooled, values),
            )
        )
    return figures


def _synthetic_images(
    lines: Sequence[dict[str, Any]], names: Sequence[str]
) -> tuple[int, int] | None:
    """Return the fewest and the most synthetic images of a class in a fold."""
    made = [line["training_images"].get("synthetic", {}) for line in lines]
    if not any(made):
        return None
    counts = [of_class.get(name, 0) for of_class in made for name in names]
    return min(counts), max(counts)


def _image_figures(
    figure: PooledFigure, pooled: PartCounts, values: list[float | None]
) -> dict[str, Any]:
    """Return what an arm is told by besides where images are counted."""
    if figure is IOU:
        return {}
    return {
        "f1": values,
        "recall": [_number(float(v)) for v in RECALL.of_classes(pooled)],
        "balanced_accuracy": _number(float(BALANCED_ACCURACY.macro(pooled))),
    }


def learning_curve(results: Results, names: Sequence[str], network: str) -> list[CurvePoint]:
    """Return the macro figure by number of real parts.

    A point is of the folds that all its arms finished; the whole data is the last point. A draw is
    left out as long as an arm of it is missing.
    """
    shares = {step.share for step, _ in results}
    if shares <= {1.0}:
        return []
    own = [(s, line) for s, line in results if s.network == network and s.seed == 0]
    arms = list(dict.fromkeys(step.arm for step, _ in own if step.share < 1.0))
    points = []
    for share in sorted({step.share for step, _ in own}):
        cells = {(s.arm, s.draw, s.fold): line for s, line in own if s.share == share}
        draws = sorted({draw for _, draw, _ in cells})
        folds = sorted({fold for _, _, fold in cells})
        whole = {
            draw: [fold for fold in folds if all((arm, draw, fold) in cells for arm in arms)]
            for draw in draws
        }
        for arm in arms:
            points += _curve_point(arm, share, cells, whole, names, figure_of(own))
    return points


def _curve_point(
    arm: str,
    share: float,
    cells: dict[tuple[str, int, int], Line],
    whole: dict[int, list[int]],
    names: Sequence[str],
    figure: PooledFigure,
) -> list[CurvePoint]:
    values, parts, tested = [], [], set()
    for draw, folds in whole.items():
        if not folds:
            continue
        lines = [cells[arm, draw, fold] for fold in folds]
        counts, _ = part_table(lines, folds, names)
        value = _number(float(figure.macro(counts.sum(axis=0))))
        if value is not None:
            values.append(value)
            parts += [int(line["real_parts"]) for line in lines]
            tested.update(folds)
    if not values:
        return []
    mean = float(np.mean(parts))
    return [CurvePoint(arm=arm, share=share, real_parts=mean, folds=sorted(tested), values=values)]


def _part_rates(lines: Sequence[Sequence[Line]], *, defective: bool) -> PartRates | None:
    labels = _labels(lines[0])
    parts = sorted(part for part in labels if bool(labels[part]) == defective)
    wrong = [[_is_wrong(side, part, defective=defective) for part in parts] for side in lines]
    rates = [rate(sum(side), len(parts)) for side in wrong]
    if rates[0] is None or rates[1] is None:
        return None
    only_real = sum(a and not b for a, b in zip(*wrong, strict=True))
    only_arm = sum(b and not a for a, b in zip(*wrong, strict=True))
    return PartRates(
        real=rates[0],
        arm=rates[1],
        only_real=only_real,
        only_arm=only_arm,
        p=mcnemar(only_real, only_arm),
    )


def _part_auroc(folds: Sequence[int], lines: Sequence[Sequence[Line]]) -> PartAuroc | None:
    """Return the area in both arms; None where no fold has good and defective parts.

    Trainings on one fold are averaged first: they tested the same parts.
    """
    areas: dict[int, list[list[float]]] = {}
    for fold, real, arm in zip(folds, *lines, strict=True):
        pair = [line.get("part_auroc") for line in (real, arm)]
        if None not in pair:
            areas.setdefault(fold, []).append(pair)
    if not areas:
        return None
    means = np.array([np.mean(pairs, axis=0) for pairs in areas.values()])
    real_mean, arm_mean = (round(float(mean), 6) for mean in means.mean(axis=0))
    change = _change(mean_difference((means[:, 1] - means[:, 0]).tolist()))
    return PartAuroc(real=real_mean, arm=arm_mean, change=change)


def _is_wrong(lines: Sequence[Line], part: str, *, defective: bool) -> bool:
    """Whether a part was judged wrongly by half of the seeds or more."""
    verdicts = [line["parts"][part][1] for line in lines if part in line["parts"]]
    wrong = verdicts.count("P" if defective else "F")
    return 2 * wrong >= len(verdicts)


def _labels(lines: Sequence[Line]) -> dict[str, list[str]]:
    return {part: figures[0] for line in lines for part, figures in line["parts"].items()}


def _change(found: Difference) -> Change:
    low, high, error = (
        None if v is None else round(v, 6) for v in (found.low, found.high, found.standard_error)
    )
    return Change(value=round(found.value, 6), low=low, high=high, error=error)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
