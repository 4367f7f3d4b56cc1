"""Which part of the painter helps? Variants by successive halving, on inner validation parts.

Every variant is trained for a few steps, the better half goes on to twice as many. A variant is
judged by the kernel distance inside the mask against validation parts (`flawsmith score --against
validation`, mean over the classes) and by the share of its images in which a model of real images
with a frozen encoder recognises the defect (`flawsmith select`): the sum of both ranks decides.
The test fold is never read. Finished runs are found again in the ledger.

    python benchmarks/screen_generators.py FOLDER_OF_MAGNETIC_TILE OUT
    python benchmarks/screen_generators.py FOLDER OUT --variant "with mode seeking" --steps 300
    python benchmarks/screen_generators.py FOLDER OUT --table
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.experiment.benefit.identity import SYNTHESIS_CODE
from flawsmith.experiment.ledger import append_line, read_lines
from flawsmith.experiment.source import code_hash
from flawsmith.systems import SYSTEMS

LEDGER = Path(__file__).parent / "ledger" / "screen_magnetic_tile.jsonl"
FOLD, BATCH, PER_CLASS = 0, 4, 140
RUNGS = (300, 600, 1200)
EXEMPLAR = "dbs_gan_exemplar"
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    EXEMPLAR: (EXEMPLAR, ()),
    "a painter of details": (EXEMPLAR, ("network.smooth_pixels=1",)),
    "without the discriminator": (EXEMPLAR, ("loss.weight_adv=0", "loss.weight_features=0")),
    "without its features": (EXEMPLAR, ("loss.weight_features=0",)),
    "without band contrast": (EXEMPLAR, ("loss.weight_contrast=0",)),
    "without the means of windows": (EXEMPLAR, ("loss.weight_rec=0",)),
    "with DiffAugment": (EXEMPLAR, ("loss.diff_augment=true",)),
    "with a perceptual term": (EXEMPLAR, ("loss.weight_perceptual=1",)),
    "with mode seeking": (EXEMPLAR, ("loss.weight_diversity=1",)),
    "without noise": (EXEMPLAR, ("network.noise_channels=0",)),
    "narrow, 16 channels": (EXEMPLAR, ("network.painter_channels=16",)),
    "dbs_gan_real": ("dbs_gan_real", ()),
    "copy_paste": ("copy_paste", ()),
}
"""What is trained; the classes are filled to `PER_CLASS` with the real ones. copy_paste stands
beside them and is made once."""
MODEL = ("--network", "efficientnet_lite0", "--set", "network.encoder=frozen")
MODEL_SETTINGS = ("training.tile_size=128", "overlap=32", "training.total_images=3840")


def flawsmith(*words: object) -> None:
    """Run a command of the package."""
    subprocess.run([sys.executable, "-m", "flawsmith", *map(str, words)], check=True)


def recogniser(data: Path, out: Path) -> Path:
    """Return the model of real images that recognises defects; train it if it is not there."""
    run = out / "recogniser"
    if not (run / "thresholds.toml").is_file():
        settings = [text for setting in MODEL_SETTINGS for text in ("--set", setting)]
        flawsmith("model", "train", "--data", data, "--fold", FOLD, "--out", run, *MODEL, *settings)
    return run


def judge(variant: str, steps: int, data: Path, out: Path) -> dict[str, Any]:
    """Train a variant, make images, score and select them; return its ledger line."""
    system, settings = VARIANTS[variant]
    folder = out / f"{variant.replace(' ', '_').replace(',', '')}-{steps}"
    run, made = folder / "run", folder / "synthetic"
    begin = time.perf_counter()
    if not made.is_dir():
        words = [text for setting in settings for text in ("--set", setting)]
        words += ["--set", f"training.total_images={steps * BATCH}"] if steps else []
        flawsmith("train", system, "--data", data, "--fold", FOLD, "--out", run, *words)
    seconds = time.perf_counter() - begin
    share = ("--balance", "--per-class", PER_CLASS)
    if not made.is_dir():
        flawsmith("synthesize", run, "--data", data, *share, "--out", made)
    flawsmith("score", made, "--data", data, "--against", "validation")
    chosen = folder / "selected"
    if not chosen.is_dir():
        model = recogniser(data, out)
        flawsmith("select", made, "--data", data, "--model", model, "--out", chosen, "--no-copies")
    return _line(variant, steps, seconds, made, chosen)


def _line(variant: str, steps: int, seconds: float, made: Path, chosen: Path) -> dict[str, Any]:
    score = json.loads((made / "score" / "score.json").read_text(encoding="utf-8"))
    selection = json.loads((chosen / "selection.json").read_text(encoding="utf-8"))
    figures = {f["name"]: f for f in score["overall"]["figures"]}
    inside = figures["efficientnet_lite0/in_mask"]
    return {
        "kind": "screen",
        "variant": variant,
        "steps": steps,
        "code": code_of(variant),
        "data": score["data_fingerprint"],
        "seconds": round(seconds),
        "kid_in_mask": inside["kid"],
        "kid_floor": inside["kid_floor"],
        "diversity_ratio": inside["diversity_ratio"],
        "note": score["overall"]["note"],
        "accepted": selection["accepted"],
        "accepted_classes": {c["name"]: c["accepted"] for c in selection["classes"]},
    }


def screen(data: Path, out: Path) -> None:
    """Judge all variants, halve them by both ranks, go on with twice the steps."""
    waiting = list(VARIANTS)
    for steps in RUNGS:
        lines = [found(variant, steps, data, out) for variant in waiting]
        trained = [line for line in lines if line["steps"]]
        waiting = better_half(trained)


def better_half(lines: list[dict[str, Any]]) -> list[str]:
    """Return the variants with the lowest sums of both ranks, the better by distance first."""
    by_distance = sorted(lines, key=lambda line: line["kid_in_mask"]["value"])
    by_share = sorted(lines, key=lambda line: -line["accepted"]["count"])
    ranked = sorted(by_distance, key=lambda line: by_distance.index(line) + by_share.index(line))
    return [line["variant"] for line in ranked[: (len(ranked) + 1) // 2]]


def code_of(variant: str) -> str:
    """Return the hash of the code that the images of a variant follow from."""
    return code_hash(SYNTHESIS_CODE, SYSTEMS.get(VARIANTS[variant][0]))


def found(variant: str, steps: int, data: Path, out: Path) -> dict[str, Any]:
    """Return the line of a run from the ledger, or make it."""
    steps = 0 if variant == "copy_paste" else steps
    wanted = (variant, steps, code_of(variant), DefectDataset.open(data).fingerprint())
    for line in read_lines(LEDGER):
        if (line["variant"], line["steps"], line["code"], line["data"]) == wanted:
            return line
    line = judge(variant, steps, data, out)
    append_line(LEDGER, line)
    return line


def table() -> None:
    """Print what the ledger holds."""
    print("| variant | steps | KID in the mask x 1000 | diversity | accepted | seconds |")
    print("|---|---|---|---|---|---|")
    for line in sorted(read_lines(LEDGER), key=lambda x: (x["steps"], x["kid_in_mask"]["value"])):
        kid, accepted = line["kid_in_mask"], line["accepted"]
        interval = kid["interval"]
        limits = f" ({1000 * interval['low']:.0f} to {1000 * interval['high']:.0f})" * bool(
            interval
        )
        print(
            f"| {line['variant']} | {line['steps'] or '-'} | {1000 * kid['value']:.0f}{limits} | "
            f"{line['diversity_ratio']:.2f} | {accepted['count']} of {accepted['total']} | "
            f"{line['seconds']} |"
        )


def main() -> None:
    """Screen, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="judge these alone")
    parser.add_argument("--steps", type=int, default=RUNGS[0], help="of --variant")
    parser.add_argument("--table", action="store_true", help="print what is there; train nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        data = arguments.out / "data"
        if not (data / SCHEMA_FILE).is_file():
            import_folder(arguments.source, data, format="magnetic_tile")
        for variant in arguments.variant or []:
            found(variant, arguments.steps, data, arguments.out)
        if not arguments.variant:
            screen(data, arguments.out)
    table()


if __name__ == "__main__":
    main()
