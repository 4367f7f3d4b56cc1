"""Time an inspected line-scan frame: a plain PyTorch tile loop against the exported model.

Every way runs in a process of its own, so that its peak memory is its own; the ways take turns
frame by frame, so that a busy machine slows all of them alike, and ratios are taken within a turn.
The network is FC-HarDNet-70 with random weights and thresholds that nothing reaches: what is timed
does not depend on what the weights have learned, but a frame full of regions would take longer.

    python benchmarks/inspect_frame.py --rounds 3 --threads 2
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.inspection.moving_grid import Grid
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.inspection.tiling import predict_tiled, tile_grid

TILE, OVERLAP, WIDTH, HEIGHT = 512, 32, 5400, 2000
SCHEMA = Schema(
    name="frame", backgrounds=make_backgrounds(["foil"]), defects=make_defects(list("abcdef"))
)
THRESHOLDS = Thresholds(pixel=[0.99] * 6, region=0.99)
WAYS = {
    "torch": "PyTorch fp32, tile loop",
    "onnx-plain": "ONNX Runtime as it comes, tile loop",
    "openvino-plain": "OpenVINO as it comes, tile loop",
    "ours-onnx": "ours, ONNX Runtime fp32",
    "ours-fp32": "ours, OpenVINO fp32",
    "ours-bf16": "ours, OpenVINO bf16",
    "ours-bf16-1024": "ours, OpenVINO bf16, windows to 1,024",
    "ours-int8": "ours, OpenVINO int8",
    "ours-int8-1024": "ours, OpenVINO int8, windows to 1,024",
}
REFERENCE = "torch"


def frame(rows: int) -> np.ndarray:
    """Return a noisy grey frame of rows x 5400."""
    return np.random.default_rng(0).integers(90, 160, (rows, WIDTH), np.uint8)


def segmenter():
    """Return FC-HarDNet-70 with the same random weights in every process."""
    import torch

    from flawsmith.models.fc_hardnet import FcHarDNet

    torch.manual_seed(0)
    return FcHarDNet(in_channels=1, num_classes=7).eval()


def prepare(ways: list[str], folder: Path) -> float:
    """Write the models of these ways; return the multiply-accumulates of one tile."""
    import torch

    from flawsmith.experiment.export_graph import write_graph
    from flawsmith.experiment.openvino_graph import to_openvino
    from flawsmith.inspection.exported import ExportedModel, ModelCard
    from flawsmith.nn.cost import macs

    network = segmenter()
    image = torch.zeros(1, 1, TILE, TILE)
    for way in (name for name in ways if name.startswith("ours")):
        _, kind, *window = way.split("-")
        backend = "onnx" if kind == "onnx" else "openvino"
        (folder / way).mkdir()
        write_graph(network, SCHEMA, folder / way, backend=backend, tile=128)
        if kind == "int8":
            _quantise(folder / way)
        side = int(window[0]) if window else TILE
        card = ModelCard(
            name=way, backend=backend, precision="fp32" if kind == "onnx" else kind,
            defect_schema=SCHEMA, thresholds=THRESHOLDS, tile=TILE, overlap=OVERLAP,
            window=(side, side), multiple=32, code_version="benchmark",
        )  # fmt: skip
        ExportedModel.write(folder / way, card)
    import openvino

    openvino.save_model(to_openvino(network, image), folder / "plain.xml", compress_to_fp16=False)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of values taken from shapes
        torch.onnx.export(network, (image,), str(folder / "plain.onnx"), dynamo=False)
    return macs(network, image)


def _quantise(folder: Path) -> None:
    from flawsmith.experiment.export_int8 import quantise_graph

    tiles = frame(TILE)[:, : 8 * 256].reshape(TILE, 8, 256).transpose(1, 0, 2)[..., None]
    limits = np.full(6, 0.5, np.float32)
    quantise_graph(folder, "openvino", [{"image": tile[None], "limits": limits} for tile in tiles])


def reachable(kind: str, threads: int) -> float:
    """Return the multiply-accumulates a second of four wide convolutions, the best of five calls.

    Nothing in a network is easier for the processor, so a frame takes at least its operations
    divided by this.
    """
    import openvino
    from openvino import opset13 as ops

    side, channels, layers = 128, 256, 4
    rng = np.random.default_rng(0)
    image = rng.random((1, channels, side, side), np.float32)
    node = given = ops.parameter(list(image.shape), np.float32)
    for _ in range(layers):
        weights = rng.normal(0, 0.02, (channels, channels, 3, 3)).astype(np.float32)
        ones = [1, 1]
        node = ops.relu(ops.convolution(node, ops.constant(weights), ones, ones, ones, ones))
    model = openvino.Model([node], [given])
    if kind == "int8":
        os.environ.setdefault("NNCF_CI", "1")  # as in export_int8
        import nncf

        model = nncf.quantize(model, nncf.Dataset([image]), subset_size=1)
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}  # fmt: skip
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        request.infer([image])
        seconds.append(time.perf_counter() - start)
    return layers * channels**2 * 9 * side**2 / min(seconds)


def tile_loop(scores: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], dict]:
    """Return an inspection that sends float tiles one by one and blends all class scores."""
    from flawsmith.inspection.regions import find_regions

    def inspect(image: np.ndarray) -> dict:
        start = time.perf_counter()
        inside = [0.0]

        def timed(tiles: np.ndarray) -> np.ndarray:
            begin = time.perf_counter()
            found = scores(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2)))
            inside[0] += time.perf_counter() - begin
            return found

        unit = (image.astype(np.float32) / 255 * 2 - 1)[..., None]
        found = predict_tiled(unit, timed, TILE, OVERLAP, 1)
        middle = time.perf_counter()
        find_regions(classify(found, THRESHOLDS), found, SCHEMA)
        end = time.perf_counter()
        return {"tiles": middle - start - inside[0], "network": inside[0], "regions": end - middle}

    return inspect


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return N x K x H x W probabilities."""
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def load(way: str, folder: Path, threads: int) -> Callable[[np.ndarray], dict]:
    """Return one way to inspect a frame: image to seconds by stage."""
    if way == "torch":
        import torch

        torch.set_num_threads(threads)
        network = segmenter()

        def predict(tiles: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return network(torch.from_numpy(tiles)).softmax(dim=1).numpy()

        return tile_loop(predict)
    if way == "openvino-plain":
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(folder / "plain.xml", "CPU", settings)
        return tile_loop(lambda tiles: softmax(compiled(tiles)[0]))
    if way == "onnx-plain":
        import onnxruntime

        given = onnxruntime.SessionOptions()
        given.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(folder / "plain.onnx"), given)
        name = session.get_inputs()[0].name
        return tile_loop(lambda tiles: softmax(session.run(None, {name: tiles})[0]))
    from flawsmith.inspection.exported import ExportedModel
    from flawsmith.inspection.runtime import Runtime

    runtime = Runtime(ExportedModel.load(folder / way), threads=threads)
    return lambda image: runtime.inspect(image).seconds


