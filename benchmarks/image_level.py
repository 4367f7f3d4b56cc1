"""Does synthesis help a classifier of whole images? DCGAN against BAGAN-GP, on held-out parts.

Three data sets whose labels are for whole images: ``free_blowhole`` (magnetic tiles that are good,
without the flagged ones, or have a blowhole; their masks are set aside), ``xray_weld`` (a zip of
folders, one a class) and ``elpv`` (solar cells, functional or defective). Arms: DCGAN, trained on
one class at a time; BAGAN-GP whose wrong labels exclude the true one; the same with wrong labels
from all classes, as published. `flawsmith benefit` runs them in every fold and `flawsmith score`
compares each set with the held-out parts, class by class. Finished work is found again in
benchmarks/ledger/benefit_image_NAME.jsonl and score_image_NAME.jsonl; options after ``--`` are
added to the plan and go to ``flawsmith benefit``.

    python benchmarks/image_level.py free_blowhole FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/image_level.py free_blowhole FOLDER_OF_MAGNETIC_TILE OUT --hours 3
    python benchmarks/image_level.py xray_weld FOLDER_WITH_THE_ZIP OUT -- --seeds 3
    python benchmarks/image_level.py elpv FOLDER_OF_ELPV OUT -- --fold 0
    python benchmarks/image_level.py xray_weld FOLDER OUT --images 24000 --side 64 -- --fold 0
    python benchmarks/image_level.py xray_weld --table

``--images`` gives every arm the same number of training images of its generators: DCGAN, one
generator a class, divides it by the classes. ``--side`` sets the side of all images in pixels.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benefit_command import LEDGERS, cut_at_dashes
from benefit_draws import write_draw
from score_table import ledger_line

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import split_folds
from flawsmith.data.formats import import_folder
from flawsmith.data.freezing import freeze_folds
from flawsmith.data.parts import dataset_views, join_parts
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.experiment.benefit.finished import FINISHED_FILE
from flawsmith.experiment.ledger import append_line, read_lines

FOLDS = 5
ARMS = (
    "dcgan",
    "bagan_gp=bagan_gp loss.wrong_label=exclude_true",
    "bagan_gp_uniform=bagan_gp loss.wrong_label=uniform",
)
OPTIONS = {"--amount": "0.25", "--schedule": "mixed"}
"""Each stands unless the same option is given."""


@dataclass(frozen=True)
class Plan:
    """Which images a data set is made of.

    Attributes:
        format: of the folder.
        only: the defect that is kept beside the good images; empty: all.
    """

    format: str
    only: str = ""


PLANS = {
    "free_blowhole": Plan("magnetic_tile", only="blowhole"),
    "xray_weld": Plan("class_folders"),
    "elpv": Plan("elpv"),
}


def import_once(plan: Plan, source: Path, folder: Path) -> Path:
    """Import, find the images of one part and freeze folds, once; return the data set to use."""
    whole = folder / "imported"
    if not (whole / SCHEMA_FILE).is_file():
        import_folder(source, whole, format=plan.format)
    dataset = DefectDataset.open(whole)
    if all(record.fold is None for record in dataset):
        print("comparing the images", flush=True)
        joined = join_parts(dataset.records, dataset_views(dataset).groups()).records
        split = split_folds(dataset.with_records(joined), FOLDS)
        freeze_folds(dataset.with_records(split), dataset.fingerprint(), ["--folds", str(FOLDS)])
        dataset = DefectDataset.open(whole)
    if not plan.only:
        return whole
    chosen = folder / "data"
    defect = dataset.schema.defect(plan.only).model_copy(update={"id": 1})
    schema = dataset.schema.model_copy(update={"defects": [defect]})
    write_draw(DefectDataset(whole, schema, []), labels_alone(dataset, plan.only), chosen)
    return chosen


def labels_alone(dataset: DefectDataset, only: str) -> list[ImageRecord]:
    """Return the good images and those of one defect, without anything that says where it is."""
    nowhere = {"mask_file_name": None, "background_file_name": None, "instances": []}
    return [
        record.model_copy(update={**nowhere, "weak_labels": record.labels})
        for record in dataset.usable()
        if not record.labels or record.labels == [only]
    ]


def flawsmith(*words: object) -> None:
    """Run the command.

    Raises:
        SystemExit: if it fails; what went wrong is printed already.
    """
    done = subprocess.run([sys.executable, "-m", "flawsmith", *map(str, words)], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def budgeted(arms: Sequence[str], images: int, classes: int) -> list[str]:
    """Return the arms with one budget: the images that all generators of an arm see together."""
    total = "training.total_images="
    own = {"dcgan": f"dcgan=dcgan {total}{images // classes}"}
    return [own.get(arm, f"{arm} {total}{images}") for arm in arms]


def num_classes(data: Path) -> int:
    """Return how many kinds of images there are: defects, and good if any image is."""
    dataset = DefectDataset.open(data)
    return dataset.schema.num_defects + any(record.is_good for record in dataset.usable())


def benefit_options(more: list[str], *, plan: bool, hours: float | None) -> list[str]:
    """Return the words of ``flawsmith benefit`` after its data, folder, ledger and arms."""
    words = list(more)
    for option, value in OPTIONS.items():
        words += [] if option in more else [option, value]
    words += ["--plan"] if plan else []
    return words + ([] if hours is None else ["--hours", str(hours)])


def score_sets(data: Path, out: Path, ledger: Path) -> None:
    """Score every finished set that the ledger does not have yet."""
    for mark in sorted((out / "synthetic").glob(f"*/{FINISHED_FILE}")):
        folder = mark.parent
        if any(line["name"] == folder.name for line in read_lines(ledger)):
            continue
        page = out / "scores" / folder.name
        flawsmith("score", folder, "--data", data, "--out", page)
        found = json.loads((page / "score.json").read_text(encoding="utf-8"))
        append_line(ledger, ledger_line(folder.name, found) | {"level": found["level"]})


def score_rows(lines: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row of Markdown cells for each set and class that it shows."""
    rows = []
    for line in lines:
        for name, item in line["classes"].items():
            if not item["synthetic"]:
                continue
            figures = item["pooled"]
            flagged = item.get("copies_by_features")
            cells = [f"`{line['name'].rpartition('-')[0]}`", name, str(item["synthetic"])]
            cells += [distance(figures[key]) for key in ("kid", "kid_floor")]
            cells += [number(figures[key]) for key in ("density", "coverage", "diversity_ratio")]
            share = "-" if flagged is None else f"{flagged[0]} of {flagged[1]} ({flagged[2]:.0%})"
            rows.append([*cells, share])
    return rows


