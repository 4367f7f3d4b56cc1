"""The training of an inspection model's network on the tiles of its data sets."""

from pathlib import Path

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.schema import Schema
from flawsmith.experiment.inspection_model import ModelConfig
from flawsmith.experiment.training_data import tile_source
from flawsmith.systems.base import stack_tiles
from flawsmith.systems.classification import ClassificationConfig, ClassificationTraining
from flawsmith.systems.segmentation import SegmentationTraining
from flawsmith.training.checkpoint import checkpoints
from flawsmith.training.loop import Fit, Hooks, Trainable


def training_of(config: ModelConfig, schema: Schema, *, load: bool = True) -> Trainable:
    """Return what the loop trains for a configuration with a network.

    Args:
        config: of the run.
        schema: gives channels and classes.
        load: read pretrained weights; False where a checkpoint brings all weights.
    """
    if isinstance(config, ClassificationConfig):
        return ClassificationTraining(config, schema, load=load)
    return SegmentationTraining(config, schema, load=load)


def fit_network(
    config: ModelConfig, run: Path, datasets: list[DefectDataset], hooks: Hooks
) -> dict[str, dict[str, int]]:
    """Train into ``run``, or go on there.

    Returns:
        source -> class -> number of images that show it.
    """
    source = tile_source(datasets, config)
    resumes = bool(checkpoints(run))
    fit = Fit(
        build=lambda: training_of(config, datasets[0].schema, load=not resumes),
        make_batch=lambda first, count: stack_tiles([source[first + i] for i in range(count)]),
        config=config,
        run=run,
        hooks=hooks,
    )
    fit()
    return source.composition()
