"""Which images a run trains on, and which it keeps for inner validation."""

from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import inner_validation
from flawsmith.data.tiles import DataConfig, TileSource
from flawsmith.errors import FlawsmithError
from flawsmith.training.config import RunConfig

VALIDATION_SEED = 0
"""Fixed, so that a synthesizer and the inspection models beside it leave out the same parts."""


def training_records(
    dataset: DefectDataset, data: DataConfig
) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Return (training, validation) records of the parts outside the test fold.

    Raises:
        FlawsmithError: if the data set has no folds, or nothing is left to train on.
    """
    usable = dataset.usable().records
    if data.fold is None:
        return usable, []
    if any(record.fold is None for record in usable):
        raise FlawsmithError(
            f"{dataset.root} has images without a fold; freeze them first with: "
            f"flawsmith data split {dataset.root}"
        )
    folds = sorted({record.fold for record in usable if record.fold is not None})
    if data.fold not in folds:
        raise FlawsmithError(f"there is no fold {data.fold} in {dataset.root} (it has {folds})")
    if data.validation_share == 0.0:
        return [record for record in usable if record.fold != data.fold], []
    return inner_validation(usable, data.fold, seed=VALIDATION_SEED, share=data.validation_share)


def held_out_records(dataset: DefectDataset, fold: int) -> list[ImageRecord]:
    """Return the real records of the test fold."""
    return [r for r in dataset.usable() if r.fold == fold and r.source == "real"]


def training_datasets(data: DataConfig) -> tuple[list[DefectDataset], list[ImageRecord]]:
    """Open the data set of a run and its synthetic sets; return (for training, validation).

    Raises:
        FlawsmithError: if a synthetic set has other classes, or descends from a part that is
            kept for test or validation.
    """
    dataset = DefectDataset.open(Path(data.path))
    training, validation = training_records(dataset, data)
    opened = [dataset.with_records(training)]
    allowed = {record.file_name for record in training}
    for folder in data.synthetic:
        synthetic = DefectDataset.open(Path(folder))
        if synthetic.schema.defect_names != dataset.schema.defect_names:
            raise FlawsmithError(f"{folder} and {data.path} have different defect classes")
        for record in synthetic:
            strangers = [parent for parent in record.parents if parent not in allowed]
            if strangers:
                raise FlawsmithError(
                    f"{folder}/{record.file_name} descends from {strangers[0]}, which is kept for "
                    "test or validation; synthesise it again from this fold"
                )
        opened.append(synthetic)
    return opened, validation


def tile_source(
    datasets: list[DefectDataset], config: RunConfig, *, clean: bool = False
) -> TileSource:
    """Return the training tiles of a run, with their surface without defects if ``clean``."""
    return TileSource(
        datasets,
        tile_size=config.training.tile_size,
        data=config.data,
        augmentation=config.augmentation,
        seed=config.training.seed,
        clean=clean,
    )
