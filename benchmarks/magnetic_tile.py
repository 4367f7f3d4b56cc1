"""The main job on the real magnetic-tile images, one fold as test: with and without synthesis.

Imports the images (tiles.csv gives parts and folds), fits the machine-vision baseline, trains an
inspection model on real images, a DBS-GAN, a balanced synthetic set, an inspection model on both,
writes report.html and adds a line a run to benchmarks/ledger/magnetic_tile.jsonl. Goes on where
it was stopped. About 20 minutes on two cores.

    python benchmarks/magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT [--fold 0] [--images 8000]
"""

import argparse
from pathlib import Path

from flawsmith.cli.console import console, progress
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.experiment.ledger import append
from flawsmith.experiment.pipeline import Pipeline
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.training.loop import Hooks

LEDGER = Path(__file__).parent / "ledger" / "magnetic_tile.jsonl"


def main() -> None:
    """Run the pipeline and write the ledger."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--images", type=int, default=8000, help="tiles of each inspection model")
    arguments = parser.parse_args()
    hooks = Hooks(progress=progress, report=console.print)
    pipeline = Pipeline(arguments.out, arguments.fold, hooks, console.print)
    if not (pipeline.data / SCHEMA_FILE).is_file():
        import_folder(arguments.source, pipeline.data, format="magnetic_tile")
    images = [f"training.total_images={arguments.images}"]
    runs = [pipeline.machine_vision(), pipeline.inspection_model("real", overrides=images)]
    synthesizer = pipeline.synthesizer("dbs_gan")
    synthetic = pipeline.balance(synthesizer)
    runs.append(pipeline.inspection_model("real+dbs_gan", synthetic=[synthetic], overrides=images))
    for run in runs:
        append(LEDGER, run)
    result = pipeline.report(
        runs,
        synthesizer=synthesizer,
        plant=PlantAssumptions(),
        title=f"Magnetic tiles, fold {arguments.fold}: does synthesis help?",
    )
    console.print(f"report: {result.html}")


if __name__ == "__main__":
    main()
