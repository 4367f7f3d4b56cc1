"""What does the novelty score cost a tile? Distances inside the graph, or beside it in NumPy.

Random patches stand for the memory bank: time does not depend on them. Least processor time of
several runs, on one thread, so that other work on the machine counts little.

    python benchmarks/novelty_cost.py [--tile 512] [--bank 2000] [--runs 9]
"""

import argparse
import functools
import time
from collections.abc import Callable

import numpy as np
import openvino
import torch

from flawsmith.cli.console import console
from flawsmith.data.schema import Schema, make_backgrounds
from flawsmith.experiment.export_novelty import NoveltyGraph
from flawsmith.experiment.openvino_graph import to_openvino
from flawsmith.inspection.patchcore import PatchCore
from flawsmith.models.efficientnet_lite0 import EfficientNetLite0

CHANNELS = 152


class Maps(NoveltyGraph):
    """What a graph would give where NumPy computes the distances."""

    def forward(self, tiles: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return N x h x w x C at strides 8 and 16."""
        return tuple(values.permute(0, 2, 3, 1) for values in self.maps(tiles))


def least_milliseconds(work: Callable[[], object], runs: int) -> float:
    """Return the least processor time of several runs after one that does not count."""
    work()
    found = []
    for _ in range(runs):
        start = time.process_time()
        work()
        found.append(1000 * (time.process_time() - start))
    return min(found)


def request(module: torch.nn.Module, tile: torch.Tensor, precision: str) -> openvino.InferRequest:
    """Return a module compiled for one thread."""
    model = to_openvino(module, tile)
    model.reshape(list(tile.shape))
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    return openvino.Core().compile_model(model, "CPU", options).create_infer_request()


def main() -> None:
    """Time both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--bank", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((arguments.bank, CHANNELS)).astype(np.float32)
    core = PatchCore(bank, np.zeros(CHANNELS, np.float32), np.ones(CHANNELS, np.float32), 3, 4.0)
    schema = Schema(name="cost", backgrounds=make_backgrounds(["body"]))
    network = EfficientNetLite0()
    tile = torch.from_numpy(rng.uniform(0, 255, (1, arguments.tile, arguments.tile, 1)))
    tile = tile.float()
    parts = {
        "encoder alone": Maps(core, network, schema).eval(),
        "encoder and distances": NoveltyGraph(core, network, schema).eval(),
    }
    figures = {}
    for precision in ("f32", "bf16"):
        for name, module in parts.items():
            infer = functools.partial(request(module, tile, precision).infer, [tile.numpy()])
            figures[f"{name}, {precision}"] = least_milliseconds(infer, arguments.runs)
    with torch.inference_mode():
        maps = [values.numpy() for values in parts["encoder alone"](tile)]
    distances = functools.partial(core.distances, maps)
    figures["distances in NumPy"] = least_milliseconds(distances, arguments.runs)
    console.print(f"{arguments.tile} px tile, {arguments.bank} patches in the bank, one thread")
    for name, value in figures.items():
        console.print(f"{name}: {value:.0f} ms")


if __name__ == "__main__":
    main()
