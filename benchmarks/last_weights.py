"""Are the best weights by validation better than the last ones? For runs that kept both.

A segmentation network keeps its best weights at a constant learning rate; until D86 it did always,
so runs of commit 55b5245 and before have both. Of each, macro IoU on validation parts (the
threshold fitted without the part's fifth; the best weights were chosen on these parts, which
flatters them) and on test parts.

    python benchmarks/last_weights.py RUN [RUN ...]
"""

import argparse
from pathlib import Path

from threshold_rules import counted, crossed, one_for_all, opened, scored

from flawsmith.metrics.segmentation import macro_iou
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.loop import BEST


def row(run: Path) -> str:
    """Return a run's row of the table."""
    one, last = opened(run), ckpt.checkpoints(run)[-1]
    progress = ckpt.read_state(last)["progress"]
    cells = []
    for file, images in (
        (run / f"{BEST}.safetensors", progress["best_images"]),
        (last / "ema.safetensors", progress["images"]),
    ):
        ckpt.load_network_tensors(one.model.training.networks(), ckpt.load_tensors(file))
        kept = scored(one.model, one.dataset, one.validation)
        tested = counted(scored(one.model, one.dataset, one.test), one_for_all(kept))
        inner = float(macro_iou(crossed(kept, one_for_all)))
        cells.append(f"{images:,}: {inner:.3f}, {float(macro_iou(tested)):.3f}")
    return f"| {one.head} | {' | '.join(cells)} |"


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    print("| arm | fold | best weights | last weights |\n|---|---|---|---|")
    for run in parser.parse_args().runs:
        print(row(run), flush=True)


if __name__ == "__main__":
    main()
