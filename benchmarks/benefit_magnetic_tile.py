"""Do synthetic images help on the real magnetic tiles? Five folds by part, every one tested once.

Imports the images (tiles.csv gives parts and folds) and runs the benefit test; finished runs are
found again in benchmarks/ledger/benefit_magnetic_tile.jsonl. Options after ``--`` go to
``flawsmith benefit`` as they are.

    python benchmarks/benefit_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/benefit_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --hours 3
    python benchmarks/benefit_magnetic_tile.py FOLDER OUT -- --model fc_hardnet70 --seeds 3
"""

import argparse
import sys
from pathlib import Path

from flawsmith.cli import main as flawsmith
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE

LEDGER = Path(__file__).parent / "ledger" / "benefit_magnetic_tile.jsonl"
DEFAULTS = ["--arm", "dbs_gan_real", "--model", "efficientnet_lite0"]


def main() -> None:
    """Import if needed, then run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--hours", type=float)
    parser.add_argument("more", nargs="*", help="options of flawsmith benefit, after --")
    arguments = parser.parse_args()
    data = arguments.out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, data, format="magnetic_tile")
    command = ["benefit", str(data), "--out", str(arguments.out / "benefit")]
    command += ["--ledger", str(LEDGER), *(arguments.more or DEFAULTS)]
    command += ["--plan"] if arguments.plan else []
    command += [] if arguments.hours is None else ["--hours", str(arguments.hours)]
    sys.argv = ["flawsmith", *command]
    flawsmith()


if __name__ == "__main__":
    main()
