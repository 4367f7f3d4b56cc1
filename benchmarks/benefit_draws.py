"""Do synthetic images help where a class is rare? Random draws of its images, one fixed test set.

The images are imported once and compared, so that crops of one photograph are one part. A share
of the parts of each class is kept for the test; of the others each draw takes as many images of a
class as the plan says. `flawsmith benefit` runs on every draw; finished runs are found again in
benchmarks/ledger/benefit_NAME.jsonl, and benchmarks/benefit_differences.py prints what they say.

    python benchmarks/benefit_draws.py sd_saliency_900 FOLDER_OF_SD_SALIENCY_900 OUT --plan
    python benchmarks/benefit_draws.py sd_saliency_900 FOLDER_OF_SD_SALIENCY_900 OUT --draws 5
    python benchmarks/benefit_draws.py crackforest_10 FOLDER_OF_CRACKFOREST OUT --draws 3
    python benchmarks/benefit_draws.py crackforest_40 FOLDER OUT -- --arm dbs_gan_exemplar
"""

import argparse
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benefit_command import benefit_words, cut_at_dashes

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, ImageRecord, write_metadata
from flawsmith.data.filtering import files_of
from flawsmith.data.folds import split_holdout
from flawsmith.data.formats import import_folder
from flawsmith.data.freezing import freeze_folds
from flawsmith.data.parts import dataset_views, join_parts
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.storage import new_folder

TEST, TRAINING = 0, 1


@dataclass(frozen=True)
class Plan:
    """What a draw takes.

    Attributes:
        format: of the folder.
        test_share: of the parts of each class, the same in every draw.
        images: training images of a class; classes that are not named are taken whole.
    """

    format: str
    test_share: float
    images: dict[str, int]


PLANS = {
    "sd_saliency_900": Plan("sd_saliency_900", 1 / 3, {"patch": 60, "scratch": 20}),
    "crackforest_10": Plan("crackforest", 0.5, {"crack": 10}),
    "crackforest_40": Plan("crackforest", 0.5, {"crack": 40}),
}
FROZEN = ("network.encoder=frozen",)


def import_once(plan: Plan, source: Path, data: Path) -> DefectDataset:
    """Import, find the images of one part, and set the test parts aside."""
    if not (data / SCHEMA_FILE).is_file():
        import_folder(source, data, format=plan.format)
    dataset = DefectDataset.open(data)
    if all(record.fold is None for record in dataset):
        print("comparing the images", flush=True)
        grouping = join_parts(dataset.records, dataset_views(dataset).groups())
        joined = dataset.with_records(grouping.records)
        split = joined.with_records(split_holdout(joined, plan.test_share))
        freeze_folds(split, dataset.fingerprint(), ["--test", f"{plan.test_share:g}"])
    return DefectDataset.open(data)


def drawn(dataset: DefectDataset, plan: Plan, draw: int) -> list[ImageRecord]:
    """Return the test images and those that a draw trains on; a smaller draw is in a larger one."""
    strangers = set(plan.images) - set(dataset.schema.defect_names)
    if strangers:
        raise SystemExit(f"the plan names {strangers}; {dataset.root} has no such class")
    kept, taken = [], dict.fromkeys(plan.images, 0)
    order = sorted(dataset.usable().records, key=lambda r: _rank(draw, r.file_name))
    for record in order:
        if record.fold == TEST:
            kept.append(record)
            continue
        limited = [name for name in record.labels if name in plan.images]
        if all(taken[name] < plan.images[name] for name in limited):
            kept.append(record)
            for name in limited:
                taken[name] += 1
    return sorted(kept, key=lambda r: r.file_name)


def _rank(draw: int, name: str) -> bytes:
    return hashlib.sha256(f"{draw}/{name}".encode()).digest()


def write_draw(dataset: DefectDataset, records: list[ImageRecord], folder: Path) -> None:
    """Make a data set of some images of another one; the files are links."""
    if folder.exists():
        return
    with new_folder(folder, what="data set") as made:
        dataset.schema.save(made)
        for record in records:
            for name in files_of(record):
                target = made / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(dataset.path(name))
        write_metadata(made / METADATA_FILE, records)


def main() -> None:
    """Make the draws and test each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(PLANS))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--plan", action="store_true")
    own, more = cut_at_dashes(sys.argv[1:])
    arguments = parser.parse_args(own)
    plan = PLANS[arguments.name]
    dataset = import_once(plan, arguments.source, arguments.out / "data")
    for draw in range(arguments.first, arguments.first + arguments.draws):
        data = arguments.out / f"{arguments.name}-draw{draw}"
        write_draw(dataset, drawn(dataset, plan, draw), data)
        print(f"== draw {draw}", flush=True)
        out = arguments.out / f"benefit-{data.name}"
        options = ["--fold", str(TEST), *more, *["--plan"] * arguments.plan]
        ledger = f"benefit_{arguments.name}.jsonl"
        words = benefit_words(data, out, ledger, options, FROZEN)
        subprocess.run([sys.executable, "-m", "flawsmith", *words], check=True)


if __name__ == "__main__":
    main()