def serve(way: str, folder: Path, threads: int, rows: int) -> None:
    """Inspect one frame for each line on standard input; print seconds and peak memory."""
    inspect, image = load(way, folder, threads), frame(rows)
    inspect(image[:TILE])
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        stages = inspect(image)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "stages": stages, "MiB": peak_mib()}), flush=True)


def peak_mib() -> float:
    """Return the peak memory of this process; getrusage would give the parent's if it was more."""
    return memory_mib("VmHWM")


def memory_mib(name: str) -> float:
    """Return a size that the system knows of this process: VmHWM the peak, VmRSS that of now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def around(rows: int, folder: Path) -> str:
    """Return what a frame as a PNG file takes beside its inspection, best of five, in words."""
    from flawsmith.data.images import encode_png
    from flawsmith.inspection.findings import Findings
    from flawsmith.line.inspector import Inspector, OpenPart
    from flawsmith.line.part_images import PartImage
    from flawsmith.line.rules import AcceptanceRules
    from flawsmith.line.store import Store

    class Quick:
        def inspect(self, image: np.ndarray) -> Findings:
            return Findings(regions=[], width=image.shape[1], height=image.shape[0])

    data, seconds = encode_png(frame(rows)), []
    with Store(str(folder / "results.db")) as store:
        rules = AcceptanceRules.default(SCHEMA, THRESHOLDS)
        inspector = Inspector(Quick(), "0" * 64, rules, store)
        for turn in range(5):
            start = time.perf_counter()
            name = f"part {turn}"
            image = PartImage.from_bytes(data, name=name, part=name, view="").decoded()
            part, decoded = OpenPart(name), time.perf_counter()
            inspector.look(image, part)
            looked = time.perf_counter()
            inspector.conclude(part)
            seconds.append((decoded - start, time.perf_counter() - looked))
    decode, stored = (1000 * min(column) for column in zip(*seconds, strict=True))
    return (
        f"beside it: decoding a PNG of {len(data) / 1e6:.1f} MB {decode:.0f} ms, verdict and store "
        f"{stored:.0f} ms"
    )


def measure(ways: list[str], folder: Path, options: argparse.Namespace) -> dict[str, list[dict]]:
    """Let the ways take turns; return what each said of every frame."""
    found: dict[str, list[dict]] = {way: [] for way in ways}
    children = {}
    for way in ways:
        command = [sys.executable, __file__, "--serve", way, "--folder", str(folder), "--threads",
                   str(options.threads), "--rows", str(options.rows)]  # fmt: skip
        children[way] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        children[way].stdout.readline()  # one after another, so that none is slowed by the next
    for _ in range(options.rounds):
        for way, child in children.items():
            child.stdin.write("\n")
            child.stdin.flush()
            found[way].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.stdin.close()
        child.wait()
    return found


def processed(way: str, rows: int) -> int:
    """Return the pixels that go through the network for one frame."""
    side = 1024 if way.endswith("1024") else TILE
    grid = Grid(TILE, OVERLAP, (side, side), 32)
    height, (width, starts) = grid.rows(rows), grid.columns(WIDTH)
    return len(tile_grid(rows, width, height, OVERLAP)) * len(starts) * height * width


def show(found: dict[str, list[dict]], cost: float, options: argparse.Namespace) -> None:
    """Print a line a way; the ratio is the median over turns, with the lowest and the highest."""
    each = cost / TILE**2 / 1e9  # of a pixel; the network is convolutional
    console = Console(width=140)
    console.print(
        f"{options.rows} x {WIDTH} px, {each * options.rows * WIDTH:.0f} GMAC without overlaps, "
        f"{options.threads} threads, {options.rounds} turns"
    )
    table = Table("way", "times as fast", "s a frame", "tiles", "network", "regions", "MiB",
                  "GMAC", "GMAC/s")  # fmt: skip
    base = np.array([turn["seconds"] for turn in found[REFERENCE]])
    for way, turns in found.items():
        seconds = np.array([turn["seconds"] for turn in turns])
        ratio = base / seconds
        gmac = each * processed(way, options.rows)
        stages = [np.median([turn["stages"][s] for turn in turns])
                  for s in ("tiles", "network", "regions")]  # fmt: skip
        table.add_row(
            WAYS[way],
            f"{np.median(ratio):.1f} ({ratio.min():.1f} - {ratio.max():.1f})",
            f"{np.median(seconds):.2f}",
            *(f"{value:.2f}" for value in stages),
            f"{max(turn['MiB'] for turn in turns):.0f}",
            f"{gmac:.0f}",
            f"{gmac / np.median(seconds):.0f}",
        )
    console.print(table)


def main() -> None:
    """Prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=HEIGHT, help="of the frame; 2000 is the claim")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--serve", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.folder, options.threads, options.rows)
        return
    ways = [REFERENCE, *(way for way in options.ways if way != REFERENCE)]
    with tempfile.TemporaryDirectory() as name:
        cost = prepare(ways, Path(name))
        show(measure(ways, Path(name), options), cost, options)
        print(around(options.rows, Path(name)))
    for kind in ["fp32", *["int8"] * any("int8" in way for way in ways)]:
        print(f"reachable in {kind}: {reachable(kind, options.threads) / 1e9:.0f} GMAC/s")


if __name__ == "__main__":
    main()
