"""The never-seen defect on the line: a patchcore run as the files ``novelty.*``, and its limit.

The limit is set by the exported detector itself, on the good validation parts of the run: what
decides on the line is what was calibrated.
"""

import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import BANK_FILE, STAGES, AnomalyModel
from flawsmith.experiment.export_check import as_schema_says
from flawsmith.experiment.inspection_model import load_model_config
from flawsmith.experiment.openvino_graph import to_openvino
from flawsmith.experiment.training_data import training_datasets
from flawsmith.inspection.novelty import (
    ARRAYS_FILE,
    GRAPH_FILE,
    NoveltyDetector,
    NoveltySettings,
)
from flawsmith.inspection.patchcore import BorderStatistics, PatchCore, parts_needed
from flawsmith.models.efficientnet_lite0 import EfficientNetLite0, to_rgb
from flawsmith.storage import write_bytes
from flawsmith.training.loop import Hooks

REVIEW_RATE = 0.05
NEUTRAL = 1.0
"""Limit of the detector that sets the limit: with the expectation 0 +- 1 it gives distances."""


class NoveltyGraph(nn.Module):
    """Tiles N x tile x tile x C of pixel values to N x h x w distances from the memory bank.

    The same as `PatchCore.distances` on `encoder_features` of pixels in [-1, 1].
    """

    bank: Tensor
    norms: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, core: PatchCore, encoder: EfficientNetLite0, schema: Schema) -> None:
        super().__init__()
        self.encoder, self.window = encoder, core.window
        self.black, self.span = schema.black_level, schema.white_level - schema.black_level
        bank = torch.from_numpy(core.bank)
        self.register_buffer("bank", (-2 * bank).T.contiguous())
        self.register_buffer("norms", (bank**2).sum(dim=1))
        self.register_buffer("mean", torch.from_numpy(core.mean))
        self.register_buffer("deviation", torch.from_numpy(core.deviation))

    def forward(self, tiles: Tensor) -> Tensor:
        """Return the distances to the nearest patch, per square-root channel."""
        patches = (self._patches(self.maps(tiles)) - self.mean) / self.deviation
        rows = patches.flatten(0, 2)
        nearest = (rows @ self.bank + self.norms).amin(dim=1) + (rows**2).sum(dim=1)
        return (nearest.clamp(min=0) / rows.shape[1]).sqrt().reshape(patches.shape[:3])

    def maps(self, tiles: Tensor) -> list[Tensor]:
        """Return the encoder's maps N x C x h x w, as `encoder_features` gives them."""
        unit = ((tiles.permute(0, 3, 1, 2) - self.black) / self.span).clamp(0.0, 1.0)
        x = self.encoder.stem(to_rgb(unit * 2 - 1))
        found = []
        for index, stage in enumerate(self.encoder.stages[: STAGES[-1] + 1]):
            x = stage(x)
            if index in STAGES:
                found.append(x)
        return found

    def _patches(self, maps: list[Tensor]) -> Tensor:
        """Return N x h x w x C, as `patch_features` does."""
        reach, size = self.window // 2, maps[0].shape[2:]
        aligned = []
        for values in maps:
            padded = F.pad(values, [reach] * 4, mode="replicate")
            mean = F.avg_pool2d(padded, self.window, stride=1)
            aligned.append(F.interpolate(mean, size=size, mode="bilinear", align_corners=False))
        return torch.cat(aligned, dim=1).permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Calibration:
    """Good validation images of a patchcore run, and what it was trained with."""

    dataset: DefectDataset
    records: list[ImageRecord]

    @classmethod
    def of(cls, run: Path) -> "Calibration":
        """Find them again.

        Raises:
            FlawsmithError: if the data set is gone, or no good part was kept for validation.
        """
        datasets, validation = training_datasets(load_model_config(run).data)
        good = [record for record in validation if record.is_good]
        if not good:
            raise FlawsmithError(
                f"{run} kept no good part for validation, and the limit of novelty is set on such; "
                "train patchcore with --fold and data.validation_share above 0"
            )
        return cls(datasets[0], good)


