"""Does a novelty score catch a defect class that nobody has shown? Magnetic tiles, five times.

Each time one class is left out of everything: all images of all parts that have it. A small
inspection model learns the other classes; a novelty detector, which learns good parts only and is
hence the same for all classes, gets its limit from good validation parts. Tested are all parts
with the class that was left out, and the good parts of the test fold. Beside the novelty score
stands what costs nothing, a limit on the model's own highest defect score, set in the same way on
its own good validation parts. A line a class goes to
benchmarks/ledger/novelty_magnetic_tile.jsonl; what is finished is not done again.

    python benchmarks/novelty_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/novelty_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT
    python benchmarks/novelty_magnetic_tile.py FOLDER OUT --class blowhole --fold 0
    python benchmarks/novelty_magnetic_tile.py --table
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benefit_command import SETTINGS

from flawsmith.cli.console import console
from flawsmith.data.dataset import DatasetWriter, DefectDataset, ImageRecord, LabelMap
from flawsmith.data.folds import part_defects
from flawsmith.data.formats import import_folder
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import IGNORE, SCHEMA_FILE, make_defects
from flawsmith.experiment.export_check import as_schema_says
from flawsmith.experiment.export_novelty import Calibration, export_novelty
from flawsmith.experiment.inspection_model import THRESHOLDS_FILE, load_predict, load_thresholds
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.source import code_hash
from flawsmith.inspection.novelty import NoveltyDetector, NoveltySettings
from flawsmith.inspection.patchcore import parts_needed
from flawsmith.inspection.regions import find_regions
from flawsmith.inspection.thresholds import classify
from flawsmith.metrics.intervals import clopper_pearson
from flawsmith.storage import new_folder, write_text
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.loop import Hooks

LEDGER = Path(__file__).parent / "ledger" / "novelty_magnetic_tile.jsonl"
REVIEW_RATE = 0.05
FROZEN = "network.encoder=frozen"
SETTINGS_FILE = "settings.json"

Figures = dict[str, float]
Scores = dict[str, Figures]
"""Figures of each image by its file name."""


def flawsmith(*words: object) -> None:
    """Run the command."""
    subprocess.run([sys.executable, "-m", "flawsmith", *map(str, words)], check=True)


def train(run: Path, words: Sequence[object]) -> None:
    """Train a run, or go on with it."""
    if (run / THRESHOLDS_FILE).is_file():
        return
    if (run / CONFIG_FILE).is_file():
        flawsmith("model", "train", "--resume", run)
    else:
        flawsmith("model", "train", "--out", run, *words)


def write_without(dataset: DefectDataset, omitted: str, folder: Path) -> None:
    """Make the data set in which no part has the class, nor the schema its name."""
    if folder.exists():
        return
    names = [name for name in dataset.schema.defect_names if name != omitted]
    schema = dataset.schema.model_copy(update={"defects": make_defects(names)})
    new_ids = np.zeros(IGNORE + 1, np.uint8)
    new_ids[IGNORE] = IGNORE
    for number, name in enumerate(names, start=1):
        new_ids[dataset.schema.defect(name).id] = number
    classes = part_defects(dataset.records)
    with new_folder(folder, what="data set") as made, DatasetWriter(made, schema) as writer:
        for record in dataset.usable():
            if omitted not in classes[record.part]:
                labels = dataset.label_map(record)
                writer.add(
                    Path(record.file_name).stem, dataset.path(record.file_name).absolute(),
                    LabelMap(new_ids[labels.defects], labels.backgrounds), link=True,
                    part=record.part, view=record.view, fold=record.fold,
                )  # fmt: skip


def cached(path: Path, records: Sequence[ImageRecord], score: Callable[[], Any]) -> Scores:
    """Return the figures of images from a file; those that it lacks are computed and added."""
    found: Scores = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    missing = [record for record in records if record.file_name not in found]
    if missing:
        of_image = score()
        for number, record in enumerate(missing, start=1):
            found[record.file_name] = of_image(record)
            if number % 50 == 0 or number == len(missing):
                write_text(path, json.dumps(found))
    return found


def novelty_scorer(dataset: DefectDataset, run: Path, folder: Path) -> Callable[..., Figures]:
    """Return what gives the novelty of an image, from a detector as the line has it."""
    if not folder.exists():
        with new_folder(folder, what="novelty detector") as made:
            settings = export_novelty(
                run, made, review_rate=REVIEW_RATE, hooks=Hooks(report=console.print)
            )
            write_text(made / SETTINGS_FILE, settings.model_dump_json())
    settings = novelty_settings(folder)
    detector = NoveltyDetector.from_files(
        lambda name: (folder / name).read_bytes(), settings, dataset.schema
    )

    def score(record: ImageRecord) -> Figures:
        image = as_schema_says(dataset.image(record), dataset.schema)
        return {"novelty": detector.inspect(image).score}

    return score


def novelty_settings(folder: Path) -> NoveltySettings:
    """Return the settings of an exported detector."""
    return NoveltySettings.model_validate_json((folder / SETTINGS_FILE).read_bytes())


def network_scorer(dataset: DefectDataset, run: Path, schema_of: Path) -> Callable[..., Figures]:
    """Return what gives an image's highest region and its highest score of any defect."""
    predict, thresholds = load_predict(run), load_thresholds(run)
    schema = DefectDataset.open(schema_of).schema

    def score(record: ImageRecord) -> Figures:
        image: ImageArray = dataset.image(record)
        scores = predict(image)
        regions = find_regions(classify(scores, thresholds), scores, schema)
        highest = max((region.score for region in regions), default=0.0)
        return {
            "fails": float(highest >= thresholds.region and bool(regions)),
            "doubt": float(scores[1:].max()),
        }

    return score


