"""From a trained run to the folder that a line PC needs, kept only if it decides as the run."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from flawsmith.config import validate
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import PATCHCORE
from flawsmith.experiment.export_check import (
    RunAnswers,
    as_schema_says,
    compare,
    require_few_flips,
)
from flawsmith.experiment.export_graph import write_graph
from flawsmith.experiment.export_int8 import quantise
from flawsmith.experiment.export_novelty import REVIEW_RATE, export_novelty
from flawsmith.experiment.inspection_model import (
    InspectionModel,
    kept_weights,
    load_config,
    load_thresholds,
)
from flawsmith.experiment.source import code_hash
from flawsmith.experiment.training_data import training_datasets
from flawsmith.inspection.exported import (
    Arithmetic,
    Backend,
    Calibration,
    ExportedModel,
    ModelCard,
    RunIdentity,
)
from flawsmith.inspection.runtime import Runtime
from flawsmith.storage import new_folder
from flawsmith.systems.classification import ClassificationConfig
from flawsmith.systems.segmentation import InspectionModelConfig
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.loop import Hooks

MACHINE_VISION = "machine_vision"
MULTIPLE = 32
"""Every network halves its input at most five times."""

SMALLEST_TILE = 64
LARGEST_WINDOW = 1024
"""Larger ones save little and need memory: 1,024 px with 32 px of overlap are 6 % more pixels."""

TIMED_IMAGES = 4
WORTHWHILE = 0.95
"""Another precision or a larger window is taken if it needs at most this share of the time."""


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What a run is exported to.

    Attributes:
        backend: openvino or onnx.
        precision: int8 quantises, calibrated on training tiles; auto is bf16 where this processor,
            which compares the models, has it and is faster with it, otherwise fp32.
        window: side of the largest window in pixels; None measures which is the fastest.
        calibration: size of a pixel; without one nothing is measured in mm.
        max_flips: parts whose verdict may differ from the run's.
        novelty: run of patchcore whose score stands beside the network's regions.
        review_rate: share of good parts that may go to a person for novelty.
        threads: of the processor; default: all cores.
    """

    backend: Backend = "openvino"
    precision: Literal["auto", "fp32", "int8"] = "auto"
    window: int | None = None
    calibration: Calibration | None = None
    max_flips: int = 0
    novelty: Path | None = None
    review_rate: float = REVIEW_RATE
    threads: int | None = None


def export_run(
    run: Path, out: Path, settings: ExportSettings, hooks: Hooks | None = None
) -> ExportedModel:
    """Write the exported model of a run into the new folder ``out``.

    Both models inspect the run's inner validation parts (those that chose its thresholds).

    Raises:
        FlawsmithError: if the run is no finished segmentation network, or more verdicts flip than
            allowed; nothing is written then.
    """
    hooks = hooks or Hooks()
    config = exportable_config(run)
    model = InspectionModel.load(run)
    datasets, validation = training_datasets(config.data)
    dataset, records = datasets[0], _real(validation or datasets[0].records)
    if not validation:
        hooks.report(f"{run} kept no part for validation; compared on its training images")
    schema = _calibrated(model.schema, settings.calibration, hooks)
    card = _card(run, config, dataset, schema, settings)
    tile = card.tile
    with new_folder(out, what="exported model") as folder:
        novelty = _write_novelty(folder, schema, settings, hooks)
        write_graph(model.training.segmenter, schema, folder, backend=settings.backend, tile=tile)
        if settings.precision == "int8":
            quantise(folder, settings.backend, dataset, schema, tile, seed=config.training.seed)
        images = [as_schema_says(dataset.image(r), schema) for r in records[:TIMED_IMAGES]]
        runtime = fastest_precision(ExportedModel.write(folder, card), images, settings.threads)
        if settings.window is None:
            runtime = _with_window(runtime, fastest_window(runtime, images))

        answers = RunAnswers(model, dataset, records, card.thresholds)
        allowed = settings.max_flips
        check = compare(answers, runtime, allowed=allowed, hooks=hooks)
        # A larger window shows the network more surroundings than it was trained with.
        if settings.window is None and check.too_many and max(runtime.exported.card.window) > tile:
            hooks.report(f"larger windows are left out: {check.words()}")
            runtime = _with_window(runtime, tile)
            check = compare(answers, runtime, allowed=allowed, hooks=hooks)
        card = runtime.exported.card
        require_few_flips(check, card)
        whole = {"check": check.summary, "novelty": novelty}
        ExportedModel.write(folder, card.model_copy(update=whole))
    hooks.report(check.words())
    return ExportedModel.load(out)


def _write_novelty(
    folder: Path, schema: Schema, settings: ExportSettings, hooks: Hooks
) -> dict[str, Any] | None:
    """Write ``novelty.*`` if a patchcore run is given; return its settings for ``model.json``."""
    if settings.novelty is None:
        return None
    written = export_novelty(
        settings.novelty, folder, review_rate=settings.review_rate, schema=schema, hooks=hooks
    )
    return written.model_dump(mode="json")


