"""Every system of the seed papers at one budget: Tables 3 to 9 on real data (docs/compare.md).

Imports the images if needed and runs `flawsmith compare` with the plan of its data set; finished
steps are found again in benchmarks/ledger/compare_NAME.jsonl. Options after ``--`` are added.

    python benchmarks/compare_systems.py magnetic_tile FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/compare_systems.py magnetic_tile FOLDER_OF_MAGNETIC_TILE OUT --hours 8
    python benchmarks/compare_systems.py sd_saliency_900 FOLDER_OF_SD_SALIENCY_900 OUT --hours 5
    python benchmarks/compare_systems.py magnetic_tile FOLDER OUT -- --system dcgan --seeds 1
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benefit_command import LEDGERS, SETTINGS, cut_at_dashes
from benefit_draws import FROZEN, PLANS, TEST, drawn, import_once, write_draw

from flawsmith.cli import main as flawsmith
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.experiment.compare.plan import is_trained
from flawsmith.systems import SYSTEMS

MINUTES = 25
SEEDS = 3
QUICKEST = ("bagan_gp", "crack_gan", "dcgan", "stylegan2", "dbs_gan_exemplar")
"""For the second data set: least seconds for 1,000 images (docs/systems), and the flagship."""


def magnetic_tile(source: Path, out: Path) -> tuple[Path, int, Sequence[str], Sequence[str]]:
    """Return data, test fold, systems and settings: everything that learns, and copy_paste."""
    data = out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(source, data, format="magnetic_tile")
    systems = [name for name in SYSTEMS.names() if is_trained(name)]
    return data, 0, [*systems, "copy_paste"], ()


def sd_saliency_900(source: Path, out: Path) -> tuple[Path, int, Sequence[str], Sequence[str]]:
    """Return the same for 300 inclusions, 60 patches and 20 scratches at most in training."""
    plan = PLANS["sd_saliency_900"]
    dataset = import_once(plan, source, out / "data")
    data = out / "sd_saliency_900-draw0"
    write_draw(dataset, drawn(dataset, plan, 0), data)
    return data, TEST, [*QUICKEST, "copy_paste"], FROZEN


DATA_SETS = {"magnetic_tile": magnetic_tile, "sd_saliency_900": sd_saliency_900}


def main() -> None:
    """Import if needed, then run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(DATA_SETS))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--hours", type=float)
    own, more = cut_at_dashes(sys.argv[1:])
    arguments = parser.parse_args(own)
    data, fold, systems, settings = DATA_SETS[arguments.name](arguments.source, arguments.out)
    command = ["compare", str(data), "--out", str(arguments.out / f"compare-{arguments.name}")]
    command += ["--ledger", str(LEDGERS / f"compare_{arguments.name}.jsonl"), *more]
    if "--system" not in more:
        command += [word for name in systems for word in ("--system", name)]
    if not {"--minutes", "--images"} & set(more):
        command += ["--minutes", str(MINUTES)]
    for option, value in (("--seeds", SEEDS), ("--fold", fold)):
        command += [] if option in more else [option, str(value)]
    command += [word for text in (*SETTINGS, *settings) for word in ("--set", text)]
    command += ["--plan"] if arguments.plan else []
    command += [] if arguments.hours is None else ["--hours", str(arguments.hours)]
    sys.argv = ["flawsmith", *command]
    flawsmith()


if __name__ == "__main__":
    main()
