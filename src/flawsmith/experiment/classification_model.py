"""A trained classification model on whole images: scores, class-activation maps, features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawsmith.data.images import ImageArray, to_unit
from flawsmith.data.schema import Schema
from flawsmith.data.whole_images import fit
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.inspection_model import load_config, load_kept_
from flawsmith.systems.classification import ClassificationConfig, ClassificationTraining
from flawsmith.training.precision import keep_freed_memory

Floats = NDArray[np.float32]


@dataclass
class ClassificationModel:
    """Gives K class scores in [0, 1] for an image of any size, and what they are made of."""

    training: ClassificationTraining
    schema: Schema
    tile_size: int
    batch_size: int = 16

    def predict(self, image: ImageArray) -> Floats:
        """Return K scores of a whole image."""
        scores: Floats = self.predict_many([image])[0]
        return scores

    def predict_many(self, images: Sequence[ImageArray]) -> Floats:
        """Return N x K scores of whole images."""
        return self._each(images, lambda batch: self.training.classifier(batch).sigmoid())

    def activation(self, image: ImageArray) -> Floats:
        """Return K x H x W maps in [0, 1] of the places that speak for each class.

        The logit of a class is the mean of its map (Zhou et al. 2016); a place has the sigmoid
        of its own value, which is the score of an image that looks like this place all over. So
        maps of several images and classes can be compared. They are as coarse as the network's
        last features and enlarged bilinearly.
        """
        maps = self._each([image], lambda batch: self.training.classifier.maps(batch).sigmoid())
        height, width = image.shape[:2]
        size = (width, height)
        enlarged = [cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in maps[0]]
        return np.asarray(np.stack(enlarged), np.float32)

    def embed(self, images: Sequence[ImageArray]) -> Floats:
        """Return N x F features of whole images, averaged over all places."""
        return self._each(images, self.training.classifier.pooled)

    @torch.inference_mode()
    def _each(self, images: Sequence[ImageArray], function: Callable[[Tensor], Tensor]) -> Floats:
        """Return the results of a function of N x C x H x W tensors for all images."""
        self.training.classifier.eval()
        engine = self.training.engine
        results = []
        for batch in self._batches(images):
            batch = batch.to(engine.device, memory_format=engine.precision.memory_format)
            with engine.precision.autocast(engine.device):
                results.append(function(batch).float().cpu().numpy())
        return np.concatenate(results)

    def _batches(self, images: Sequence[ImageArray]) -> Iterator[Tensor]:
        for start in range(0, len(images), self.batch_size):
            tiles = [
                fit(to_unit(image, self.schema), self.tile_size) * np.float32(2) - np.float32(1)
                for image in images[start : start + self.batch_size]
            ]
            yield torch.from_numpy(np.ascontiguousarray(np.stack(tiles).transpose(0, 3, 1, 2)))

    @classmethod
    def load(cls, run: Path) -> Self:
        """Load the weights that a run kept, see `kept_weights`.

        Raises:
            FlawsmithError: if the folder is no classification model's run or holds no weights.
        """
        keep_freed_memory()
        config = load_config(run)
        if not isinstance(config, ClassificationConfig):
            raise FlawsmithError(
                f"{run} is a model for pixels ({config.system}); expected a classification model: "
                "flawsmith model train --network efficientnet_classifier"
            )
        schema = Schema.load(run)
        training = ClassificationTraining(config, schema, load=False)
        load_kept_(training, run)
        return cls(training, schema, config.training.tile_size)


def class_activation(run: Path, image: ImageArray) -> Floats:
    """Return K x H x W maps in [0, 1]; see `ClassificationModel.activation`."""
    return ClassificationModel.load(run).activation(image)


def embed(run: Path, images: Sequence[ImageArray]) -> Floats:
    """Return N x F features of the run's network; see `ClassificationModel.embed`."""
    return ClassificationModel.load(run).embed(images)
