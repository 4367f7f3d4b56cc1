"""A trained inspection model on whole images: network, schema, thresholds, tiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from flawsmith.config import load_toml, to_toml, validate
from flawsmith.data.images import ImageArray, to_unit
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import BANK_FILE, AnomalyModel
from flawsmith.inspection.machine_vision import MachineVision
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.inspection.tiling import predict_tiled
from flawsmith.models.classifiers import CLASSIFIERS
from flawsmith.storage import write_text
from flawsmith.systems.classification import ClassificationConfig
from flawsmith.systems.segmentation import InspectionModelConfig, SegmentationTraining
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import saved_values
from flawsmith.training.loop import BEST, Trainable
from flawsmith.training.precision import Precision, keep_freed_memory

THRESHOLDS_FILE = "thresholds.toml"
MACHINE_VISION_FILE = "machine_vision.toml"
Predict = Callable[[ImageArray], NDArray[np.float32]]
PredictMany = Callable[[Sequence[ImageArray]], list[NDArray[np.float32]]]
ModelConfig = InspectionModelConfig | ClassificationConfig


@dataclass
class InspectionModel:
    """Gives (1 + D) x H x W class scores in [0, 1] for an image of any size."""

    training: SegmentationTraining
    schema: Schema
    tile_size: int
    overlap: int
    batch_size: int = 16

    @torch.inference_mode()
    def predict(self, image: ImageArray) -> NDArray[np.float32]:
        """Return the scores of a whole image from overlapping tiles."""
        self.training.segmenter.eval()
        unit = to_unit(image, self.schema) * np.float32(2) - np.float32(1)
        scores = predict_tiled(
            cast(ImageArray, unit), self._predict_batch, self.tile_size, self.overlap,
            self.batch_size,
        )  # fmt: skip
        return scores

    @torch.inference_mode()
    def predict_many(self, images: Sequence[ImageArray]) -> list[NDArray[np.float32]]:
        """Return the scores of several images; those that are one tile each share batches."""
        side = (self.tile_size, self.tile_size)
        if any(image.shape[:2] != side for image in images):
            return [self.predict(image) for image in images]
        self.training.segmenter.eval()
        units = [to_unit(image, self.schema) * np.float32(2) - np.float32(1) for image in images]
        scores: list[NDArray[np.float32]] = []
        for start in range(0, len(units), self.batch_size):
            tiles = np.stack(units[start : start + self.batch_size])
            scores += list(self._predict_batch(cast(ImageArray, tiles)))
        return scores

    def _predict_batch(self, tiles: ImageArray) -> NDArray[np.float32]:
        engine = self.training.engine
        batch = torch.from_numpy(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2)))
        batch = batch.to(engine.device, memory_format=engine.precision.memory_format)
        with engine.precision.autocast(engine.device):
            logits = self.training.segmenter(batch)
        scores: NDArray[np.float32] = logits.float().softmax(dim=1).cpu().numpy()
        return scores

    @classmethod
    def load(cls, run: Path) -> Self:
        """Load the weights that a run kept, see `kept_weights`.

        Raises:
            FlawsmithError: if the folder is no inspection model's run or holds no weights.
        """
        keep_freed_memory()
        config = load_model_config(run)
        schema = Schema.load(run)
        training = SegmentationTraining(config, schema, load=False)
        load_kept_(training, run)
        return cls(training, schema, config.training.tile_size, config.overlap)


def load_kept_(training: Trainable, run: Path) -> None:
    """Put the weights that a run kept into its networks, see `kept_weights`.

    Raises:
        FlawsmithError: if the run holds no weights.
    """
    found = ckpt.checkpoints(run)
    if not found:
        raise FlawsmithError(
            f"{run} has no checkpoint yet; go on with: flawsmith model train --resume {run}"
        )
    engine = training.engine
    engine.precision = Precision(**ckpt.read_state(found[-1])["precision"])
    ckpt.load_network_tensors(training.networks(), ckpt.load_tensors(kept_weights(run)))
    engine.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for network in training.networks().values():
        network.to(engine.device, memory_format=engine.precision.memory_format)  # type: ignore[call-overload]


def kept_weights(run: Path) -> Path:
    """Return the file of a run's best weights by inner validation, else of its last averages.

    Best ones are there where classifiers had images to tell them by, and where a segmentation
    network's learning rate did not fall (D86).
    """
    last = ckpt.checkpoints(run)[-1]
    places = (run / f"{BEST}.safetensors", last / "ema.safetensors", last / "networks.safetensors")
    return next(path for path in places if path.is_file())


def load_config(run: Path) -> ModelConfig:
    """Return the configuration of an inspection model's run, of either kind."""
    values = saved_values(run)
    source = str(run / "config.toml")
    if str(values.get("system")) in CLASSIFIERS:
        return validate(ClassificationConfig, values, source=source)
    return validate(InspectionModelConfig, values, source=source)


def load_model_config(run: Path) -> InspectionModelConfig:
    """Return the configuration of a run whose model gives scores for pixels.

    Raises:
        FlawsmithError: if it is a classification model.
    """
    config = load_config(run)
    if isinstance(config, ClassificationConfig):
        raise FlawsmithError(
            f"{run} is a classification model ({config.system}), which scores whole images; "
            "expected one that scores pixels, trained on masks with a network such as "
            "efficientnet_lite0"
        )
    return config


def load_predict(run: Path) -> Predict:
    """Return what turns an image into scores: a network, patchcore or machine vision.

    The scores of patchcore have two planes, good and anomalous.
    """
    if (run / MACHINE_VISION_FILE).is_file():
        return MachineVision.load(run / MACHINE_VISION_FILE).predict
    if (run / BANK_FILE).is_file():
        return AnomalyModel.load(run, load_model_config(run)).predict
    return InspectionModel.load(run).predict


def load_predict_many(run: Path) -> PredictMany:
    """Return what turns several images into scores, as `load_predict` does one by one."""
    if any((run / name).is_file() for name in (MACHINE_VISION_FILE, BANK_FILE)):
        predict = load_predict(run)
        return lambda images: [predict(image) for image in images]
    return InspectionModel.load(run).predict_many


def save_thresholds(run: Path, thresholds: Thresholds) -> None:
    """Write the operating thresholds into the run's folder."""
    write_text(run / THRESHOLDS_FILE, to_toml(thresholds))


def load_thresholds(run: Path) -> Thresholds:
    """Read the operating thresholds of a run.

    Raises:
        FlawsmithError: if the run's training has not been finished.
    """
    path = run / THRESHOLDS_FILE
    if not path.is_file():
        raise FlawsmithError(
            f"{run} has no thresholds yet; go on with: flawsmith model train --resume {run}"
        )
    return validate(Thresholds, load_toml(path), source=str(path))
