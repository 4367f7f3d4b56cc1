"""Which images a run trains on, and which it keeps for inner validation."""

import hashlib
import math
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import inner_validation, part_defects
from flawsmith.data.tiles import DataConfig, TileSource
from flawsmith.data.whole_images import WholeImageSource, kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.training.config import RunConfig

Item = TypeVar("Item")

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
    if data.part_share < 1.0:
        kept = drawn_parts(usable, data.fold, data.part_share, data.part_draw)
        usable = [r for r in usable if r.fold == data.fold or r.part in kept]
    if data.validation_share == 0.0:
        return [record for record in usable if record.fold != data.fold], []
    return inner_validation(usable, data.fold, seed=VALIDATION_SEED, share=data.validation_share)


def drawn_parts(records: list[ImageRecord], fold: int, share: float, draw: int) -> set[str]:
    """Return the parts outside the test fold that a run with a part of the data may see.

    All good parts, and of each class ``share`` of its parts, rounded up; one with several classes
    counts for its rarest. With the same draw the parts of a smaller share are among those of a
    larger one.
    """
    strata = part_defects(r for r in records if r.fold != fold)
    sizes = Counter(name for names in strata.values() for name in names)
    groups: dict[str, list[str]] = {}
    kept = set()
    for part, names in strata.items():
        if names:
            groups.setdefault(min(names, key=lambda n: (sizes[n], n)), []).append(part)
        else:
            kept.add(part)
    for parts in groups.values():
        ordered = sorted(parts, key=lambda p: hashlib.sha256(f"{draw}/{p}".encode()).digest())
        kept.update(ordered[: math.ceil(share * len(parts))])
    return kept


def held_out_records(dataset: DefectDataset, fold: int) -> list[ImageRecord]:
    """Return the real records of the test fold."""
    return [r for r in dataset.usable() if r.fold == fold and r.source == "real"]


def training_datasets(data: DataConfig) -> tuple[list[DefectDataset], list[ImageRecord]]:
    """Open the data set of a run and its synthetic sets; return (for training, validation).

    Raises:
        FlawsmithError: if a synthetic set has other classes, has no masks where the run reads
            them, or descends from a part that is kept for test or validation.
    """
    dataset = DefectDataset.open(Path(data.path))
    training, validation = training_records(dataset, data)
    opened = [dataset.with_records(training)]
    allowed = {record.file_name for record in training}
    for folder in data.synthetic:
        synthetic = DefectDataset.open(Path(folder))
        if synthetic.schema.defect_names != dataset.schema.defect_names:
            raise FlawsmithError(f"{folder} and {data.path} have different defect classes")
        if data.labels == "pixel" and kind_of_labels(Path(folder)) == "image":
            raise FlawsmithError(
                f"{folder} has labels for whole images only, and the masks of {data.path} are "
                "read; leave it out, or read labels alone with: --set data.labels=image"
            )
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
    kind = WholeImageSource if config.data.labels == "image" else TileSource
    return kind(
        datasets,
        tile_size=config.training.tile_size,
        data=config.data,
        augmentation=config.augmentation,
        seed=config.training.seed,
        clean=clean,
        total_images=config.training.total_images,
    )


def spread_over_classes(records: list[ImageRecord], count: int) -> list[ImageRecord]:
    """Return at most ``count`` records, all classes in turn and each evenly over its images.

    Of more classes than that, some are left out, evenly too.
    """
    groups: dict[tuple[str, ...], list[ImageRecord]] = {}
    for record in records:
        groups.setdefault(tuple(record.labels), []).append(record)
    share = -(-count // max(len(groups), 1))
    chosen = [_evenly(group, share) for group in groups.values()]
    in_turn = [record for turn in zip_longest(*_evenly(chosen, count)) for record in turn if record]
    kept = {record.file_name for record in in_turn[:count]}
    return [record for group in chosen for record in group if record.file_name in kept]


def _evenly(items: list[Item], count: int) -> list[Item]:
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round()
    return [items[int(place)] for place in places]
