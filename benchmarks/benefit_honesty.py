"""Does the benefit test keep its promise not to recommend what cannot help?

(a) Simulated tables of pixel counts: parts of very different size and difficulty, noise of each
part in each training, and luck in training that moves all parts of a fold together. Counts how
often the rule says "add" where the arms do not differ, and where the arm really gains; and, where
they do not differ, how often it would if it tested over parts alone, blind to luck in training.
(b) What the test says would be enough to see a gain of 0.05, against how often the rule says "add"
in another simulated test of that size, with an arm that gains 0.05.
(c) The whole test on small simulated pouch cells whose synthetic images are replaced by noise, or
whose synthetic labels are shuffled: it must not say "add".

    python benchmarks/benefit_honesty.py tables [--repetitions 300]
    python benchmarks/benefit_honesty.py promise [--repetitions 200]
    python benchmarks/benefit_honesty.py pouch FOLDER [--repetitions 20] [--images 32]
"""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import (
    METADATA_FILE,
    DatasetWriter,
    DefectDataset,
    LabelMap,
    write_metadata,
)
from flawsmith.data.folds import split_folds
from flawsmith.data.pouch import PouchSettings, write_pouch
from flawsmith.experiment.balance import balance
from flawsmith.experiment.benefit import BenefitSettings, BenefitTest
from flawsmith.experiment.benefit.facts import Comparison
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.page import write_report
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.statistics import compare_arms, part_table
from flawsmith.experiment.benefit.verdict import harmed, judge, seems_to_gain
from flawsmith.experiment.synthesis import SETTINGS_FILE, synthesis_records, synthesize
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.metrics.paired import MIN_REPEATS
from flawsmith.training.loop import Hooks

NAMES = ["blowhole", "break", "crack", "fray", "uneven"]
MIX = Mix(amount=0.25, schedule="mixed").model_dump()
POUCH = PouchSettings(
    good_parts=9, defective_parts=36, min_parts_per_class=6, views=1, tile_size=64
)


def recommended(comparisons: Sequence[Comparison]) -> str | None:
    """Return the arm that the rule would add."""
    return judge(comparisons, {c.arm: (400, 400) for c in comparisons}).add


@dataclass(frozen=True)
class World:
    """What the simulated tests are like.

    Attributes:
        gain: of the arm, in logits of the share of a defect that is found; 0.75 is about +0.1 IoU.
        luck: standard deviation, in logits, of what a training does to all parts of its fold.
        noise: the same of one part in one training.
        scatter: standard deviation, in logits, of the gain between parts.
        seeds: trainings of each arm in each fold.
    """

    gain: float = 0.0
    luck: float = 0.3
    noise: float = 0.7
    defective: int = 50
    good: int = 30
    folds: int = 5
    arms: int = 1
    seeds: int = 1
    scatter: float = 0.0


