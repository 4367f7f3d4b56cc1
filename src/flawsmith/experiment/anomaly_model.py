"""PatchCore on the pretrained encoder: learned from good images alone, tested like every model.

An anomaly has no class. In the test all defect classes are one, parts get their verdicts, and the
figures by class are absent. The threshold comes from good validation parts only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel, validate
from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import ImageArray, LabelArray, to_unit
from flawsmith.data.schema import IGNORE, Schema, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.patchcore import (
    BorderStatistics,
    Features,
    Floats,
    PatchCore,
    parts_needed,
    with_margin,
)
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.inspection.tiling import tile_grid
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.testing import Predict, SavePrediction
from flawsmith.models.efficientnet_lite0 import (
    FEATURE_STAGES,
    EfficientNetLite0,
    load_pretrained,
    to_rgb,
)
from flawsmith.storage import write_bytes
from flawsmith.systems.segmentation import InspectionModelConfig
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.loop import Hooks

PATCHCORE = "patchcore"
BANK_FILE = "patchcore.npz"
ENCODER_FILE = "encoder.safetensors"
ANOMALY = "anomaly"
STAGES = FEATURE_STAGES[2:4]
"""Strides 8 and 16, as in the paper: finer maps know no shapes, coarser ones ImageNet's classes."""
THRESHOLDS = Thresholds(pixel=[0.5], region=0.5)
"""The scale of the bank puts the operating point at 0.5."""


class PatchCoreSettings(StrictModel):
    """The table ``network`` of a patchcore run.

    Attributes:
        bank_size: patches in the memory bank.
        candidates: patches of good images that it is chosen from, at random.
        window: neighbours that a patch is averaged over, odd.
        smoothing: blur of the distances, in pixels.
        overkill: share of good parts that may fail.
    """

    bank_size: int = Field(default=2000, ge=1)
    candidates: int = Field(default=20_000, ge=1)
    window: int = Field(default=3, ge=1)
    smoothing: float = Field(default=4.0, gt=0)
    overkill: float = Field(default=0.05, gt=0, lt=1)


def patchcore_settings(values: dict[str, object]) -> PatchCoreSettings:
    """Return the complete settings.

    Raises:
        FlawsmithError: for an unknown setting or a wrong value, naming it.
    """
    settings = validate(PatchCoreSettings, values, source="table 'network' of patchcore")
    if settings.window % 2 == 0:
        raise FlawsmithError(f"network.window = {settings.window}; expected an odd number")
    return settings


@dataclass
class AnomalyModel:
    """Gives 2 x H x W scores in [0, 1], good and anomalous, for an image of any size."""

    core: PatchCore
    encoder: EfficientNetLite0
    schema: Schema
    tile_size: int
    overlap: int
    batch_size: int = 8

    def predict(self, image: ImageArray) -> NDArray[np.float32]:
        """Return the scores of a whole image."""
        return self.core.scores(self.heat_map(image))

    def heat_map(self, image: ImageArray) -> Floats:
        """Return H x W distances of a whole image."""
        return self.core.heat_map(
            signed(image, self.schema), encoder_features(self.encoder),
            tile=self.tile_size, overlap=self.overlap, batch_size=self.batch_size,
        )  # fmt: skip

    @classmethod
    def load(cls, run: Path, config: InspectionModelConfig) -> Self:
        """Load a run: its own encoder weights, nothing else needs to be installed."""
        encoder = EfficientNetLite0()
        ckpt.load_network_tensors({"encoder": encoder}, ckpt.load_tensors(run / ENCODER_FILE))
        core = PatchCore.load(run / BANK_FILE)
        return cls(
            core, encoder.eval(), Schema.load(run), config.training.tile_size, config.overlap
        )


def signed(image: ImageArray, schema: Schema) -> ImageArray:
    """Return H x W x C pixels in [-1, 1]."""
    return cast(ImageArray, to_unit(image, schema) * np.float32(2) - np.float32(1))


def encoder_features(encoder: EfficientNetLite0) -> Features:
    """Return the function from tiles to the encoder's maps at strides 8 and 16."""

    @torch.inference_mode()
    def features(tiles: ImageArray) -> list[Floats]:
        x = torch.from_numpy(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2)))
        x, maps = encoder.stem(to_rgb(x)), []
        for index, stage in enumerate(encoder.stages[: STAGES[-1] + 1]):
            x = stage(x)
            if index in STAGES:
                maps.append(x.permute(0, 2, 3, 1).numpy())
        return maps

    return features


