"""Random training tiles: tile i depends on (seed, i) alone, so any run can go on from any image."""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag

from flawsmith.config import StrictModel
from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.defect_removal import remove_defects
from flawsmith.data.images import to_unit
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.data.transforms import AugmentationConfig, change_light, cut, draw_view
from flawsmith.errors import FlawsmithError

GOOD = 0
CACHE_BYTES = 1 << 30
Share = Annotated[float, Field(ge=0, le=1)]
SyntheticShare = Annotated[
    Annotated[Share, Tag("number")] | Annotated[dict[str, Share], Tag("table")],
    Discriminator(lambda value: "table" if isinstance(value, dict) else "number"),
]
"""Of the crops of every class, or of each class by its name, 0 for those that are not named."""


class DataConfig(StrictModel):
    """Which images a run sees.

    Attributes:
        path: folder of the defect data set.
        labels: what they say: pixel, where a defect is, and tiles are crops at native scale; image,
            only that the image shows it, and a tile is the whole image.
        fold: the test fold, never seen in training; None if the data set has no folds.
        synthetic: folders of synthetic data sets to mix in.
        synthetic_share: share of the crops of a class that comes from the synthetic images,
            for the classes that have any; see `SyntheticShare`.
        synthetic_until: share of the run in which synthetic crops are drawn; after it real ones
            alone.
        good_share: share of the crops that is drawn from anywhere in good images.
        validation_share: share of the training parts kept for inner validation.
        part_share: share of the defective parts of each class that the run may see at all, for
            learning curves. The parts of a smaller share are among those of a larger one.
        part_draw: which parts these are.
    """

    path: str
    labels: Literal["pixel", "image"] = "pixel"
    fold: int | None = 0
    synthetic: list[str] = []
    synthetic_share: SyntheticShare = 0.5
    synthetic_until: float = Field(default=1.0, ge=0, le=1)
    good_share: float = Field(default=0.0, ge=0, lt=1)
    validation_share: float = Field(default=0.0, ge=0, lt=1)
    part_share: float = Field(default=1.0, gt=0, le=1)
    part_draw: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Tile:
    """One training tile.

    Attributes:
        image: H x W x C float32 in [0, 1].
        label: the defect that the tile was drawn for, 0 for good.
        seed: whatever is random in the use of this tile depends on it.
        clean: the same surface without its defects, like ``image``; equal to it away from them.
            None unless the source was asked for it.
        present: whether the image shows each of the schema's defects, where labels are for whole
            images; else None.
    """

    image: NDArray[np.float32]
    label_map: LabelMap
    label: int
    seed: int
    clean: NDArray[np.float32] | None = None
    present: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Instance:
    """One defect region: which image, and its bounding box (y, x, height, width)."""

    image: int
    box: tuple[int, int, int, int]


