"""Do synthetic images help on the real magnetic tiles? Five folds by part, every one tested once.

Imports the images (tiles.csv gives parts and folds) and runs the benefit test; finished runs are
found again in benchmarks/ledger/benefit_magnetic_tile.jsonl. Without further options the plan is
that of docs/results/magnetic_tiles.md; options after ``--`` are added to it and go to
``flawsmith benefit``.

    python benchmarks/benefit_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/benefit_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --hours 3
    python benchmarks/benefit_magnetic_tile.py FOLDER OUT -- --fold 0 --seeds 3
    python benchmarks/benefit_magnetic_tile.py FOLDER OUT -- --model fc_hardnet70
"""

import argparse
import sys
from pathlib import Path

from benefit_command import benefit_words, cut_at_dashes

from flawsmith.cli import main as flawsmith
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE

LEDGER = "benefit_magnetic_tile.jsonl"
ARM = "dbs_gan_exemplar"
"""Beside real and copy_paste, unless others are given."""
SETTINGS = ("training.total_images=11520",)
"""720 steps: with 240 real images alone had not learned all they can."""


def main() -> None:
    """Import if needed, then run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--hours", type=float)
    own, more = cut_at_dashes(sys.argv[1:])
    arguments = parser.parse_args(own)
    data = arguments.out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, data, format="magnetic_tile")
    more += [] if "--arm" in more else ["--arm", ARM]
    command = benefit_words(data, arguments.out / "benefit", LEDGER, more, SETTINGS)
    command += ["--plan"] if arguments.plan else []
    command += [] if arguments.hours is None else ["--hours", str(arguments.hours)]
    sys.argv = ["flawsmith", *command]
    flawsmith()


if __name__ == "__main__":
    main()