def fit_anomaly_model(
    config: InspectionModelConfig,
    run: Path,
    dataset: DefectDataset,
    validation: Sequence[ImageRecord],
    hooks: Hooks,
) -> None:
    """Learn from the good training images, calibrate on the good validation parts, write both.

    Raises:
        FlawsmithError: if either has no good image.
    """
    settings = patchcore_settings(config.network)
    calibration = [record for record in validation if record.is_good]
    if not calibration:
        raise FlawsmithError(
            "patchcore takes its threshold from good parts that it has not learned from, and there "
            "is none: import good images, freeze folds, and keep data.validation_share above 0"
        )
    encoder = load_pretrained()
    batches = _good_tiles(config, dataset, hooks)
    features = encoder_features(encoder)
    core = PatchCore.fit(
        (features(tiles) for tiles in batches),
        bank_size=settings.bank_size,
        candidates=settings.candidates,
        window=settings.window,
        smoothing=settings.smoothing,
        seed=config.training.seed,
    )
    model = AnomalyModel(core, encoder, dataset.schema, config.training.tile_size, config.overlap)
    parts: dict[str, BorderStatistics] = {}
    with hooks.bar("threshold", len(calibration)) as advance:
        for record in calibration:
            found = BorderStatistics.of(model.heat_map(dataset.image(record)))
            parts[record.part] = parts.get(record.part, BorderStatistics()) + found
            advance(1)
    ckpt.save_tensors(run / ENCODER_FILE, ckpt.network_tensors({"encoder": encoder}))
    core.calibrated(list(parts.values()), settings.overkill).save(run / BANK_FILE)
    needed = parts_needed(settings.overkill)
    if len(parts) < needed:
        hooks.report(
            f"the threshold is the highest of {len(parts)} good validation parts: too few to "
            f"promise {settings.overkill:.0%} overkill, which takes {needed}; expect about "
            f"{1 / (len(parts) + 1):.0%}, add good parts or raise data.validation_share"
        )


def _good_tiles(
    config: InspectionModelConfig, dataset: DefectDataset, hooks: Hooks
) -> Iterator[ImageArray]:
    """Yield batches of tiles of good images: at most ``total_images``, all images alike."""
    settings = config.training
    rng = np.random.default_rng(settings.seed)
    good = [record for record in dataset.records if record.is_good]
    share = max(settings.total_images // max(len(good), 1), 1)
    chosen = [good[i] for i in np.sort(rng.permutation(len(good))[: settings.total_images])]
    size = settings.tile_size
    tiles: list[NDArray[np.float32]] = []
    with hooks.bar("fit", len(chosen)) as advance:
        for record in chosen:
            image = with_margin(signed(dataset.image(record), dataset.schema))
            height, width = image.shape[:2]
            padding = [(0, max(size - height, 0)), (0, max(size - width, 0)), (0, 0)]
            padded = np.pad(image, padding, mode="reflect").astype(np.float32, copy=False)
            grid = tile_grid(padded.shape[0], padded.shape[1], size, config.overlap)
            for place in rng.permutation(len(grid))[:share]:
                y, x = grid[place]
                tiles.append(padded[y : y + size, x : x + size])
                if len(tiles) == settings.batch_size:
                    yield cast(ImageArray, np.stack(tiles))
                    tiles.clear()
            advance(1)
    if tiles:
        yield cast(ImageArray, np.stack(tiles))


class AnyDefect(DefectDataset):
    """The same images with all defect classes taken as one."""

    def __init__(self, dataset: DefectDataset) -> None:
        schema = dataset.schema.model_copy(update={"defects": make_defects([ANOMALY])})
        super().__init__(dataset.root, schema, dataset.records)
        self._dataset = dataset

    def label_map(self, record: ImageRecord) -> LabelMap:
        """Return the label map: 1 for every defect."""
        given = self._dataset.label_map(record)
        defects = np.where(given.defects == IGNORE, IGNORE, given.defects > 0).astype(np.uint8)
        return LabelMap(defects, given.backgrounds)


def without_classes(evaluation: Evaluation, dataset: DefectDataset) -> Evaluation:
    """Return the figures of a test on `AnyDefect` that stand beside those of other models."""
    return evaluation.model_copy(
        update={
            "data_fingerprint": dataset.fingerprint(),
            "classes": [],
            "macro_iou": None,
            "macro_iou_interval": None,
            "pixel_accuracy": None,
            "parts": [part.model_copy(update={"counts": {}}) for part in evaluation.parts],
        }
    )


def with_heat_maps(
    out: Path, predict: Predict, save_prediction: SavePrediction
) -> tuple[Predict, SavePrediction]:
    """Return the two functions of a test, which write ``heat_maps/*.png`` in ``out`` as well.

    Grey PNGs of the anomaly scores; 128 is the threshold. A prediction is saved before the next
    image is predicted, so that one map is kept.
    """
    folder = out / "heat_maps"
    folder.mkdir(exist_ok=True)
    latest: list[NDArray[np.float32]] = []

    def predict_and_keep(image: ImageArray) -> NDArray[np.float32]:
        latest[:] = [predict(image)]
        return latest[0]

    def save(record: ImageRecord, indices: LabelArray) -> str:
        grey = np.round(latest[0][1] * 255).astype(np.uint8)
        name = f"{Path(record.file_name).stem}.png"
        write_bytes(folder / name, cv2.imencode(".png", grey)[1].tobytes())
        return save_prediction(record, indices)

    return predict_and_keep, save
