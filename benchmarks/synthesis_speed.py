"""Images a second of `flawsmith synthesize` in batches, and where the time goes.

Makes 128 px images of the preset ``small`` with one thread and with two. Networks are trained for
one step only: weights do not change what an image costs. Shares are of the wall time of the run:
drawing masks, reading backgrounds, painting (the system itself), writing files. So that busy cores
do not spoil a comparison, images a second stand beside those of a reference, a noisy 512 px image
compressed to PNG, which is timed before and after each run.

    python benchmarks/synthesis_speed.py DATA [--images 512] [--threads 1 2] [--systems copy_paste]
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from flawsmith.data.background_bank import BackgroundBank
from flawsmith.data.dataset import DatasetWriter, DefectDataset
from flawsmith.data.mask_bank import MaskBank
from flawsmith.experiment.synthesis import synthesize
from flawsmith.experiment.train_synthesizer import configure, train_synthesizer
from flawsmith.systems.load import Synthesizer
from flawsmith.training.loop import Hooks

SYSTEMS = ("copy_paste", "dbs_gan_real", "dbs_gan_exemplar")
STAGES: tuple[tuple[str, type, tuple[str, ...]], ...] = (
    ("masks", MaskBank, ("draw", "choose", "draw_needed")),
    ("backgrounds", BackgroundBank, ("draw",)),
    ("painting", Synthesizer, ("sample",)),
    ("writing", DatasetWriter, ("add", "flush")),
)
REFERENCE_SECONDS = 3.0
BATCH = 32


def time_stages(seconds: dict[str, float]) -> None:
    """Make the methods of every stage add their time to its entry; one within another once."""
    running: list[str] = []

    def timed(stage: str, method: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            if stage in running:
                return method(*args, **more)
            running.append(stage)
            start = time.perf_counter()
            try:
                return method(*args, **more)
            finally:
                seconds[stage] += time.perf_counter() - start
                running.remove(stage)

        return call

    for stage, owner, names in STAGES:
        for name in names:
            setattr(owner, name, timed(stage, getattr(owner, name)))


def reference_rate() -> float:
    """Return how many noisy 512 x 512 images a second are compressed."""
    image = np.random.default_rng(0).integers(0, 256, (512, 512), np.uint8)
    start, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < REFERENCE_SECONDS:
        cv2.imencode(".png", image)
        count += 1
    return count / passed


def prepare_run(system: str, data: Path, run: Path, fold: int) -> None:
    """Train a system for one step."""
    steps = ["training.total_images=4"]
    config = configure(system, "small", data, fold=fold, overrides=steps)
    train_synthesizer(config, run, Hooks(), resume=False)


def measure(run: Path, data: Path, out: Path, images: int, seconds: dict[str, float]) -> list[str]:
    """Make a set; return images a second, the same for an image of the reference, and shares."""
    dataset = DefectDataset.open(data)
    names = [defect.name for defect in dataset.schema.defects]
    before = reference_rate()
    seconds.clear()
    plan = dict.fromkeys(names, images // len(names))
    report = synthesize(run, dataset, out, plan=plan, batch_size=BATCH)
    reference = (before + reference_rate()) / 2
    rate = report.images_per_second
    shares = [seconds[stage] / report.seconds for stage, _, _ in STAGES]
    shares.append(1 - sum(shares))
    return [f"{rate:.1f}", f"{rate / reference:.2f}", *(f"{100 * s:.0f} %" for s in shares)]


def main() -> None:
    """Print a row for each system and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    arguments = parser.parse_args()
    seconds: dict[str, float] = defaultdict(float)
    time_stages(seconds)
    head = ["system", "threads", "images/s", "per reference image", *(s for s, _, _ in STAGES)]
    print("| " + " | ".join([*head, "other"]) + " |\n|" + "---|" * (len(head) + 1))
    with tempfile.TemporaryDirectory() as temporary:
        for system in arguments.systems:
            run = Path(temporary) / system
            prepare_run(system, arguments.data, run, arguments.fold)
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                cv2.setNumThreads(threads)
                out = Path(temporary) / f"{system}-{threads}"
                cells = measure(run, arguments.data, out, arguments.images, seconds)
                print(f"| `{system}` | {threads} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
