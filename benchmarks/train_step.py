"""Training steps against the machine: images/s, GFLOP/s, share of the matrix-product rate.

Each setting runs in a process of its own, since the allocator cannot be set back. "plain" is fp32
PyTorch as it comes; "ours" is what the loop chooses after its timed step, with freed memory kept.
Below the table stands what a step with a frozen encoder takes, as a share of one that tunes it, in
time of all cores, which other work on the machine hardly changes. A step of `stylegan2` is one
between its lazy regularisations, one of `bagan_gp` is of its second phase.

    python benchmarks/train_step.py [--steps 5] [--only dbs_gan-small]
    python benchmarks/train_step.py --only efficientnet_lite0-small efficientnet_lite0-small-frozen
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from flawsmith.config import load_preset, validate
from flawsmith.data.pouch import schema
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import Batch, System
from flawsmith.systems.segmentation import InspectionModelConfig, SegmentationTraining
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.config import TrainingConfig
from flawsmith.training.engine import Engine
from flawsmith.training.precision import (
    Precision,
    candidates,
    choose,
    keep_freed_memory,
    worthwhile,
)

TUNED, FROZEN = "efficientnet_lite0-small", "efficientnet_lite0-small-frozen"
TRAINED = sorted(name for name, system in SYSTEMS if not issubclass(system, UntrainedSystem))
SMALL = tuple(f"{name}-small" for name in TRAINED if name != "dbs_gan")
CASES = ("dbs_gan-small", "dbs_gan-stable", "fc_hardnet70-small", TUNED, FROZEN, *SMALL)
SMALL_BATCH = {"dbs_gan-stable": 1}  # 64 channels at 256 px: one image shows the rate


def build(case: str, precision: Precision):
    """Return a fresh system in this precision, its tile size and batch size."""
    name, preset, *encoder = case.split("-")
    values = load_preset(name, preset) | {"system": name, "preset": preset}
    if encoder:
        values["network"] = {**values["network"], "encoder": encoder[0]}
    values["data"] = {**values.get("data", {}), "path": ""}
    torch.manual_seed(0)
    if name in SYSTEMS:
        system_class = SYSTEMS.get(name)
        config = validate(system_class.config_class, values, source=case)
        system = system_class(config, schema())
    else:
        config = validate(InspectionModelConfig, values, source=case)
        system = SegmentationTraining(config, schema())
    for network in system.networks().values():
        network.to(memory_format=precision.memory_format)
    system.engine = Engine(precision=precision)
    return system, config.training


def make_batch(training: TrainingConfig, batch_size: int, precision: Precision) -> Batch:
    """Return random images with a defect in the middle of each."""
    size = training.tile_size
    generator = torch.Generator().manual_seed(0)
    defects = torch.zeros(batch_size, size, size, dtype=torch.long)
    defects[:, size // 4 : size // 2, size // 4 : size // 2] = 1
    batch = Batch(
        images=torch.rand(batch_size, 1, size, size, generator=generator) * 2 - 1,
        defects=defects,
        backgrounds=torch.zeros_like(defects),
        labels=torch.ones(batch_size, dtype=torch.long),
        seeds=torch.arange(batch_size),
    )
    bare = torch.where((batch.defects > 0).unsqueeze(1), 0.0, batch.images)
    batch = replace(batch, clean=bare)
    return batch.to(torch.device("cpu"), precision.memory_format)


def measure(case: str, how: str, steps: int) -> dict[str, object]:
    """Time steps of one case: plain or ours."""
    if how == "ours":
        keep_freed_memory()

    def timed_step(precision: Precision):
        system, training = build(case, precision)
        batch = make_batch(training, SMALL_BATCH.get(case, training.batch_size), precision)
        if isinstance(system, System):
            system.enter_last_phase()
        return lambda: system.step(batch)

    system, training = build(case, Precision())
    options = [Precision()]
    if how == "ours":
        options = worthwhile(candidates(training), torch.device("cpu"))
    precision, _ = choose(options, timed_step)
    step = timed_step(precision)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = NoModules()  # type: ignore[assignment]
    with counter:
        step()
    times, processor = [], []
    for _ in range(steps):
        start, busy = time.perf_counter(), time.process_time()
        step()
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    seconds = statistics.median(times)
    batch_size = SMALL_BATCH.get(case, training.batch_size)
    return {
        "case": case,
        "how": how,
        "precision": str(precision),
        "seconds": seconds,
        "processor_seconds": statistics.median(processor),
        "images_per_second": batch_size / seconds,
        "minutes": training.total_images * seconds / batch_size / 60,
        # The counter takes grouped convolutions for full ones on the way back.
        "gflops": None if has_groups(system) else counter.get_total_flops() / seconds / 1e9,
    }


class NoModules:
    """In the place of the counter's tracker, whose hooks no gradient penalty gets past."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def has_groups(system: System | SegmentationTraining) -> bool:
    """Tell whether a network of the system has grouped convolutions."""
    layers = (layer for network in system.networks().values() for layer in network.modules())
    return any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in layers)


def matrix_rate(dtype: torch.dtype, size: int = 4096) -> float:
    """Return the best GFLOP/s of a square matrix product."""
    a = torch.randn(size, size).to(dtype)
    a @ a
    times = []
    for _ in range(3):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times) / 1e9


def of_matrix_rate(gflops: float | None, rates: dict[str, float]) -> str:
    """Return a step's GFLOP/s and its shares of both rates as three cells."""
    if gflops is None:
        return "- | - | -"
    return f"{gflops:.0f} | {gflops / rates['bf16']:.0%} | {gflops / rates['fp32']:.0%}"


def main() -> None:
    """Run all cases in turn, plain and ours next to each other, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--only", choices=CASES, nargs="+", default=CASES)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(*arguments.child, arguments.steps)))
        return
    rates = {"fp32": matrix_rate(torch.float32), "bf16": matrix_rate(torch.bfloat16)}
    print(f"threads {torch.get_num_threads()}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"matrix product 4096^3: fp32 {rates['fp32']:.0f}, bf16 {rates['bf16']:.0f} GFLOP/s")
    print(
        "| step | how | computes in | s | images/s | GFLOP/s | of bf16 | of fp32 | speed-up "
        "| minutes of the preset |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    processor = {}
    for case in arguments.only:
        rows: dict[str, list[dict]] = {"plain": [], "ours": []}
        for _ in range(arguments.rounds):  # in turn, so that a slow minute hits both
            for how, found in rows.items():
                command = [sys.executable, __file__, "--steps", str(arguments.steps)]
                output = subprocess.check_output([*command, "--child", case, how], text=True)
                found.append(json.loads(output.splitlines()[-1]))
        best = {how: min(found, key=lambda row: row["seconds"]) for how, found in rows.items()}
        for how, row in best.items():
            speed_up = best["plain"]["seconds"] / row["seconds"]
            print(
                f"| {case} | {how} | {row['precision']} | {row['seconds']:.3f} "
                f"| {row['images_per_second']:.1f} | {of_matrix_rate(row['gflops'], rates)} "
                f"| {speed_up:.2f} | {row['minutes']:.0f} |",
                flush=True,
            )
        processor[case] = min(row["processor_seconds"] for row in rows["ours"])
    if TUNED in processor and FROZEN in processor:
        print(f"frozen encoder: {processor[FROZEN] / processor[TUNED]:.2f} of a step that tunes it")


if __name__ == "__main__":
    main()
