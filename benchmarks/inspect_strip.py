"""Inspect a line-scan strip without an end and watch the memory: 5400 x 200,000 pixels.

The rows come in blocks, as from a camera, and are never all in memory. The model is FC-HarDNet-70
with random weights in 8 bits (as in inspect_frame.py), or an exported one with ``--model``, best
with ``--image``: that picture is repeated in both directions, so that there are regions to find.

    python benchmarks/inspect_strip.py
    python benchmarks/inspect_strip.py --model EXPORTED --image DEFECTIVE.png --threads 1
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from inspect_frame import WIDTH, frame, memory_mib, peak_mib, prepare

from flawsmith.data.images import ImageArray, read_image
from flawsmith.inspection.exported import ExportedModel
from flawsmith.inspection.runtime import Runtime

WAY = "ours-int8-1024"
ROWS, BLOCK = 200_000, 500
REPORTS = 10


class Strip:
    """Blocks of rows, and what memory was when a share of them had been read."""

    def __init__(self, picture: ImageArray, rows: int) -> None:
        """Take the picture that is repeated.

        Args:
            picture: H x 5400 or H x 5400 x 3.
            rows: of the strip.
        """
        self.picture, self.rows = picture, rows
        self.resident: list[float] = []
        self._start = time.perf_counter()

    def blocks(self) -> Iterator[ImageArray]:
        """Yield all rows."""
        step = max(self.rows // REPORTS, 1)
        for first in range(0, self.rows, BLOCK):
            if first and first // step > (first - BLOCK) // step:
                self.report(first)
            wanted = np.arange(first, min(first + BLOCK, self.rows)) % len(self.picture)
            yield self.picture[wanted]

    def report(self, read: int) -> None:
        """Print and keep the memory of this moment."""
        self.resident.append(memory_mib("VmRSS"))
        speed = read / (time.perf_counter() - self._start)
        print(f"{read:,} rows, {speed:,.0f} a second, {self.resident[-1]:.0f} MiB", flush=True)


def repeated(path: Path) -> ImageArray:
    """Return a picture beside itself, 5400 wide and at least 2,000 high."""
    image = read_image(path)
    down, across = -(-2000 // image.shape[0]), -(-WIDTH // image.shape[1])
    return np.tile(image, (down, across, *[1] * (image.ndim - 2)))[:, :WIDTH]


def inspect(options: argparse.Namespace) -> None:
    """Inspect a strip; print speed, memory and regions."""
    runtime = Runtime(ExportedModel.load(options.model), threads=options.threads)
    strip = Strip(repeated(options.image) if options.image else frame(2000), options.rows)
    start = time.perf_counter()
    regions = sum(1 for _ in runtime.inspect_rows(strip.blocks()))
    seconds = time.perf_counter() - start
    strip.report(options.rows)
    third = max(len(strip.resident) // 3, 1)
    print(
        f"{WIDTH} x {options.rows:,} px with {runtime.exported.name}, {options.threads} threads: "
        f"{seconds:.0f} s, {regions:,} regions; first third {max(strip.resident[:third]):.0f} MiB, "
        f"last third {max(strip.resident[-third:]):.0f} MiB, peak {peak_mib():.0f} MiB"
    )


def main() -> None:
    """Make the model if none is given, and inspect in a process that has seen nothing else."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, help="folder of flawsmith export")
    parser.add_argument("--image", type=Path, help="repeated; default: noise")
    options = parser.parse_args()
    if options.model is not None:
        inspect(options)
        return
    with tempfile.TemporaryDirectory() as name:
        prepare([WAY], Path(name))
        command = [sys.executable, *sys.argv, "--model", str(Path(name) / WAY)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
