"""Do synthetic images help on the real magnetic tiles? Five folds by part, every one tested once.

Imports the images (tiles.csv gives parts and folds) and runs the benefit test; finished runs are
found again in benchmarks/ledger/benefit_magnetic_tile.jsonl. Without further options the plan is
that of docs/results.md; options after ``--`` are added to it and go to ``flawsmith benefit``.

    python benchmarks/benefit_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --plan
    python benchmarks/benefit_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --hours 3
    python benchmarks/benefit_magnetic_tile.py FOLDER OUT -- --fold 0 --seeds 3
    python benchmarks/benefit_magnetic_tile.py FOLDER OUT -- --model fc_hardnet70
"""

import argparse
import sys
from pathlib import Path

from flawsmith.cli import main as flawsmith
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE

LEDGER = Path(__file__).parent / "ledger" / "benefit_magnetic_tile.jsonl"
PLAN = {
    "--arm": ["dbs_gan_exemplar"],
    "--model": ["efficientnet_lite0"],
    "--amount": ["0.25"],
    "--schedule": ["mixed"],
}
"""Each stands unless the same option is given."""
SETTINGS = (
    "training.tile_size=128",
    "overlap=32",
    "training.total_images=3840",
    'training.precision="fp32"',
    'training.channels_last="yes"',
)
SYNTHESIZER_SETTINGS = ("training.total_images=1600",)


def main() -> None:
    """Import if needed, then run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--hours", type=float)
    own = sys.argv[1:]
    cut = own.index("--") if "--" in own else len(own)
    arguments, more = parser.parse_args(own[:cut]), own[cut + 1 :]
    data = arguments.out / "data"
    if not (data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, data, format="magnetic_tile")
    command = ["benefit", str(data), "--out", str(arguments.out / "benefit")]
    command += ["--ledger", str(LEDGER), *more]
    for option, values in PLAN.items():
        command += [] if option in more else [text for v in values for text in (option, v)]
    command += [text for setting in SETTINGS for text in ("--set", setting)]
    command += [text for s in SYNTHESIZER_SETTINGS for text in ("--synthesizer-set", s)]
    command += ["--plan"] if arguments.plan else []
    command += [] if arguments.hours is None else ["--hours", str(arguments.hours)]
    sys.argv = ["flawsmith", *command]
    flawsmith()


if __name__ == "__main__":
    main()