@dataclass(frozen=True)
class Parts:
    """The parts of a simulated test, or some of them; good ones have the class -1 and no area."""

    names: NDArray[np.str_]
    classes: NDArray[np.int64]
    folds: NDArray[np.int64]
    area: NDArray[np.float64]
    difficulty: NDArray[np.float64]
    gain: NDArray[np.float64]

    @classmethod
    def draw(cls, world: World, generator: np.random.Generator) -> "Parts":
        """Return the parts of a test: as many of each class in each fold as may be."""
        bad, good = np.arange(world.defective), np.arange(world.good)
        return cls(
            np.array([f"d{i}" for i in bad] + [f"g{i}" for i in good]),
            np.concatenate([bad % len(NAMES), np.full(world.good, -1)]),
            np.concatenate([bad // len(NAMES) % world.folds, good % world.folds]),
            np.concatenate([generator.lognormal(7, 1, world.defective), np.zeros(world.good)]),
            generator.normal(0, 1.2, world.defective + world.good),
            generator.normal(world.gain, world.scatter, world.defective + world.good),
        )

    def of_fold(self, fold: int) -> "Parts":
        """Return those that one fold tests."""
        own = self.folds == fold
        return Parts(**{field.name: getattr(self, field.name)[own] for field in fields(self)})


def simulate(
    world: World, generator: np.random.Generator, *, average: bool = False
) -> list[tuple[Step, dict]]:
    """Return the ledger lines of one simulated test: real, and arms that gain or do not.

    Args:
        world: what it is like.
        generator: of everything random.
        average: return one line for all seeds of a fold, its counts averaged within each part.
            That is what the rule sees of them where there are three folds or more.
    """
    parts = Parts.draw(world, generator)
    results = []
    for arm in ["real", *(f"arm{i}" for i in range(world.arms))]:
        for fold in range(world.folds):
            own = parts.of_fold(fold)
            counts, logits = _trained(world, own, arm == "arm0", generator)
            if average:
                counts, logits = counts.mean(axis=0)[None], logits.mean(axis=0)[None]
            for seed, (table, logit) in enumerate(zip(counts, logits, strict=True)):
                line = {"model": "simulated", "parts": _verdicts(own, table, logit)}
                line["mix"] = None if arm == "real" else MIX
                results.append((Step("model", arm, fold, "simulated", seed), line))
    return results


def _trained(
    world: World, parts: Parts, gains: bool, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return S x P x D x 3 counts of one arm in one fold, and S x P logits of the share found."""
    shape = (world.seeds, len(parts.names))
    luck = generator.normal(0, world.luck, (world.seeds, 1 + len(NAMES)))
    moved = luck[:, :1] + 0.7 * luck[:, 1:]
    logits = parts.difficulty + moved[:, parts.classes] + generator.normal(0, world.noise, shape)
    logits += parts.gain if gains else 0.0
    found = parts.area / (1 + np.exp(-logits))
    counts = np.zeros((*shape, len(NAMES), 3))
    seed, part = np.indices(shape)
    counts[seed, part, parts.classes, 0] = found
    counts[seed, part, parts.classes, 2] = parts.area - found
    false = generator.integers(len(NAMES), size=shape)
    counts[seed, part, false, 1] = generator.lognormal(5.5, 1, shape) * np.exp(-moved[seed, false])
    return counts, logits


def _verdicts(parts: Parts, counts: NDArray[np.float64], logits: NDArray[np.float64]) -> dict:
    """Return the parts of a ledger line; a good part always passes."""
    told = {}
    for name, kind, table, logit in zip(parts.names, parts.classes, counts, logits, strict=True):
        labels = [NAMES[kind]] if kind >= 0 else []
        shown = {n: row for n, row in zip(NAMES, table.tolist(), strict=True) if any(row)}
        told[str(name)] = [labels, "F" if labels and logit > -1 else "P", shown]
    return told


@dataclass(frozen=True)
class Rates:
    """What the rule said in simulated tests.

    Attributes:
        add: share of the tests with "add".
        over_parts_alone: the same if folds and seeds told nothing of luck in training; None where
            the arm gains.
        difference: mean macro difference of the first arm.
    """

    add: float
    over_parts_alone: float | None
    difference: float


def add_rate(world: World, repetitions: int, seed: int = 0) -> Rates:
    """Return how often the rule says "add", with and without regard to luck in training."""
    generator = np.random.default_rng(seed)
    added, alone, differences = 0, 0, []
    for _ in range(repetitions):
        results = simulate(world, generator)
        comparisons = compare_arms(results, NAMES, "simulated")
        added += recommended(comparisons) is not None
        differences.append(comparisons[0].change.value)
        if not world.gain:
            blind = compare_arms(as_one_fold(results), NAMES, "simulated")
            alone += any(seems_to_gain(c) and not harmed(c) for c in blind)
    over_parts_alone = None if world.gain else alone / repetitions
    return Rates(added / repetitions, over_parts_alone, float(np.mean(differences)))


def as_one_fold(results: list[tuple[Step, dict]]) -> list[tuple[Step, dict]]:
    """Return one line an arm, as if one training had judged all parts; seeds are averaged."""
    joined = []
    for arm in dict.fromkeys(step.arm for step, _ in results):
        own = [(step, line) for step, line in results if step.arm == arm]
        lines = [line for _, line in own]
        tables, _ = part_table(lines, [step.fold for step, _ in own], NAMES)
        parts = {name: figures for line in lines for name, figures in line["parts"].items()}
        for name, table in zip(sorted(parts), tables, strict=True):
            labels, verdict, _ = parts[name]
            parts[name] = [labels, verdict, dict(zip(NAMES, table.tolist(), strict=True))]
        joined.append((Step("model", arm, 0, "simulated", 0), lines[0] | {"parts": parts}))
    return joined


@dataclass(frozen=True)
class Promise:
    """What simulated tests without an "add" said would be enough, and what came of it.

    Attributes:
        tests: that said it.
        parts: defective parts that were to be added, median of the tests.
        pairs: pairs of trainings in all, likewise.
        add: share of the tests of that size in which the rule said "add".
        difference: mean macro difference of these.
    """

    tests: int
    parts: float
    pairs: float
    add: float
    difference: float


def promise_rate(world: World, repetitions: int, seed: int = 0) -> Promise:
    """Return how often the rule says "add" in tests of the size that others asked for."""
    generator = np.random.default_rng(seed)
    sizes, added, differences = [], 0, []
    for _ in range(repetitions):
        comparisons = compare_arms(simulate(world, generator), NAMES, "simulated")
        first = comparisons[0]
        if recommended(comparisons) is not None or first.further_seeds is None:
            continue
        size = (world.defective + first.further_parts) / world.defective
        enough = replace(
            world,
            defective=world.defective + first.further_parts,
            good=round(world.good * size),
            seeds=first.further_seeds,
        )
        # The averages of hundreds of seeds are all that fits into the memory.
        results = simulate(enough, generator, average=world.folds >= MIN_REPEATS)
        again = compare_arms(results, NAMES, "simulated")
        added += recommended(again) == "arm0"
        differences.append(again[0].change.value)
        sizes.append((first.further_parts, first.further_seeds * world.folds))
    parts, pairs = np.median(sizes, axis=0)
    return Promise(len(sizes), parts, pairs, added / len(sizes), float(np.mean(differences)))


def worlds() -> Iterator[tuple[str, World]]:
    """Yield what the table of the documentation has."""
    for luck in (0.0, 0.3, 0.6):
        yield f"no difference, luck {luck}", World(luck=luck)
    yield "no difference, luck 0.3, three arms", World(arms=3)
    yield "no difference, luck 0.3, 20 defective parts", World(defective=20)
    yield "no difference, luck 0.6, one fold, three seeds", World(luck=0.6, folds=1, seeds=3)
    for luck in (0.0, 0.3):
        yield f"real gain, luck {luck}", World(gain=0.75, luck=luck)
    yield "real gain, luck 0.3, three seeds", World(gain=0.75, seeds=3)
    yield "real gain, luck 0.3, 150 defective parts", World(gain=0.75, defective=150)
    yield (
        "real gain, luck 0.3, 150 defective parts, three seeds",
        World(gain=0.75, defective=150, seeds=3),
    )


def promise_worlds() -> Iterator[tuple[str, World]]:
    """Yield what the table of promises has; every arm gains about 0.05."""
    yield "luck 0.0", World(gain=0.38, luck=0.0)
    yield "luck 0.3", World(gain=0.38)
    yield "luck 0.3, two arms", World(gain=0.38, arms=2)
    yield "luck 0.3, three seeds", World(gain=0.38, seeds=3)
    yield (
        "luck 0.3, three seeds, 412 defective parts",
        World(gain=0.38, seeds=3, defective=412, good=247),
    )
    yield "luck 0.3, ten folds, 100 defective parts", World(gain=0.38, folds=10, defective=100)
    parts = World(gain=0.44, luck=0.1, scatter=1.0)
    yield "luck 0.1, gain differs by part", parts
    yield "luck 0.1, gain differs by part, three seeds", replace(parts, seeds=3)
    yield (
        "luck 0.1, gain differs by part, three seeds, ten folds, 100 defective parts",
        replace(parts, seeds=3, folds=10, defective=100),
    )
    yield "luck 0.3, one fold, five seeds", World(gain=0.38, folds=1, seeds=5)


def useless_set(source: Path, out: Path, *, kind: str, seed: int) -> None:
    """Copy a synthetic set with noise for images, or with its labels exchanged at random."""
    dataset, generator = DefectDataset.open(source), np.random.default_rng(seed)
    number = dataset.schema.num_defects
    with DatasetWriter(out, dataset.schema) as writer:
        for i, record in enumerate(dataset):
            image, labels = dataset.image(record), dataset.label_map(record)
            if kind == "noise":
                image = generator.integers(0, 256, image.shape).astype(image.dtype)
            else:
                other = generator.integers(1, number + 1)
                defects = np.where(labels.defects > 0, other, 0).astype(np.uint8)
                labels = LabelMap(defects, labels.backgrounds)
            writer.add(
                f"useless-{i:06d}", image, labels, part=f"synthetic-{i}", source="synthetic",
                parents=list(record.parents), system=kind, run=record.run, seed=i,
                mask_source=record.mask_source,
            )  # fmt: skip
    shutil.copy(source / SETTINGS_FILE, out / SETTINGS_FILE)


def whole_test(folder: Path, repetition: int, images: int) -> str:
    """Run one benefit test in which synthesis cannot help; return its headline."""
    kind = ("noise", "labels")[repetition % 2]
    data = folder / "data"
    dataset = write_pouch(data, POUCH.model_copy(update={"seed": repetition}))
    dataset = dataset.with_records(split_folds(dataset, k=3, seed=repetition))
    write_metadata(dataset.root / METADATA_FILE, dataset.records)
    given = []
    for fold in range(3):
        run, made = folder / f"copy_paste-{fold}", folder / f"made-{fold}"
        config = configure("copy_paste", "tiny", data, fold=fold, overrides=[])
        train_synthesizer(config, run, Hooks(), resume=False)
        found = balance(synthesis_records(run, dataset), dataset.schema, None)
        synthesize(run, dataset, made, plan={n: 6 for n, c in found.before.items() if c})
        useless_set(made, folder / f"{kind}-{fold}", kind=kind, seed=repetition)
        given.append((kind, str(folder / f"{kind}-{fold}")))
    settings = BenefitSettings(
        systems=[], given=given, preset="tiny", amounts=[0.5], schedules=["mixed"],
        models=["fc_hardnet70"],
        overrides=[f"training.total_images={images}", "training.validate_every_images=100000"],
    )  # fmt: skip
    test = BenefitTest(data, folder / "benefit", settings)
    test.run(Hooks(), lambda line: None)
    return write_report(test)[0].verdict.headline


def main() -> None:
    """Print a table of rates, or the headlines of whole tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    tables = verbs.add_parser("tables")
    tables.add_argument("--repetitions", type=int, default=300)
    promise = verbs.add_parser("promise")
    promise.add_argument("--repetitions", type=int, default=200)
    pouch = verbs.add_parser("pouch")
    pouch.add_argument("folder", type=Path)
    pouch.add_argument("--repetitions", type=int, default=20)
    pouch.add_argument("--images", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.verb == "tables":
        print('| world | mean difference | says "add" | over parts alone |\n|---|---|---|---|')
        for name, world in worlds():
            rates = add_rate(world, arguments.repetitions)
            alone = rates.over_parts_alone
            cells = [f"{rates.difference:+.3f}", f"{100 * rates.add:.1f} %"]
            cells.append("" if alone is None else f"{100 * alone:.1f} %")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        return
    if arguments.verb == "promise":
        print('| world | parts to add | pairs of trainings | mean difference | says "add" |')
        print("|---|---|---|---|---|")
        for name, world in promise_worlds():
            kept = promise_rate(world, arguments.repetitions)
            cells = [
                f"{kept.parts:.0f}",
                f"{kept.pairs:.0f} instead of {world.folds * world.seeds}",
            ]
            cells += [f"{kept.difference:+.3f}", f"{100 * kept.add:.0f} % of {kept.tests}"]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        return
    headlines = []
    for repetition in range(arguments.repetitions):
        folder = arguments.folder / f"{repetition:02d}"
        headlines.append(whole_test(folder, repetition, arguments.images))
        print(f"{repetition}: {headlines[-1]}", flush=True)
    refused = sum(headline.startswith("do not add") for headline in headlines)
    print(f'"do not add": {refused} of {len(headlines)}')


if __name__ == "__main__":
    main()
