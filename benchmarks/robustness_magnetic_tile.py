"""Does a model stand an exposure that it has never seen? Magnetic tiles, exposures 5 and 6.

One model is trained on exposures 1 to 4, one on equally many images of the same parts at all six.
Both are tested on parts that neither has seen: at exposures 5 and 6 under every disturbance of
`flawsmith model robustness`, and undisturbed at 1 and 2, and at 3 and 4, so that every test has
two images a part. Each test is a line in benchmarks/ledger/robustness_magnetic_tile.jsonl. What is
finished is not done again.

    python benchmarks/robustness_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/robustness_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT
    python benchmarks/robustness_magnetic_tile.py FOLDER OUT --images 64 --only gain --ledger L
    python benchmarks/robustness_magnetic_tile.py --table
"""

import argparse
import hashlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benefit_command import SETTINGS
from benefit_draws import write_draw

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.experiment.inspection_model import THRESHOLDS_FILE
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.robustness.facts import FACTS_FILE, Robustness, Row
from flawsmith.training.config import CONFIG_FILE

LEDGER = Path(__file__).parent / "ledger" / "robustness_magnetic_tile.jsonl"
SEEN = ("exp1", "exp2", "exp3", "exp4")
UNSEEN = ("exp5", "exp6")
TESTS = {"exp5-6": UNSEEN, "exp3-4": SEEN[2:], "exp1-2": SEEN[:2]}
"""The first has all disturbances, the others none."""
ARMS = ("exp1-4", "all")


def training_images(dataset: DefectDataset, fold: int, arm: str) -> list[ImageRecord]:
    """Return the images of the parts outside the fold; of each part equally many in both arms.

    Of all exposures those are taken that come first by the hash of their names. Good images and
    each class are drawn apart, so that an arm has as many of them.
    """
    groups: dict[tuple[str, ...], list[ImageRecord]] = defaultdict(list)
    for record in dataset.usable():
        if record.fold != fold and record.view in SEEN + UNSEEN:
            groups[record.part, *record.labels].append(record)
    chosen = []
    for group in groups.values():
        seen = [record for record in group if record.view in SEEN]
        ordered = sorted(group, key=lambda r: hashlib.sha256(r.file_name.encode()).digest())
        chosen += seen if arm == ARMS[0] else ordered[: len(seen)]
    return chosen


def test_images(dataset: DefectDataset, fold: int, views: tuple[str, ...]) -> list[ImageRecord]:
    """Return the images of the fold's parts at these exposures."""
    return [r for r in dataset.usable() if r.fold == fold and r.view in views]


def write_sets(dataset: DefectDataset, fold: int, out: Path) -> None:
    """Make the data sets of both arms, with the unseen test images, and those of the tests."""
    unseen = test_images(dataset, fold, UNSEEN)
    for arm in ARMS:
        write_draw(dataset, training_images(dataset, fold, arm) + unseen, out / f"train-{arm}")
    for name, views in TESTS.items():
        write_draw(dataset, test_images(dataset, fold, views), out / f"test-{name}")


def flawsmith(*words: object) -> None:
    """Run the command."""
    subprocess.run([sys.executable, "-m", "flawsmith", *map(str, words)], check=True)


def train(data: Path, run: Path, arm: str, arguments: argparse.Namespace) -> None:
    """Train an arm's model, or go on with it."""
    if (run / THRESHOLDS_FILE).is_file():
        return
    if (run / CONFIG_FILE).is_file() and not arguments.plan:
        flawsmith("model", "train", "--resume", run)
        return
    settings = [*SETTINGS, f"training.seed={arguments.seed}"]
    if arguments.images:
        settings.append(f"training.total_images={arguments.images}")
    words = [text for setting in settings for text in ("--set", setting)]
    flawsmith(
        "model", "train", "--data", data, "--fold", arguments.fold, "--out", run, "--arm", arm,
        "--network", arguments.model, *words, *["--dry-run"] * arguments.plan,
    )  # fmt: skip