def of_parts(records: Sequence[ImageRecord], scores: Scores, figure: str) -> Figures:
    """Return the highest figure of each part's views."""
    highest: Figures = {}
    for record in records:
        value = scores[record.file_name][figure]
        highest[record.part] = max(highest.get(record.part, -math.inf), value)
    return highest


def conformal_limit(good: Sequence[float], rate: float) -> float:
    """Return the limit that `PatchCore.calibrated` would set, of plain scores."""
    place = math.ceil((len(good) + 1) * (1 - rate))
    return sorted(good)[min(place, len(good)) - 1]


def counted(parts: set[str], chosen: set[str]) -> list[float]:
    """Return [count, total, low, high] with the exact 95 % interval."""
    count = len(parts & chosen)
    low, high = clopper_pearson(count, len(parts))
    return [count, len(parts), round(low, 3), round(high, 3)]


class Fold:
    """What all classes share: the detector, and the novelty of an image, computed once."""

    def __init__(self, dataset: DefectDataset, data: Path, out: Path, fold: int) -> None:
        self.dataset, self.out, self.fold = dataset, out, fold
        self.classes = classes = part_defects(dataset.records)
        self.defective = [r for r in dataset.usable() if classes[r.part]]
        self.good = [r for r in dataset.usable() if r.fold == fold and not classes[r.part]]
        self.run, self.folder = out / f"patchcore-fold{fold}", out / f"novelty-fold{fold}"
        train(self.run, ["--data", data, "--fold", fold, "--network", "patchcore"])

    def line(self, omitted: str, words: Sequence[object], key: dict[str, Any]) -> dict[str, Any]:
        """Train without a class, test, and return the line of the ledger."""
        folder = self.out / f"without-{omitted}"
        write_without(self.dataset, omitted, folder / "data")
        run = folder / f"run-fold{self.fold}-seed{key['seed']}-{key['images']}"
        train(run, ["--data", folder / "data", "--fold", self.fold, *words])
        tested = [r for r in self.defective if omitted in self.classes[r.part]]
        names = {record.file_name for record in Calibration.of(run).records}
        validation = [r for r in self.dataset if r.file_name in names]
        network = cached(
            run / "parts.json",
            [*tested, *self.good, *validation],
            lambda: network_scorer(self.dataset, run, folder / "data"),
        )
        novelty = cached(
            self.out / f"novelty-fold{self.fold}.json",
            [*tested, *self.good],
            lambda: novelty_scorer(self.dataset, self.run, self.folder),
        )
        doubts = list(of_parts(validation, network, "doubt").values())
        limit = conformal_limit(doubts, REVIEW_RATE)
        figures = {}
        for name, records in (("unseen", tested), ("good", self.good)):
            fails = {p for p, v in of_parts(records, network, "fails").items() if v}
            doubt = {p for p, v in of_parts(records, network, "doubt").items() if v > limit}
            novel = {p for p, v in of_parts(records, novelty, "novelty").items() if v > 1}
            parts = {record.part for record in records}
            figures[name] = {
                "passed": counted(parts, parts - fails),
                "passed_with_novelty": counted(parts, parts - fails - novel),
                "passed_with_doubt": counted(parts, parts - fails - doubt),
                "novel": counted(parts, novel),
                "doubtful": counted(parts, doubt),
            }
        settings = novelty_settings(self.folder)
        return key | figures | {
            "good_validation_parts": [settings.good_parts, len(doubts)],
            "needed_good_parts": parts_needed(REVIEW_RATE),
            "limit": round(settings.limit, 4),
            "doubt_limit": round(limit, 4),
            "code": code_hash(("inspection", "experiment/export_novelty.py")),
        }  # fmt: skip