def distance(values: list[float] | None) -> str:
    """Return a kernel distance in thousandths with its interval."""
    if values is None:
        return "-"
    value, *ends = (f"{v:.0f}" for v in values)
    return f"{value} ({ends[0]} to {ends[1]})" if ends else value


def number(value: float | None) -> str:
    """Return a figure, or a dash."""
    return "-" if value is None else f"{value:.2f}"


HEAD = (
    "set", "class", "images", "KID, whole images", "KID of real", "density", "coverage",
    "diversity ratio", "nearer to a training image than unseen real ones (chance)",
)  # fmt: skip


def print_scores(ledger: Path) -> None:
    """Print the scores of a ledger as a table."""
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for cells in score_rows(read_lines(ledger)):
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Make the data set, run the test, score the sets, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(PLANS))
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--table", action="store_true", help="print the scores of the ledger")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--hours", type=float)
    parser.add_argument("--images", type=int, help="training images of an arm's generators")
    parser.add_argument("--side", type=int, help="side of all images in pixels")
    parser.add_argument("--ledgers", type=Path, default=LEDGERS, help="folder of the two ledgers")
    own, more = cut_at_dashes(sys.argv[1:])
    arguments = parser.parse_args(own)
    scores = arguments.ledgers / f"score_image_{arguments.name}.jsonl"
    if arguments.table:
        print_scores(scores)
        return
    if arguments.source is None or arguments.out is None:
        parser.error("the folder of the images and that of the results are needed")
    data = import_once(PLANS[arguments.name], arguments.source, arguments.out)
    out = arguments.out / "benefit"
    arms: Sequence[str] = ARMS
    if arguments.images is not None:
        arms = budgeted(arms, arguments.images, num_classes(data))
    if arguments.side is not None:
        size = f"training.tile_size={arguments.side}"
        more += ["--set", size, "--synthesizer-set", size]
    options = [text for arm in arms for text in ("--arm", arm)]
    options += benefit_options(more, plan=arguments.plan, hours=arguments.hours)
    ledger = arguments.ledgers / f"benefit_image_{arguments.name}.jsonl"
    flawsmith("benefit", data, "--out", out, "--ledger", ledger, *options)
    if arguments.plan:
        return
    score_sets(data, out, scores)
    print_scores(scores)


if __name__ == "__main__":
    main()