def export_novelty(
    run: Path,
    folder: Path,
    *,
    review_rate: float = REVIEW_RATE,
    schema: Schema | None = None,
    hooks: Hooks | None = None,
) -> NoveltySettings:
    """Write ``novelty.xml``, ``.bin`` and ``.npz`` of a patchcore run into an existing folder.

    Args:
        run: of ``flawsmith model train --network patchcore``.
        folder: of the exported model that it stands beside.
        review_rate: share of good parts that may go to a person for novelty, in (0, 1).
        schema: of that model; both must take pixels alike.
        hooks: progress and remarks.

    Returns:
        The settings for ``model.json``.

    Raises:
        FlawsmithError: for another kind of run, other pixels, an impossible rate, or without good
            validation parts.
    """
    hooks = hooks or Hooks()
    if not 0 < review_rate < 1:
        raise FlawsmithError(
            f"a review rate of {review_rate} was given; expected a share of good parts between 0 "
            "and 1, such as 0.05"
        )
    if not (run / BANK_FILE).is_file():
        raise FlawsmithError(
            f"{run} has no {BANK_FILE}; give the run of: flawsmith model train --network patchcore"
        )
    model = AnomalyModel.load(run, load_model_config(run))
    if schema is not None:
        _require_same_pixels(run, model.schema, schema)
    calibration = Calibration.of(run)
    write_graph(model, folder / GRAPH_FILE)
    settings = NoveltySettings(
        tile=model.tile_size,
        overlap=model.overlap,
        smoothing=model.core.smoothing,
        limit=NEUTRAL,
        review_rate=review_rate,
        good_parts=len({record.part for record in calibration.records}),
        source=hashlib.sha256((run / BANK_FILE).read_bytes()).hexdigest(),
    )
    core = _calibrated(model, calibration, folder, settings, hooks)
    write_expected(folder / ARRAYS_FILE, core)
    hooks.report(limit_words(settings))
    return settings.model_copy(update={"limit": core.scale})


def limit_words(settings: NoveltySettings) -> str:
    """Return on how many parts the limit stands, and what that promises."""
    parts, needed = settings.good_parts, parts_needed(settings.review_rate)
    share = 1 - math.ceil((parts + 1) * (1 - settings.review_rate)) / (parts + 1)
    if parts >= needed:
        return (
            f"novelty: limit from {parts} good validation parts; expect {share:.1%} of good parts "
            f"in review for it ({settings.review_rate:.1%} allowed)"
        )
    return (
        f"novelty: the limit is the highest of {parts} good validation parts, too few to promise "
        f"{settings.review_rate:.1%} of good parts in review, which takes {needed}; expect about "
        f"{1 / (parts + 1):.1%}, add good parts or raise data.validation_share"
    )


def write_graph(model: AnomalyModel, path: Path) -> None:
    """Write a run's distances as an OpenVINO graph of one tile, uint8 or uint16 in."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    size, channels = model.tile_size, model.schema.channels
    module = NoveltyGraph(model.core, model.encoder, model.schema).eval()
    example = torch.full((1, size, size, channels), float(model.schema.black_level))
    graph = to_openvino(module, example)
    graph.reshape([1, size, size, channels])
    processor = PrePostProcessor(graph)
    kind = openvino.Type.u8 if model.schema.bit_depth == 8 else openvino.Type.u16
    processor.input().tensor().set_element_type(kind)
    processor.input().preprocess().convert_element_type(openvino.Type.f32)
    openvino.save_model(processor.build(), path, compress_to_fp16=False)


def _calibrated(
    model: AnomalyModel,
    calibration: Calibration,
    folder: Path,
    settings: NoveltySettings,
    hooks: Hooks,
) -> PatchCore:
    """Return the bank with expectation and scale as the graph in ``folder`` finds them."""
    core = model.core
    neutral = PatchCore(core.bank, core.mean, core.deviation, core.window, core.smoothing)
    write_expected(folder / ARRAYS_FILE, neutral)
    detector = NoveltyDetector.from_files(
        lambda name: (folder / name).read_bytes(), settings, model.schema
    )
    parts: dict[str, BorderStatistics] = {}
    with hooks.bar("limit of novelty", len(calibration.records)) as advance:
        for record in calibration.records:
            image = as_schema_says(calibration.dataset.image(record), model.schema)
            found = BorderStatistics.of(detector.heat_map(image))
            parts[record.part] = parts.get(record.part, BorderStatistics()) + found
            advance(1)
    return core.calibrated(list(parts.values()), settings.review_rate)


def write_expected(path: Path, core: PatchCore) -> None:
    """Write what good images have in each cell."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, expected=core.expected.astype(np.float32))
    write_bytes(path, buffer.getvalue())


def _require_same_pixels(run: Path, given: Schema, wanted: Schema) -> None:
    """Raise a `FlawsmithError` where the two models take pixels for different things."""
    names = ("channels", "bit_depth", "black_level", "white_level")
    different = [
        f"{name} {getattr(given, name)} and {getattr(wanted, name)}"
        for name in names
        if getattr(given, name) != getattr(wanted, name)
    ]
    if different:
        raise FlawsmithError(
            f"{run} and the inspection model take pixels differently ({', '.join(different)}); "
            "train patchcore on the same data set"
        )
