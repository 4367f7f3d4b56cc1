"""What do 8 bits cost? Runs as fp32 and as int8 exports on the parts that tested them.

Every run is exported twice with windows as large as its training tiles, and both exports inspect
the real images of its test fold. Give runs of several folds to have every part tested once; a part
that two runs test is an error. Differences are paired by part, intervals as in docs/benefit.md.

    python benchmarks/int8_cost.py RUN [RUN ...]
    python benchmarks/int8_cost.py RUN [RUN ...] --to onnx
    python benchmarks/int8_cost.py --to onnx

Finished runs are lines of benchmarks/ledger/int8_magnetic_tile.jsonl; without a run it prints them.
Runs of other data need a ledger of their own (`--ledger`).
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset
from flawsmith.experiment.export import ExportSettings, export_run
from flawsmith.experiment.export_check import as_schema_says
from flawsmith.experiment.inspection_model import kept_weights, load_config
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.source import code_hash
from flawsmith.experiment.training_data import held_out_records
from flawsmith.inspection.exported import Backend
from flawsmith.inspection.runtime import Runtime
from flawsmith.metrics.paired import compare
from flawsmith.metrics.segmentation import class_counts, confusion, macro_iou

LEDGER = Path(__file__).parent / "ledger" / "int8_magnetic_tile.jsonl"
WAYS = ("fp32", "int8")

Tested = dict[str, NDArray[np.int64]]
"""Counts, 2 ways x D classes x (tp, fp, fn), of each part."""


def exports(run: Path, folder: Path, backend: Backend) -> list[Runtime]:
    """Return the run's two exports, each on one thread."""
    window = load_config(run).training.tile_size
    made = []
    for way in WAYS:
        settings = ExportSettings(backend, way, window=window, max_flips=10**6, threads=1)
        made.append(Runtime(export_run(run, folder / way, settings), threads=1))
    return made


def inspect_fold(
    run: Path, folder: Path, backend: Backend
) -> tuple[Tested, list[set[str]], list[float], int]:
    """Return counts of each part, the parts that each way fails, its seconds, and the fold."""
    data = load_config(run).data
    dataset = DefectDataset.open(Path(data.path))
    runtimes = exports(run, folder, backend)
    tested: Tested = {}
    failed: list[set[str]] = [set(), set()]
    seconds = [0.0, 0.0]
    classes = dataset.schema.num_defects
    for record in held_out_records(dataset, data.fold):
        if not record.is_good and record.mask_file_name is None:
            continue
        image = as_schema_says(dataset.image(record), dataset.schema)
        truth = dataset.label_map(record).defects
        counts = tested.setdefault(record.part, np.zeros((2, classes, 3), np.int64))
        for way, runtime in enumerate(runtimes):
            start = time.perf_counter()
            found = runtime.maps(image)
            seconds[way] += time.perf_counter() - start
            counts[way] += class_counts(confusion(truth, found.index, classes))
            worst = found.confidence[found.index > 0].max(initial=0.0)
            if worst >= runtime.thresholds.region:
                failed[way].add(record.part)
    return tested, failed, seconds, data.fold


def line_of(run: Path, backend: Backend) -> dict[str, Any]:
    """Inspect the test fold of a run; return what is kept of it."""
    with tempfile.TemporaryDirectory() as folder:
        tested, failed, seconds, fold = inspect_fold(run, Path(folder), backend)
    return {
        "backend": backend,
        "weights": hashlib.sha256(kept_weights(run).read_bytes()).hexdigest()[:16],
        "network": load_config(run).system,
        "fold": fold,
        "seconds": [round(value, 2) for value in seconds],
        "other_verdicts": sorted(failed[0] ^ failed[1]),
        "parts": {part: counts.tolist() for part, counts in tested.items()},
        "code": code_hash(),
    }


def table(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return a row a run in the order of folds, and a sentence on all of them."""
    rows = ["| fold | parts | macro IoU fp32 | int8 | other verdicts | time, fp32 / int8 |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    parts: Tested = {}
    folds: list[int] = []
    for line in sorted(lines, key=lambda line: line["fold"]):
        tested = {part: np.array(counts) for part, counts in line["parts"].items()}
        if twice := parts.keys() & tested.keys():
            raise SystemExit(f"two runs test {min(twice)}; give one run of each fold")
        parts |= tested
        folds += [line["fold"]] * len(tested)
        before, after = macro_iou(sum(tested.values()))
        slow, fast = line["seconds"]
        rows.append(f"| {line['fold']} | {len(tested)} | {before:.4f} | {after:.4f} "
                    f"| {len(line['other_verdicts'])} | {slow / fast:.2f} |")  # fmt: skip
    counts = np.stack(list(parts.values())).astype(np.float64)
    change = compare(counts[:, 0], counts[:, 1], np.array(folds)).macro
    interval = "" if change.low is None else f" ({change.low:+.4f} to {change.high:+.4f})"
    other = sum(len(line["other_verdicts"]) for line in lines)
    said = (
        f"All {len(parts)} parts: macro IoU {change.value:+.4f}{interval}, {other} of {len(parts)} "
        "parts with another verdict."
    )
    return [*rows, "", said]


def main() -> None:
    """Inspect with the runs that the ledger does not have; print what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--to", choices=get_args(Backend), default="openvino")
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    arguments = parser.parse_args()
    lines = finished(arguments.ledger, arguments.to)
    for run in arguments.runs:
        weights = hashlib.sha256(kept_weights(run).read_bytes()).hexdigest()[:16]
        if not any(line["weights"] == weights for line in lines):
            append_line(arguments.ledger, line_of(run, arguments.to))
    print("\n".join(table(finished(arguments.ledger, arguments.to))))


def finished(ledger: Path, backend: Backend) -> list[dict[str, Any]]:
    """Return the lines of one backend."""
    return [line for line in read_lines(ledger) if line["backend"] == backend]


if __name__ == "__main__":
    main()