def table(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the ledger says as rows of Markdown; counts are parts."""
    rows = [
        "| left out | network alone | with novelty | with a limit on its own score "
        "| good parts that the network fails | good parts in review for novelty |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        unseen, good = line["unseen"], line["good"]
        ways = ("passed", "passed_with_novelty", "passed_with_doubt")
        passed, total, *_ = good["passed"]
        failed = [total - passed, total, *clopper_pearson(total - passed, total)]
        cells = [line["class"], *(_share(unseen[way]) for way in ways), _share(failed)]
        cells.append(_share(good["novel"]))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _share(figures: Sequence[float]) -> str:
    count, total, low, high = figures
    return f"{count} of {total} ({100 * low:.0f} to {100 * high:.0f} %)"


def main() -> None:
    """Test every class that is asked for and not in the ledger."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--table", action="store_true", help="print what the ledger says, no more")
    parser.add_argument("--class", dest="classes", action="append", help="repeatable [all]")
    parser.add_argument("--fold", type=int, default=0, help="of the good parts that are tested")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--images", type=int, default=3840, help="tiles of each training")
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    parser.add_argument("--plan", action="store_true", help="say what there is to do")
    arguments = parser.parse_args()
    if arguments.table:
        print("\n".join(table(read_lines(arguments.ledger))))
        return
    if arguments.source is None or arguments.out is None:
        parser.error("the folder of the images and that of the results are needed")
    data = arguments.out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, data, format="magnetic_tile")
    dataset = DefectDataset.open(data)
    names = arguments.classes or dataset.schema.defect_names
    for name in names:
        dataset.schema.defect(name)  # an unknown one is an error
    common = {
        "fold": arguments.fold, "seed": arguments.seed, "images": arguments.images,
        "review_rate": REVIEW_RATE, "data": dataset.fingerprint(),
    }  # fmt: skip
    done = read_lines(arguments.ledger)
    keys = [{"class": name, **common} for name in names]
    waiting = [key for key in keys if not any(key.items() <= line.items() for line in done)]
    if arguments.plan:
        parts = part_defects(dataset.records)
        for key in waiting:
            count = sum(key["class"] in classes for classes in parts.values())
            console.print(f"without {key['class']}: {count} parts, fold {key['fold']}: to do")
        console.print(
            f"{len(waiting)} of {len(keys)} trainings of {arguments.images} tiles, "
            "one novelty detector for all"
        )
        return
    settings = [*SETTINGS, FROZEN, f"training.total_images={arguments.images}",
                f"training.seed={arguments.seed}"]  # fmt: skip
    words = ["--network", "efficientnet_lite0"]
    words += [text for setting in settings for text in ("--set", setting)]
    fold = Fold(dataset, data, arguments.out, arguments.fold) if waiting else None
    for key in waiting:
        line = fold.line(key["class"], words, key)
        append_line(arguments.ledger, line)
        console.print(line)


if __name__ == "__main__":
    main()
