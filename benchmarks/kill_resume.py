"""Kills import, training, synthesis and model training at random moments; nothing may be lost.

Every stage runs once undisturbed and once under SIGKILLs at random moments, each time started
again with the command that a user would give. The results must be equal, byte for byte.

    python benchmarks/kill_resume.py [--kills 20] [--seed 0] [--only STAGE] [--import-images 5000]
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from flawsmith.data.dataset import METADATA_FILE, write_metadata
from flawsmith.data.folds import split_folds
from flawsmith.data.images import encode_index_mask, encode_png
from flawsmith.data.pouch import PouchSettings, write_pouch

EVERY = ["--set", "training.checkpoint_every_images=16"]
LONG = ["--set", "training.total_images=400"]
VOLATILE = {"environment.json", "metrics.jsonl", "synthesis.log"}  # hold times


def flawsmith(*arguments: object) -> list[str]:
    """Return the command line of the installed entry point."""
    return [sys.executable, "-m", "flawsmith", *map(str, arguments)]


def run(command: list[str], kill_after: float | None) -> bool:
    """Run a command, killed after some seconds if given; return whether it finished."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        output, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    return True


def digest(folder: Path) -> dict[str, str]:
    """Return a hash of every file that must not depend on kills."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in VOLATILE and "tensorboard" not in path.parts
        and path.name != "state.json"  # holds seconds
    }  # fmt: skip


class Stage:
    """One command of the product, how it is begun and how it is gone on with."""

    def __init__(
        self,
        name: str,
        begin: Callable[[Path], list[str]],
        go_on: Callable[[Path], list[str] | None],
    ) -> None:
        self.name, self.begin, self.go_on = name, begin, go_on

    def undisturbed(self, out: Path) -> float:
        """Run without a kill and return the seconds."""
        start = time.perf_counter()
        run(self.begin(out), None)
        return time.perf_counter() - start

    def killed(self, out: Path, kills: int, seconds: float, dice: random.Random) -> int:
        """Run with kills at random moments; return how many hit."""
        command, hits = self.begin(out), 0
        for _ in range(kills):
            if run(command, dice.uniform(0.05, 1.0) * seconds):
                return hits
            hits += 1
            following = self.go_on(out)
            if following is None:  # killed after all was done
                return hits
            command = following
        run(command, None)
        return hits


def stages(folder: Path) -> list[Stage]:
    """Return the stages; later ones use what earlier ones made."""
    data, gan = folder / "data", folder / "gan"

    def imports(out: Path) -> list[str]:
        return flawsmith("data", "import", folder / "plain", out, "--format", "index_png")

    def synthesis(out: Path) -> list[str]:
        return flawsmith(
            "synthesize", gan, "--data", data, "--balance", "--per-class", 60, "--out", out
        )

    def train(out: Path) -> list[str]:
        return flawsmith("train", "dbs_gan", "--data", data, "--preset", "tiny", "--out", out,
                         *EVERY, *LONG)  # fmt: skip

    def model(out: Path) -> list[str]:
        return flawsmith("model", "train", "--data", data, "--preset", "tiny", "--out", out,
                         *EVERY, *LONG)  # fmt: skip

    def resumed(begin: Callable[[Path], list[str]], *verb: str) -> Callable[[Path], list[str]]:
        def go_on(out: Path) -> list[str]:
            ready = (out / "config.toml").is_file()
            return flawsmith(*verb, "--resume", out) if ready else begin(out)

        return go_on

    return [
        Stage("import", imports, lambda out: None if out.exists() else imports(out)),
        Stage("train", train, resumed(train, "train")),
        Stage("synthesize", synthesis, synthesis),
        Stage("model train", model, resumed(model, "model", "train")),
    ]


def write_plain(folder: Path, count: int) -> None:
    """Write images of 256 x 192 pixels with index masks; every fifth is good, some are torn."""
    rng = np.random.default_rng(0)
    palette = [value for i in range(256) for value in (i, i, i)]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        image = encode_png(rng.integers(0, 256, (192, 256), dtype=np.uint8))
        (folder / f"images/a{i}.png").write_bytes(image[: 500 if i % 97 == 5 else None])
        mask = np.zeros((192, 256), np.uint8)
        y, x = rng.integers(0, 150, 2)
        mask[y : y + 30, x : x + 20] = 1 + i % 3
        if i % 5:
            (folder / f"masks/a{i}.png").write_bytes(encode_index_mask(mask, palette))


def prepare(folder: Path, import_images: int) -> None:
    """Make the data set and the synthesizer that the stages need, and a plain copy to import."""
    settings = PouchSettings(
        good_parts=60, defective_parts=60, min_parts_per_class=6, views=1, tile_size=64
    )
    dataset = write_pouch(folder / "data", settings)
    write_metadata(dataset.root / METADATA_FILE, split_folds(dataset, k=3))
    if import_images:
        write_plain(folder / "plain", import_images)
    else:
        for name in ("images", "masks"):
            shutil.copytree(folder / "data" / name, folder / "plain" / name)


def endure(stage: Stage, folder: Path, kills: int, dice: random.Random) -> int:
    """Run a stage undisturbed and under kills, compare, and return how many kills hit."""
    whole, hurt = folder / f"{stage.name}-whole", folder / f"{stage.name}-killed"
    seconds = stage.undisturbed(whole)
    start, hits, rounds = time.perf_counter(), 0, 0
    while hits < kills:  # a run that ended before its kill is done again
        if hurt.exists():
            shutil.rmtree(hurt)
        hits += stage.killed(hurt, kills - hits, seconds, dice)
        rounds += 1
    equal = bool(digest(whole)) and digest(whole) == digest(hurt)
    print(
        f"{stage.name}: {hits} kills in {rounds} jobs of {seconds:.1f} s each, which took "
        f"{time.perf_counter() - start:.1f} s; "
        f"{'equal to the undisturbed run' if equal else 'DIFFERENT'}",
        flush=True,
    )
    if not equal:
        raise SystemExit(1)
    return hits


def main() -> None:
    """Run every stage undisturbed and under kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="the one stage to run, such as import")
    parser.add_argument("--import-images", type=int, default=0, help="images to import")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, arguments.import_images)
        chosen = [s for s in stages(folder) if arguments.only in (None, s.name)]
        if any(stage.name == "synthesize" for stage in chosen):
            run(flawsmith("train", "dbs_gan", "--data", folder / "data", "--preset", "tiny",
                          "--out", folder / "gan"), None)  # fmt: skip
        total = 0
        for number, stage in enumerate(chosen):
            kills = max(1, (arguments.kills - total) // (len(chosen) - number))
            total += endure(stage, folder, kills, dice)
    print(f"{total} kills, nothing lost")


if __name__ == "__main__":
    main()
