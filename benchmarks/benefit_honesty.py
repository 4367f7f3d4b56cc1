"""Does the benefit test keep its promise not to recommend what cannot help?

(a) Simulated tables of pixel counts: parts of very different size and difficulty, noise of each
part in each training, and luck in training that moves all parts of a fold together. Counts how
often the rule says "add" where the arms do not differ, and where the arm really gains; and, where
they do not differ, how often it would if it tested over parts alone, blind to luck in training.
(b) The whole test on small simulated pouch cells whose synthetic images are replaced by noise, or
whose synthetic labels are shuffled: it must not say "add".

    python benchmarks/benefit_honesty.py tables [--repetitions 300]
    python benchmarks/benefit_honesty.py pouch FOLDER [--repetitions 20] [--images 32]
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
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
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.page import write_report
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.statistics import compare_arms, part_table
from flawsmith.experiment.benefit.verdict import harmed, judge, seems_to_gain
from flawsmith.experiment.synthesis import SETTINGS_FILE, synthesis_records, synthesize
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.training.loop import Hooks

NAMES = ["blowhole", "break", "crack", "fray", "uneven"]
MIX = Mix(amount=0.25, schedule="mixed").model_dump()
POUCH = PouchSettings(
    good_parts=9, defective_parts=36, min_parts_per_class=6, views=1, tile_size=64
)


@dataclass(frozen=True)
class World:
    """What the simulated tests are like.

    Attributes:
        gain: of the arm, in logits of the share of a defect that is found; 0.75 is about +0.1 IoU.
        luck: standard deviation, in logits, of what a training does to all parts of its fold.
        noise: the same of one part in one training.
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


def simulate(world: World, generator: np.random.Generator) -> list[tuple[Step, dict]]:
    """Return the ledger lines of one simulated test: real, and arms that gain or do not."""
    classes = np.arange(world.defective) % len(NAMES)
    fold_of = np.arange(world.defective) // len(NAMES) % world.folds
    area = generator.lognormal(7, 1, world.defective)
    difficulty = generator.normal(0, 1.2, world.defective)
    results = []
    for arm in ["real", *(f"arm{i}" for i in range(world.arms))]:
        for fold in range(world.folds):
            for seed in range(world.seeds):
                luck = generator.normal(0, world.luck, 1 + len(NAMES))
                parts: dict[str, list] = {}
                for i in np.flatnonzero(fold_of == fold):
                    logit = difficulty[i] + luck[0] + 0.7 * luck[1 + classes[i]]
                    logit += generator.normal(0, world.noise)
                    logit += world.gain if arm == "arm0" else 0.0
                    found = area[i] / (1 + np.exp(-logit))
                    counts = {NAMES[classes[i]]: [found, 0.0, area[i] - found]}
                    _add_false(counts, generator, luck)
                    parts[f"d{i}"] = [[NAMES[classes[i]]], "F" if logit > -1 else "P", counts]
                for i in range(fold, world.good, world.folds):
                    counts = {}
                    _add_false(counts, generator, luck)
                    parts[f"g{i}"] = [[], "P", counts]
                line = {"model": "simulated", "parts": parts, "mix": None if arm == "real" else MIX}
                results.append((Step("model", arm, fold, "simulated", seed), line))
    return results


def _add_false(
    counts: dict[str, list[float]], generator: np.random.Generator, luck: NDArray[np.float64]
) -> None:
    index = int(generator.integers(len(NAMES)))
    table = counts.setdefault(NAMES[index], [0.0, 0.0, 0.0])
    table[1] += generator.lognormal(5.5, 1) * np.exp(-luck[0] - 0.7 * luck[1 + index])


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
        added += judge(comparisons, {c.arm: (400, 400) for c in comparisons}).add is not None
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
    headlines = []
    for repetition in range(arguments.repetitions):
        folder = arguments.folder / f"{repetition:02d}"
        headlines.append(whole_test(folder, repetition, arguments.images))
        print(f"{repetition}: {headlines[-1]}", flush=True)
    refused = sum(headline.startswith("do not add") for headline in headlines)
    print(f'"do not add": {refused} of {len(headlines)}')


if __name__ == "__main__":
    main()
