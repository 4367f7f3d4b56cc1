"""What do 8 bits cost? Runs as fp32 and as int8 exports on the parts that tested them.

Every run is exported twice with windows as large as its training tiles, and both exports inspect
the real images of its test fold. Give runs of several folds to have every part tested once; a part
that two runs test is an error. Differences are paired by part, intervals as in docs/benefit.md.

    python benchmarks/int8_cost.py RUN [RUN ...]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset
from flawsmith.experiment.export import ExportSettings, export_run
from flawsmith.experiment.export_check import as_schema_says
from flawsmith.experiment.inspection_model import load_config
from flawsmith.experiment.training_data import held_out_records
from flawsmith.inspection.runtime import Runtime
from flawsmith.metrics.paired import compare
from flawsmith.metrics.segmentation import class_counts, confusion, macro_iou

WAYS = ("fp32", "int8")

Tested = dict[str, NDArray[np.int64]]
"""Counts, 2 ways x D classes x (tp, fp, fn), of each part."""


def exports(run: Path, folder: Path) -> list[Runtime]:
    """Return the run's two exports, each on one thread."""
    window = load_config(run).training.tile_size
    made = []
    for way in WAYS:
        settings = ExportSettings(precision=way, window=window, max_flips=10**6, threads=1)
        made.append(Runtime(export_run(run, folder / way, settings), threads=1))
    return made


def inspect_fold(run: Path, folder: Path) -> tuple[Tested, list[set[str]], list[float], int]:
    """Return counts of each part, the parts that each way fails, its seconds, and the fold."""
    data = load_config(run).data
    dataset = DefectDataset.open(Path(data.path))
    runtimes = exports(run, folder)
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


def main() -> None:
    """Print a row a run, then all of them together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parts: Tested = {}
    folds: list[int] = []
    other = 0
    print("| fold | parts | macro IoU fp32 | int8 | other verdicts | time, fp32 / int8 |")
    print("|---|---|---|---|---|---|")
    for run in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as folder:
            tested, failed, seconds, fold = inspect_fold(run, Path(folder))
        if twice := parts.keys() & tested.keys():
            raise SystemExit(f"{run} tests {min(twice)} again; give one run of each fold")
        parts |= tested
        folds += [fold] * len(tested)
        before, after = macro_iou(sum(tested.values()))
        flipped = len(failed[0] ^ failed[1])
        other += flipped
        print(f"| {fold} | {len(tested)} | {before:.4f} | {after:.4f} | {flipped} "
              f"| {seconds[0] / seconds[1]:.2f} |", flush=True)  # fmt: skip
    counts = np.stack(list(parts.values())).astype(np.float64)
    change = compare(counts[:, 0], counts[:, 1], np.array(folds)).macro
    interval = "" if change.low is None else f" ({change.low:+.4f} to {change.high:+.4f})"
    print(f"\nall: macro IoU {change.value:+.4f}{interval}, {other} of {len(parts)} parts with "
          "another verdict")  # fmt: skip


if __name__ == "__main__":
    main()
