"""From the lines of a comparison's ledger to its facts: nothing is trained or read from images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flawsmith import __version__
from flawsmith.experiment.benefit.facts import Comparison, Spent
from flawsmith.experiment.benefit.plan import Step as TestStep
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.benefit.statistics import arm_figures, compare_arms
from flawsmith.experiment.compare.facts import (
    BalancedSet,
    ClassBalance,
    CompareFacts,
    Distances,
    Method,
    NetworkSize,
    Ranged,
    SetScore,
    SystemFacts,
    Training,
)
from flawsmith.experiment.compare.plan import MACHINE_VISION, Step, is_trained
from flawsmith.experiment.compare.runs import SystemComparison
from flawsmith.experiment.compare.words import answer
from flawsmith.systems import SYSTEMS

COPY_PASTE = "copy_paste"
REAL_COLOUR, RULES_COLOUR = "#3566a8", "#8b8f98"
COLOURS = ("#c2541b", "#3c8d7a", "#8a5aa8", "#a88b2c", "#b34d7c", "#5b6472", "#6d9a2f", "#2f8fb0",
           "#7d5a3c", "#c9403a", "#4a4fb0", "#9b7fc4")  # fmt: skip
FLOORED = ("kid", "frechet", "frechet_tile")
"""Distances that have a floor of real images."""
Line = dict[str, Any]
Results = list[tuple[TestStep, Line]]
KINDS = {
    "budget": "timing of budgets",
    "synthesizer": "training of systems",
    "synthesis": "making balanced sets",
    "score": "comparing them with real images",
    "model": "training and test of inspection models",
    "machine_vision": "fitting fixed rules",
}


def gather(test: SystemComparison, start_with: Sequence[str]) -> CompareFacts:
    """Return everything that the finished steps of a comparison say.

    Args:
        test: the comparison.
        start_with: systems that a factory should begin with, best first.
    """
    names, schema = test.dataset.schema.defect_names, test.dataset.schema
    results = _results(test)
    comparisons = compare_arms(results, names, test.settings.model)
    methods = _methods(test, results, names)
    systems = [_system(test, name, colour) for name, colour in _colours(test).items()]
    apart = _apart(results, names, methods, test.settings.model)
    parts, test_parts = _test_parts(results, names)
    missing = sum(test.line(s) is None for s in test.steps if s.arm not in test.failures)
    return CompareFacts(
        version=__version__,
        name=test.dataset.root.resolve().name,
        data=str(test.dataset.root),
        data_fingerprint=test.identity.fingerprint,
        simulated=schema.simulated,
        settings=test.settings,
        budget=test.settings.budget,
        tile_size=test.tile_size,
        classes=list(names),
        parts=parts,
        test_parts=test_parts,
        planned=len(test.steps),
        finished=sum(test.line(step) is not None for step in test.steps),
        answer=answer(
            methods,
            comparisons,
            apart,
            systems,
            start_with,
            missing=missing,
            failures={arm: test.failures.words(arm) or "" for arm in test.failures},
        ),
        balance=[
            ClassBalance(
                name=defect.name,
                colour=defect.colour,
                before=test.balance.before[defect.name],
                added=test.balance.added.get(defect.name, 0),
            )
            for defect in schema.defects
        ],
        systems=systems,
        methods=methods,
        comparisons=comparisons,
        systems_apart=apart,
        spent=_spent(test),
    )


def _colours(test: SystemComparison) -> dict[str, str]:
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(test.settings.systems)}


def _results(test: SystemComparison) -> Results:
    """Return the tested inspection models as the benefit test has them."""
    found = []
    for step in test.steps:
        line = test.line(step)
        if step.kind == "model" and line is not None:
            found.append((step.as_test(test.settings), line))
    return found


def _test_parts(results: Results, names: Sequence[str]) -> tuple[list[int], int]:
    """Return the test parts of each class, and all."""
    if not results:
        return [0] * len(names), 0
    labels = [figures[0] for figures in results[0][1]["parts"].values()]
    return [sum(name in own for own in labels) for name in names], len(labels)


def _apart(
    results: Results, names: Sequence[str], methods: Sequence[Method], model: str
) -> Comparison | None:
    """Return the leading system against copy_paste: the second is put in the place of ``real``.

    All systems are compared with it, as which one leads is seen only in the results: the p-value
    is adjusted for their number.
    """
    systems = [m for m in methods if m.name not in (REAL, MACHINE_VISION) and m.macro is not None]
    leader = max(systems, key=lambda m: m.macro or 0.0).name if systems else COPY_PASTE
    if leader == COPY_PASTE:
        return None
    known = [(s, line) for s, line in results if s.arm not in (REAL, COPY_PASTE)]
    known += [(replace(s, arm=REAL), line) for s, line in results if s.arm == COPY_PASTE]
    found = compare_arms(known, names, model)
    return next((c for c in found if c.arm == leader), None)


def _methods(test: SystemComparison, results: Results, names: Sequence[str]) -> list[Method]:
    """Return machine vision, real images alone and every system, as far as they are tested."""
    colours = {REAL: REAL_COLOUR, MACHINE_VISION: RULES_COLOUR} | _colours(test)
    rules = test.line(Step("machine_vision", MACHINE_VISION))
    found = []
    if rules is not None:
        plain = TestStep("model", MACHINE_VISION, test.settings.fold, MACHINE_VISION)
        found.append(_method([(plain, rules | {"mix": None})], names, MACHINE_VISION, colours,
                             str(test.identity.rules_folder())))  # fmt: skip
    for arm in dict.fromkeys(step.arm for step, _ in results):
        own = [(step, line) for step, line in results if step.arm == arm]
        run = test.identity.model_folder(own[0][0], test.mix(arm))
        found.append(_method(own, names, test.settings.model, colours, str(run)))
    return found


def _method(
    own: Results, names: Sequence[str], model: str, colours: dict[str, str], run: str
) -> Method:
    figures = arm_figures(own, names, model)[0]
    lines = [line for _, line in own]
    return Method(
        name=figures.arm,
        colour=colours[figures.arm],
        seeds=figures.seeds,
        iou=figures.iou,
        macro=figures.macro,
        part_auroc=_mean([line["part_auroc"] for line in lines]),
        defects_found=sum(line["defects_found"][0] for line in lines),
        defects=sum(line["defects_found"][1] for line in lines),
        pixel_accuracy=_mean([line["pixel_accuracy"] for line in lines]),
        run=run,
        images=figures.images,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 5) if known else None


def _system(test: SystemComparison, name: str, colour: str) -> SystemFacts:
    lines = {s.kind: test.line(s) for s in test.steps if s.arm == name and s.seed == 0}
    made, scored, trained = (lines[kind] for kind in ("synthesis", "score", "synthesizer"))
    return SystemFacts(
        name=name,
        colour=colour,
        what=(SYSTEMS.get(name).__doc__ or "").strip().split("\n")[0],
        learns=is_trained(name),
        failure=test.failures.words(name),
        training=None if trained is None else _training(trained),
        balanced=None if made is None else _balanced(made),
        score=None if scored is None else _score(scored),
    )


def _training(line: Line) -> Training:
    share = 1.0 / (1.0 - float(line["good_share"]))
    images, seconds = int(line["images"]), float(line["training_seconds"])
    each = seconds / images if images else None
    return Training(
        images=images,
        seconds=seconds,
        seconds_per_thousand=None if each is None else round(1000 * each, 1),
        seconds_per_epoch=None
        if each is None
        else round(each * share * int(line["defect_images"]), 1),
        epoch_share=round(share, 3),
        peak_mib=line["peak_mib"],
        tile_size=line["tile_size"],
        batch_size=line["batch_size"],
        networks=[
            NetworkSize(name=name, parameters=count, mib=round(size / 2**20, 2), samples=bool(used))
            for name, (count, size, used) in line["networks"].items()
        ],
    )


def _balanced(line: Line) -> BalancedSet:
    return BalancedSet.model_validate({k: line[k] for k in BalancedSet.model_fields})


def _score(line: Line) -> SetScore:
    """Return Table 4 of a system.

    A mean is left out where a class has a floor and the system no figure: over other classes than
    those of the other systems it would not compare with theirs.
    """
    classes = [_distances(name, row) for name, row in line["classes"].items()]
    overall = _distances("all classes", line["all"])
    incomplete = {
        figure: None
        for figure in FLOORED
        if any(getattr(c, figure) is None and getattr(c, f"{figure}_floor") for c in classes)
    }
    return SetScore(
        features=line["features"],
        page=line["page"],
        classes=classes,
        overall=overall.model_copy(update=incomplete),
    )


def _distances(name: str, row: Line) -> Distances:
    synthetic, held_out, parts = row["counts"]
    plain = ("frechet", "frechet_floor", "frechet_tile", "frechet_tile_floor", "small")
    return Distances(
        name=name,
        synthetic=synthetic,
        held_out=held_out,
        held_out_parts=parts,
        kid=_ranged(row["kid"]),
        kid_floor=_ranged(row["kid_floor"]),
        **{key: row[key] for key in plain},
    )


def _ranged(values: list[float] | None) -> Ranged | None:
    return (
        None if values is None else Ranged(**dict(zip(Ranged.model_fields, values, strict=False)))
    )


def _spent(test: SystemComparison) -> list[Spent]:
    """Return the seconds of finished steps by kind."""
    spent = []
    for kind, what in KINDS.items():
        lines = [test.line(step) for step in test.steps if step.kind == kind]
        seconds = [float(line["seconds"]) for line in lines if line is not None]
        if seconds:
            spent.append(Spent(what=what, steps=len(seconds), seconds=round(sum(seconds), 1)))
    return spent