class TileSource:
    """Draws class-balanced, augmented tiles at native scale from the records of a data set.

    Every class is drawn equally often, then one of its sources (real or synthetic, by the
    configured share), then one of its regions: a rare class is seen as often as a common one.
    """

    def __init__(
        self,
        datasets: list[DefectDataset],
        *,
        tile_size: int,
        data: DataConfig,
        augmentation: AugmentationConfig,
        seed: int,
        clean: bool = False,
        total_images: int | None = None,
    ) -> None:
        """Index the regions.

        Args:
            datasets: real and synthetic images.
            tile_size: height and width.
            data: the mix of classes and sources.
            augmentation: of the tiles.
            seed: of everything random.
            clean: give every tile's surface without its defects too.
            total_images: of the run, which ``data.synthetic_until`` is a share of.
        """
        if data.synthetic_until < 1.0 and total_images is None:
            raise FlawsmithError(
                f"data.synthetic_until = {data.synthetic_until} is a share of a run whose length "
                "is not known"
            )
        self.last_synthetic = data.synthetic_until * (total_images or 0)
        self.clean = clean
        self.tile_size = tile_size
        self.data = data
        self.augmentation = augmentation
        self.seed = seed
        self._items = [(dataset, record) for dataset in datasets for record in dataset.records]
        self._cache: OrderedDict[int, tuple[NDArray[np.float32], LabelMap]] = OrderedDict()
        self._cached_bytes = 0
        self._instances: dict[tuple[int, str], list[Instance]] = defaultdict(list)
        self._good: list[int] = []
        for index, (dataset, record) in enumerate(self._items):
            self._index(index, dataset, record)
        self._synthetic_shares = _shares_of(data.synthetic_share, datasets[0].schema)
        self.classes = sorted({label for label, _ in self._instances})
        if not self.classes:
            raise FlawsmithError("no training image has a labelled defect; check labels and masks")

    def _index(self, index: int, dataset: DefectDataset, record: ImageRecord) -> None:
        if not record.labels and record.source == "real":
            self._good.append(index)  # a synthetic one is a defect that did not come out
        if record.mask_file_name is None:
            return
        defects = dataset.label_map(record).defects
        for label in np.unique(defects[(defects > 0) & (defects != IGNORE)]):
            mask = (defects == label).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            for x, y, width, height, _ in stats[1:]:
                box = (int(y), int(x), int(height), int(width))
                self._instances[int(label), record.source].append(Instance(index, box))

    def __getitem__(self, index: int) -> Tile:
        """Return tile ``index``; there is no last one."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, index)))
        label = self._draw_label(rng)
        image_index, centre = self._draw_place(label, rng, mixed=self._is_mixed(index))
        image, label_map = self._load(image_index)
        view = draw_view(self.augmentation, centre, self.tile_size, rng)
        tile, labels = cut(image, label_map, view, self.tile_size)
        pair = np.split(tile, 2, axis=2) if self.clean else [tile]
        same = (pair[0] == pair[-1]).all(axis=2, keepdims=True)
        tile = change_light(tile, self.augmentation, rng)
        seed = int(rng.integers(1 << 62))
        if not self.clean:
            return Tile(tile, labels, label, seed, present=self._present(image_index))
        image, clean = np.split(tile, 2, axis=2)
        # The noise was drawn for both; where nothing was removed it must be the same.
        return Tile(image, labels, label, seed, np.where(same, image, clean))

    def _draw_label(self, rng: np.random.Generator) -> int:
        if self._good and rng.random() < self.data.good_share:
            return GOOD
        return int(rng.choice(self.classes))

    def _is_mixed(self, index: int) -> bool:
        return self.data.synthetic_until >= 1.0 or index < self.last_synthetic

    def _draw_place(
        self, label: int, rng: np.random.Generator, *, mixed: bool
    ) -> tuple[int, tuple[float, float]]:
        """Return an image and the centre of a tile in it that shows a region of ``label``."""
        half = self.tile_size / 2
        if label == GOOD:
            index = int(rng.choice(self._good))
            record = self._items[index][1]
            box = (0, 0, record.height, record.width)
        else:
            instances = self._draw_source(label, rng, mixed=mixed)
            instance = instances[int(rng.integers(len(instances)))]
            index, box = instance.image, instance.box
            record = self._items[index][1]
        y, x = box[0] + rng.random() * box[2], box[1] + rng.random() * box[3]
        reach = 0.6 * half  # the drawn point of the region stays well inside the tile
        y, x = y + rng.uniform(-reach, reach), x + rng.uniform(-reach, reach)
        return index, (_inside(y, half, record.height), _inside(x, half, record.width))

    def _draw_source(self, label: int, rng: np.random.Generator, *, mixed: bool) -> list[Instance]:
        real = self._instances.get((label, "real"), [])
        synthetic = self._instances.get((label, "synthetic"), [])
        share = self._synthetic_shares[label]
        if not real or not synthetic or share == 0.0:
            return real or synthetic
        # Drawn in any case, so that the schedule changes nothing else.
        drawn = rng.random() < share
        return synthetic if drawn and mixed else real

    def _load(self, index: int) -> tuple[NDArray[np.float32], LabelMap]:
        """Return what `_read` does, from a cache bounded in bytes."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        entry = self._read(index)
        self._cache[index] = entry
        self._cached_bytes += _bytes(entry)
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= _bytes(self._cache.popitem(last=False)[1])
        return entry

    def _read(self, index: int) -> tuple[NDArray[np.float32], LabelMap]:
        """Return image and label map.

        With ``clean`` the channels of the image without its defects follow those of the image.
        """
        dataset, record = self._items[index]
        image, label_map = to_unit(dataset.image(record), dataset.schema), dataset.label_map(record)
        if self.clean:
            image = np.concatenate([image, self._without_defects(index, image, label_map)], axis=2)
        return image, label_map

    def _present(self, index: int) -> NDArray[np.bool_] | None:
        """Return which defects the image shows, where labels are for whole images."""
        return None

    def _without_defects(
        self, index: int, image: NDArray[np.float32], label_map: LabelMap
    ) -> NDArray[np.float32]:
        """Return the image without its defects; a good image helps where it has no free room."""
        rng = np.random.default_rng((self.seed, index))
        if not label_map.defects.any():
            return image
        donor = None
        if self._good:
            dataset, record = self._items[int(rng.choice(self._good))]
            donor = to_unit(dataset.image(record), dataset.schema)
        return remove_defects(image, label_map.defects, rng, donor=donor)

    def composition(self) -> dict[str, dict[str, int]]:
        """Return source -> class -> number of images that show it (real good ones as "good")."""
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for _, record in self._items:
            for label in record.labels or ["good"] * (record.source == "real"):
                counts[record.source][label] += 1
        return {source: dict(sorted(classes.items())) for source, classes in counts.items()}


def _shares_of(share: SyntheticShare, schema: Schema) -> dict[int, float]:
    """Return label -> share of its crops that is synthetic.

    Raises:
        FlawsmithError: if a class is named that the data set does not have.
    """
    if not isinstance(share, dict):
        return {defect.id: share for defect in schema.defects}
    named = {schema.defect(name).id: value for name, value in share.items()}
    return {defect.id: named.get(defect.id, 0.0) for defect in schema.defects}


def _inside(value: float, half: float, size: int) -> float:
    """Return a tile centre that keeps the tile within the image where the image is large enough."""
    low, high = half - 0.5, size - half - 0.5
    return (size - 1) / 2 if low > high else float(np.rint(min(max(value, low), high) - low) + low)


def _bytes(entry: tuple[NDArray[np.float32], LabelMap]) -> int:
    image, labels = entry
    return image.nbytes + labels.defects.nbytes + labels.backgrounds.nbytes
