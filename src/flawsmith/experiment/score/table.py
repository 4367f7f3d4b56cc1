"""Features of the defects of a set of images: what all figures of a score are made of."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.experiment.score.crops import Cut, Place, cut_defects, whole_image
from flawsmith.metrics.generation.features import FeatureNetwork, Variant
from flawsmith.metrics.generation.memorisation import signatures
from flawsmith.training.loop import Advance

BATCH = 32
LIMIT = 1000
"""Defects of a class that are looked at, drawn at random: pairs grow with the square."""


@dataclass(frozen=True)
class CropTable:
    """Defects of one origin with their features, in random order.

    Attributes:
        places: N defects.
        features: N x D of each variant that the network gives; of whole tiles T x D.
        signatures: N x 32 x 32, to correlate.
        tiles: T whole tiles, one an image.
        probabilities: T x C of the network's classes, for networks that have some.
    """

    places: list[Place]
    features: dict[Variant, NDArray[np.float32]]
    signatures: NDArray[np.float32]
    tiles: list[Place]
    probabilities: NDArray[np.float32] | None = None

    def of_class(self, class_id: int) -> "CropTable":
        """Return the defects and tiles of one class."""
        kept = [i for i, place in enumerate(self.places) if place.class_id == class_id]
        tiles = [i for i, place in enumerate(self.tiles) if place.class_id == class_id]
        rows: dict[Variant, list[int]] = {"in_mask": kept, "pooled": kept, "whole_tile": tiles}
        return CropTable(
            places=[self.places[i] for i in kept],
            features={name: self.features[name][rows[name]] for name in self.features},
            signatures=self.signatures[kept],
            tiles=[self.tiles[i] for i in tiles],
            probabilities=None if self.probabilities is None else self.probabilities[tiles],
        )

    def parts(self, variant: Variant) -> list[str]:
        """Return the part of each row of a variant's features."""
        return [p.part for p in (self.tiles if variant == "whole_tile" else self.places)]


def gather(
    dataset: DefectDataset,
    records: Sequence[ImageRecord],
    network: FeatureNetwork,
    *,
    tile: int,
    seed: int = 0,
    limit: int = LIMIT,
    whole: bool = True,
    places: bool = True,
    advance: Advance | None = None,
) -> CropTable:
    """Return the features of at most ``limit`` defects of each class, read image by image.

    Args:
        dataset: where the images are.
        records: of one origin; good images are passed over.
        network: makes the features.
        tile: side of the synthetic tiles.
        seed: draws the order, and so which defects are taken where there are more.
        limit: defects of a class.
        whole: also a whole tile of each image.
        places: labels say where defects are; without, whole images are looked at, not the inside
            of masks.
        advance: told of images that were read.

    Raises:
        FlawsmithError: if an image or mask cannot be read.
    """
    rows = _Rows(network, masks=places)
    counts: Counter[int] = Counter()
    started, done = time.perf_counter(), 0
    for record in shuffled(records, seed):
        names = [n for n in record.labels if not places or n not in record.weak_labels]
        ids = [dataset.schema.defect(name).id for name in names]
        if any(counts[i] < limit for i in ids):
            if places:
                cuts, tile_cut = cut_defects(dataset, record, tile)
            else:
                cuts = whole_image(dataset, record, ids, tile)
                tile_cut = cuts[0]
            kept = []
            for cut in cuts:
                counts[cut.place.class_id] += 1
                if counts[cut.place.class_id] <= limit:
                    kept.append(cut)
            rows.add(kept, tile_cut if whole else None)
        done += 1
        if advance:
            advance(1, note=f"{done / (time.perf_counter() - started):.1f} images/s")
    return rows.table()


def shuffled(records: Sequence[ImageRecord], seed: int) -> list[ImageRecord]:
    """Return the records in an order that depends on their names and the seed alone."""
    ordered = sorted(records, key=lambda record: record.file_name)
    random.Random(seed).shuffle(ordered)
    return ordered


class _Rows:
    """Collects features in batches: memory holds features, and crops of one batch only."""

    def __init__(self, network: FeatureNetwork, *, masks: bool) -> None:
        self.network = network
        self.masks = masks
        self.waiting: list[tuple[Cut, bool]] = []
        self.places: list[Place] = []
        self.tiles: list[Place] = []
        self.parts: dict[Variant, list[NDArray[np.float32]]] = {
            "in_mask": [], "pooled": [], "whole_tile": [],
        }  # fmt: skip
        self.signatures: list[NDArray[np.float32]] = []
        self.probabilities: list[NDArray[np.float32]] = []

    def add(self, cuts: Sequence[Cut], whole: Cut | None) -> None:
        self.waiting += [(cut, False) for cut in cuts]
        if whole is not None:
            self.waiting.append((whole, True))
        while len(self.waiting) >= BATCH:
            self._compute(self.waiting[:BATCH])
            del self.waiting[:BATCH]

    def table(self) -> CropTable:
        if self.waiting:
            self._compute(self.waiting)
            self.waiting = []
        features: dict[Variant, NDArray[np.float32]] = {
            name: np.concatenate(found) if found else np.zeros((0, 1), np.float32)
            for name, found in self.parts.items()
            if found or (not self.places and (self.masks or name != "in_mask"))
        }  # a network may give none of a variant
        empty = np.zeros((0, 32, 32), np.float32)
        known = np.concatenate(self.signatures) if self.signatures else empty
        named = np.concatenate(self.probabilities) if self.probabilities else None
        return CropTable(self.places, features, known, self.tiles, named)

    def _compute(self, batch: Sequence[tuple[Cut, bool]]) -> None:
        images = np.stack([cut.image for cut, _ in batch])
        crops = torch.from_numpy(images).permute(0, 3, 1, 2) * 2.0 - 1.0
        masks = torch.from_numpy(np.stack([cut.mask for cut, _ in batch]))
        made = self.network(crops, masks)
        whole = np.array([is_tile for _, is_tile in batch])
        self.parts["whole_tile"].append(made.pooled[whole])
        self.parts["pooled"].append(made.pooled[~whole])
        if made.in_mask is not None and self.masks:
            self.parts["in_mask"].append(made.in_mask[~whole])
        if made.probabilities is not None:
            self.probabilities.append(made.probabilities[whole])
        for cut, is_tile in batch:
            (self.tiles if is_tile else self.places).append(cut.place)
        if not whole.all():
            self.signatures.append(signatures(images[~whole].mean(axis=3)))