def lines_of(arm: str, test: str, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a line for the undisturbed images and one for each disturbance."""
    result = Robustness.model_validate_json((folder / FACTS_FILE).read_text(encoding="utf-8"))
    known = {
        "arm": arm, "test": test, "model": result.model, "fold": result.fold, "seed": seed,
        "data": result.data_fingerprint, "weights": result.model_hash,
    }  # fmt: skip
    names = dict.fromkeys(row.disturbance for row in result.rows)
    for name, rows in [
        ("undisturbed", [result.undisturbed]),
        *((name, [r for r in result.rows if r.disturbance == name]) for name in names),
    ]:
        yield {**known, "disturbance": name, "strengths": [_figures(row) for row in rows]}


def _figures(row: Row) -> dict[str, Any]:
    change = row.macro_change
    return {
        "strength": row.strength,
        "macro_iou": _rounded(row.macro_iou),
        "change": change and [_rounded(v) for v in (change.value, change.low, change.high)],
        "escape": row.escape and [row.escape.count, row.escape.total],
        "overkill": row.overkill and [row.overkill.count, row.overkill.total],
        "part_auroc": _rounded(row.part_auroc),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


Cells = dict[str, list[str]]
"""Macro IoU with its change, missed and rejected of each arm."""


def tables(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Return what a ledger says as Markdown: undisturbed tests, then all disturbances."""
    plain: dict[str, Cells] = {}
    disturbed: dict[str, Cells] = {}
    for line in lines:
        for strength in line["strengths"]:
            undisturbed = line["disturbance"] == "undisturbed"
            words = "" if strength["strength"] is None else f" {strength['strength']:g}"
            name = line["test"] if undisturbed else line["disturbance"] + words
            rows = plain if undisturbed else disturbed
            rows.setdefault(name, {})[line["arm"]] = _cells(strength, change=not undisturbed)
    return [*_table("exposures", plain), "", *_table("disturbance, exposures 5 and 6", disturbed)]


def _table(name: str, rows: dict[str, Cells]) -> list[str]:
    columns = [f"{figure}, {arm}" for arm in ARMS for figure in ("macro IoU", "missed", "rejected")]
    head = [f"| {' | '.join([name, *columns])} |", "|---" * (1 + len(columns)) + "|"]
    return head + [
        f"| {' | '.join([row, *(c for arm in ARMS for c in cells.get(arm, ['-'] * 3))])} |"
        for row, cells in rows.items()
    ]


def _cells(strength: dict[str, Any], *, change: bool) -> list[str]:
    figure = f"{strength['macro_iou']:.2f}"
    if change and strength["change"]:
        value, low, high = strength["change"]
        figure += f" ({value:+.2f}, {low:+.2f} to {high:+.2f})"
    return [figure, *("{} of {}".format(*strength[name]) for name in ("escape", "overkill"))]


def main() -> None:
    """Import and cut if needed, train both arms, test both everywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--table", action="store_true", help="print what the ledger says, no more")
    parser.add_argument("--fold", type=int, default=0, help="of the unseen parts")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--images", type=int, help="of each training, instead of 3840")
    parser.add_argument("--only", action="append", default=[], help="disturbance, repeatable")
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    parser.add_argument("--plan", action="store_true", help="say what there is to do")
    arguments = parser.parse_args()
    if arguments.table:
        print("\n".join(tables(read_lines(arguments.ledger))))
        return
    if arguments.source is None or arguments.out is None:
        parser.error("the folder of the images and that of the results are needed")
    data = arguments.out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, data, format="magnetic_tile")
    folder = arguments.out / f"fold{arguments.fold}"
    write_sets(DefectDataset.open(data), arguments.fold, folder)
    for arm in ARMS:
        run = folder / f"run-{arm}-{arguments.model}-seed{arguments.seed}"
        print(f"== trained on {arm}", flush=True)
        train(folder / f"train-{arm}", run, arm, arguments)
        if not (run / THRESHOLDS_FILE).is_file():  # a plan: its tests are timed once it is trained
            continue
        for test in TESTS:
            only = arguments.only if test == "exp5-6" else ["undisturbed"]
            words = [text for name in only for text in ("--only", name)]
            out = run / f"robustness-{test}"
            flawsmith(
                "model", "robustness", run, "--data", folder / f"test-{test}", "--fold",
                arguments.fold, "--out", out, *words, *["--plan"] * arguments.plan,
            )  # fmt: skip
            if arguments.plan:
                continue
            known = read_lines(arguments.ledger)
            for line in lines_of(arm, test, arguments.seed, out):
                if line not in known:
                    append_line(arguments.ledger, line)


if __name__ == "__main__":
    main()