def _card(
    run: Path,
    config: InspectionModelConfig,
    dataset: DefectDataset,
    schema: Schema,
    settings: ExportSettings,
) -> ModelCard:
    """Return the description of the model before its comparison.

    Raises:
        FlawsmithError: for settings that do not fit each other.
    """
    tile = _tile(config)
    if settings.window is not None and (settings.window % MULTIPLE or settings.window < tile):
        raise FlawsmithError(
            f"windows of {settings.window} px; expected a multiple of {MULTIPLE} from {tile}, the "
            "side of the training tiles"
        )
    values = {
        "name": run.resolve().name,
        "backend": settings.backend,
        "precision": _precision(settings),
        "schema": schema,
        "thresholds": load_thresholds(run),
        "tile": tile,
        "overlap": min(max(config.overlap, MULTIPLE), tile // 2),
        "window": (settings.window or tile,) * 2,
        "multiple": MULTIPLE,
        "calibration": settings.calibration,
        "run": _identity(run, config, dataset),
        "code_version": f"{version('flawsmith')}+{code_hash()}",
    }
    return validate(ModelCard, values, source=f"export of {run}")


def exportable_config(run: Path) -> InspectionModelConfig:
    """Return the configuration of a run with a segmentation network.

    Raises:
        FlawsmithError: for any other run, saying what it can be used for.
    """
    config = load_config(run)
    if isinstance(config, ClassificationConfig):
        raise FlawsmithError(
            f"{run} is a classification model ({config.system}), which gives no regions; only "
            "models that score pixels are exported, such as fc_hardnet70 or efficientnet_lite0"
        )
    if config.system == PATCHCORE:
        raise FlawsmithError(
            f"{run} is a patchcore run; on the line it is the novelty score beside a segmentation "
            f"network: export that network's run with --novelty {run}"
        )
    if config.system == MACHINE_VISION:
        raise FlawsmithError(
            f"{run} is machine vision with fixed rules and has no network; train one to export: "
            "flawsmith model train --network fc_hardnet70"
        )
    return config


def fastest_precision(
    exported: ExportedModel, images: list[ImageArray], threads: int | None
) -> Runtime:
    """Return the model compiled as its card says, or in fp32 where bf16 is not faster.

    A processor may have bf16 without units that multiply whole tiles of it; then it is slower.
    """
    runtimes = [Runtime(exported, threads=threads)]
    if exported.card.precision == "bf16":
        card = exported.card.model_copy(update={"precision": "fp32"})
        plain = dataclasses.replace(exported, card=card)
        runtimes.append(Runtime(plain, threads=threads))
    return runtimes[_fastest(runtimes, images)]


def fastest_window(runtime: Runtime, images: list[ImageArray]) -> int:
    """Return the side of the largest window that needs the least time for these images.

    Candidates are the tile and its doubles; they take turns, and each keeps its best time.
    """
    card = runtime.exported.card
    sides = [card.tile]
    longest = max(max(image.shape[:2]) for image in images)
    while 2 * sides[-1] <= LARGEST_WINDOW and sides[-1] < longest:
        sides.append(2 * sides[-1])
    return sides[_fastest([_with_window(runtime, side) for side in sides], images)]


def _fastest(runtimes: Sequence[Runtime], images: list[ImageArray]) -> int:
    """Return the place of the first that no later one beats by more than `WORTHWHILE`."""
    if len(runtimes) == 1:
        return 0
    seconds = [float("inf")] * len(runtimes)
    for turn in range(3):
        for place, runtime in enumerate(runtimes):
            start = time.perf_counter()
            for image in images:
                runtime.maps(image)
            if turn:  # the first one warms up: primitives are made for each new size
                seconds[place] = min(seconds[place], time.perf_counter() - start)
    chosen = 0
    for place in range(1, len(runtimes)):
        if seconds[place] < WORTHWHILE * seconds[chosen]:
            chosen = place
    return chosen


def _with_window(runtime: Runtime, side: int) -> Runtime:
    """Return a runtime with the same compiled network and another largest window."""
    exported = runtime.exported
    card = exported.card.model_copy(update={"window": (side, side)})
    return Runtime(dataclasses.replace(exported, card=card), network=runtime.network)


def _real(records: list[ImageRecord]) -> list[ImageRecord]:
    kept = [r for r in records if r.source == "real" and r.excluded is None]
    if not kept:
        raise FlawsmithError(
            "the run's data set has no real image to compare the exported model on"
        )
    return kept


def _calibrated(schema: Schema, calibration: Calibration | None, hooks: Hooks) -> Schema:
    """Return the schema with the size of a pixel that a calibration gives; without one none."""
    size = schema.pixel_size_mm
    if calibration is None and size is not None:
        hooks.report(
            f"sizes are in px alone: the data set says {size.x:g} x {size.y:g} mm a pixel, but not "
            f"how sure that is and until when; to measure in mm give --mm-per-pixel {size.x:g} "
            f"{size.y:g} with --uncertainty, --calibrated and --valid-until"
        )
    size = None if calibration is None else calibration.mm_per_pixel
    return schema.model_copy(update={"pixel_size_mm": size})


def _tile(config: InspectionModelConfig) -> int:
    side = -(-config.training.tile_size // MULTIPLE) * MULTIPLE
    return max(side, SMALLEST_TILE)


def _precision(settings: ExportSettings) -> Arithmetic:
    """Return the lowest arithmetic that the exported model may use."""
    if settings.precision != "auto":
        return settings.precision
    if settings.backend == "onnx":
        return "fp32"
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "fp32"


def _identity(run: Path, config: InspectionModelConfig, dataset: DefectDataset) -> RunIdentity:
    return RunIdentity(
        name=run.resolve().name,
        network=config.system,
        config_sha256=hashlib.sha256((run / CONFIG_FILE).read_bytes()).hexdigest(),
        weights_sha256=hashlib.sha256(kept_weights(run).read_bytes()).hexdigest(),
        data_fingerprint=dataset.fingerprint(),
    )
