"""Fixed-parameter machine vision, the baseline of the DBS-GAN paper's Table 7.

The paper names the method ("traditional fixed-parameter machine vision analysis programs") and
its figures, 0.26 to 0.35 IoU, not its steps. This is the textbook one: difference from a smoothed
background, a dark and a bright threshold, morphology, connected blobs, one interval rule a class.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import ClassVar, Literal, Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel, load_toml, to_toml, validate
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.blobs import (
    FEATURES,
    Blobs,
    FloatImage,
    difference_from_background,
    find_blobs,
)
from flawsmith.storage import write_text

# The grid: sides in pixels, and shares of good pixels that a threshold lets through.
WINDOWS = (15, 31, 63, 0)
BLURS = (0.0, 2.0)
RATES = (0.0003, 0.002, 0.01, 0.05)
OPENINGS = (1, 3)
CLOSINGS = (1, 5)
QUANTILES = (0.02, 0.1, 0.2, 0.3)

# Fitting looks at this much of the training data at most, classes in turn.
MAX_FIT_IMAGES = 200
MAX_FIT_PIXELS = 6_000_000
MAX_FIT_SIDE = 768  # a larger image gives a crop of this side around a defect
GOOD_PIXEL_STEP = 7  # every 7th good pixel is enough for the quantiles
MIN_THRESHOLD = 1 / 255

# Least half-width of a rule's interval: log area, log elongation, solidity, contrast, texture.
MIN_HALF_WIDTH = np.array([0.25, 0.1, 0.05, 0.01, 0.005])

Range = tuple[float, float]


class BlobRule(StrictModel):
    """What blobs of one defect class look like: an interval for every feature of `FEATURES`."""

    class_id: int = Field(ge=1)
    polarity: Literal["dark", "bright", "any"]
    area: Range
    elongation: Range
    solidity: Range
    contrast: Range
    texture: Range

    def confidence(self, blobs: Blobs) -> NDArray[np.float64]:
        """Return N values: 1 in the middle of every interval, 0.5 at the edge of one, to 0.

        The distance is that of the worst feature from the middle of its interval, in half-widths
        (area and elongation by their logarithm); the confidence is 1 - distance / 2.
        """
        ranges = _scaled(np.array([getattr(self, name) for name in FEATURES]).T)
        middle = ranges.mean(axis=0)
        half = np.maximum((ranges[1] - ranges[0]) / 2, MIN_HALF_WIDTH)
        distance = np.abs((_scaled(blobs.features) - middle) / half).max(axis=1, initial=0.0)
        # The ends of an interval are training blobs: their 0.5 must not hang on the last bit.
        confidence: NDArray[np.float64] = np.clip(np.round(1 - distance / 2, 6), 0.0, 1.0)
        if self.polarity != "any":
            confidence[blobs.polarity != (-1 if self.polarity == "dark" else 1)] = 0.0
        return confidence


class Settings(StrictModel):
    """The global parameters; see `difference_from_background` and `find_blobs`."""

    window: int = Field(ge=0)
    blur: float = Field(ge=0)
    dark: float = Field(gt=0)
    bright: float = Field(gt=0)
    opening: int = Field(ge=1)
    closing: int = Field(ge=1)

    def blobs(self, difference: FloatImage) -> Blobs:
        """Return the blobs of a difference image."""
        return find_blobs(
            difference,
            dark=self.dark,
            bright=self.bright,
            opening=self.opening,
            closing=self.closing,
        )


class MachineVision(StrictModel):
    """An inspection model without learning: one fixed setting and one rule for each class.

    Attributes:
        num_defects: D; classes without a rule are never found.
        fit_iou: macro IoU on the training sample it was fitted to, an optimistic figure.
    """

    FIT_STEPS: ClassVar[int] = len(WINDOWS) * len(BLURS) * len(RATES) * len(OPENINGS) * len(
        CLOSINGS
    ) + 2 * len(RATES)

    num_defects: int = Field(ge=1)
    black_level: int
    white_level: int
    settings: Settings
    rules: list[BlobRule]
    fit_iou: float

    @classmethod
    def fit(
        cls,
        dataset: DefectDataset,
        records: Sequence[ImageRecord],
        progress: Callable[[int], None] = lambda _: None,
    ) -> Self:
        """Search the settings with the highest macro IoU on a bounded sample of training images.

        First all windows, opening and closing sizes with both thresholds at the same rate of good
        pixels, then each threshold alone. Deterministic; `FIT_STEPS` calls of ``progress(1)``.

        Raises:
            FlawsmithError: if no record has a labelled defect.
        """
        sample = _Sample(dataset, records)
        best: tuple[float, Settings, list[BlobRule]] | None = None

        def attempt(settings: Settings, differences: list[FloatImage]) -> None:
            nonlocal best
            score, rules = sample.fit_rules(settings, differences)
            if best is None or score > best[0]:
                best = score, settings, rules
            progress(1)

        for window, blur in product(WINDOWS, BLURS):
            differences = sample.differences(window, blur)
            limits = sample.thresholds(differences)
            for (dark, bright), opening, closing in product(limits, OPENINGS, CLOSINGS):
                settings = Settings(
                    window=window,
                    blur=blur,
                    dark=dark,
                    bright=bright,
                    opening=opening,
                    closing=closing,
                )
                attempt(settings, differences)
        assert best is not None  # the grid is not empty
        differences = sample.differences(best[1].window, best[1].blur)
        limits = sample.thresholds(differences)
        for index, name in enumerate(("dark", "bright")):
            for limit in limits:
                attempt(best[1].model_copy(update={name: limit[index]}), differences)
        score, settings, rules = best
        schema = dataset.schema
        return cls(
            num_defects=schema.num_defects,
            black_level=schema.black_level,
            white_level=schema.white_level,
            settings=settings,
            rules=rules,
            fit_iou=score,
        )

    def predict(self, image: ImageArray) -> NDArray[np.float32]:
        """Return (1 + D) x H x W scores: a blob's confidence in its class, 0 elsewhere.

        Plane 0 is 1 minus the highest of them.
        """
        unit = _grey(image, self.black_level, self.white_level)
        settings = self.settings
        blobs = settings.blobs(difference_from_background(unit, settings.window, settings.blur))
        classes, confidence = _classify(blobs, self.rules)
        table = np.zeros((1 + self.num_defects, 1 + len(blobs)), np.float32)
        table[classes, np.arange(1, 1 + len(blobs))] = confidence
        table[0] = 1.0 - table[1:].max(axis=0)
        return table[:, blobs.components]

    def save(self, path: Path) -> None:
        """Write everything as TOML."""
        write_text(path, to_toml(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FlawsmithError: if the file is missing, no TOML, or has a wrong key.
        """
        return validate(cls, load_toml(path), source=str(path))


def _classify(
    blobs: Blobs, rules: Sequence[BlobRule]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the class of the nearest rule of each blob (0 for none) and its confidence."""
    if not rules or not len(blobs):
        return np.zeros(len(blobs), np.intp), np.zeros(len(blobs))
    table = np.stack([rule.confidence(blobs) for rule in rules])
    nearest = table.argmax(axis=0)
    confidence = table.max(axis=0)
    ids = np.array([rule.class_id for rule in rules], np.intp)
    return np.where(confidence > 0, ids[nearest], 0), confidence


def _scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ... x 5 features with area and elongation as logarithms."""
    scaled = features.astype(np.float64).copy()
    scaled[..., :2] = np.log(np.maximum(scaled[..., :2], 1.0))
    return scaled


def _grey(image: ImageArray, black_level: int, white_level: int) -> FloatImage:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    unit = (grey.astype(np.float32) - black_level) / (white_level - black_level)
    return cast(FloatImage, np.clip(unit, 0.0, 1.0))


class _Sample:
    """The training images that a fit looks at, decoded once."""

    def __init__(self, dataset: DefectDataset, records: Sequence[ImageRecord]) -> None:
        schema = dataset.schema
        self.num_defects = schema.num_defects
        self.images: list[FloatImage] = []
        self.truths: list[LabelArray] = []
        for record in _choose(records):
            truth = dataset.label_map(record).defects
            image = _grey(dataset.image(record), schema.black_level, schema.white_level)
            window = _crop(truth)
            self.truths.append(truth[window])
            self.images.append(image[window])
        counts = [_count_classes(truth, self.num_defects) for truth in self.truths]
        self.real = np.array(counts, np.int64).reshape(-1, 1 + self.num_defects)
        if not self.real[:, 1:].any():
            raise FlawsmithError(
                f"none of {len(records)} training images has a labelled defect pixel; machine "
                "vision needs some to fit its rules: check the masks with flawsmith data check"
            )

    def differences(self, window: int, blur: float) -> list[FloatImage]:
        return [difference_from_background(image, window, blur) for image in self.images]

    def thresholds(self, differences: list[FloatImage]) -> list[Range]:
        """Return (dark, bright) thresholds that the shares `RATES` of good pixels exceed."""
        pairs = zip(differences, self.truths, strict=True)
        good = np.concatenate([d[t == 0][::GOOD_PIXEL_STEP] for d, t in pairs])
        if not good.size:
            good = np.zeros(1, np.float32)
        dark = np.maximum(-np.quantile(good, RATES), MIN_THRESHOLD)
        bright = np.maximum(np.quantile(good, [1 - rate for rate in RATES]), MIN_THRESHOLD)
        return list(zip(dark.tolist(), bright.tolist(), strict=True))

    def fit_rules(
        self, settings: Settings, differences: list[FloatImage]
    ) -> tuple[float, list[BlobRule]]:
        """Return the rules with the highest IoU of each class alone, and their macro IoU."""
        found = [settings.blobs(difference) for difference in differences]
        blobs = Blobs(
            np.empty((0, 0), np.int32),
            np.concatenate([b.polarity for b in found]),
            np.concatenate([b.features for b in found]),
        )
        tables = [
            _overlaps(b, truth, self.num_defects)
            for b, truth in zip(found, self.truths, strict=True)
        ]
        overlaps = np.concatenate(tables)
        image = np.repeat(np.arange(len(found)), [len(b) for b in found])
        rules: dict[int, tuple[float, BlobRule]] = {}
        for quantile in QUANTILES:
            for rule in self._rules(blobs, overlaps, image, quantile):
                score = self._score(blobs, overlaps, [rule])
                if rule.class_id not in rules or score > rules[rule.class_id][0]:
                    rules[rule.class_id] = score, rule
        chosen = [rule for _, (_, rule) in sorted(rules.items())]
        return self._score(blobs, overlaps, chosen), chosen

    def _rules(
        self,
        blobs: Blobs,
        overlaps: NDArray[np.int64],
        image: NDArray[np.intp],
        quantile: float,
    ) -> Iterator[BlobRule]:
        """Yield the rule of every class that has blobs which mostly lie on it."""
        for class_id in range(1, 1 + self.num_defects):
            shared = overlaps[:, class_id]
            chosen = np.flatnonzero((shared > 0) & (2 * shared >= overlaps.sum(axis=1)))
            if not chosen.size:
                continue
            # Every image weighs the same, so that many specks do not outvote one large defect.
            total = np.bincount(image[chosen], shared[chosen])
            weights = shared[chosen] / total[image[chosen]]
            low, high = (
                [
                    _weighted_quantile(column, weights, q)
                    for column in blobs.features[chosen].T.copy()
                ]
                for q in (quantile, 1 - quantile)
            )
            bright = weights[blobs.polarity[chosen] > 0].sum() / weights.sum()
            polarity = "bright" if bright > 0.9 else "dark" if bright < 0.1 else "any"
            ranges = dict(zip(FEATURES, zip(low, high, strict=True), strict=True))
            yield BlobRule.model_validate({"class_id": class_id, "polarity": polarity, **ranges})

    def _score(self, blobs: Blobs, overlaps: NDArray[np.int64], rules: Sequence[BlobRule]) -> float:
        """Return the macro IoU of blobs with a confidence of at least 0.5, without painting."""
        classes, confidence = _classify(blobs, rules)
        values = []
        for class_id in range(1, 1 + self.num_defects):
            real = int(self.real[:, class_id].sum())
            if not real:
                continue
            chosen = overlaps[(classes == class_id) & (confidence >= 0.5)]
            hits = int(chosen[:, class_id].sum())
            values.append(hits / (real + int(chosen.sum()) - hits))
        return float(np.mean(values))


def _choose(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return a bounded sample: every combination of defects and good images in turn.

    Within a turn the order is that of the content hash: fixed, and not all views of one part.
    """
    groups: dict[tuple[str, ...], list[ImageRecord]] = {}
    for record in sorted(records, key=lambda r: (r.sha256, r.file_name)):
        labelled = record.is_good or record.mask_file_name is not None
        if record.excluded is None and labelled:
            groups.setdefault(tuple(record.labels), []).append(record)
    queues = [groups[labels] for labels in sorted(groups, key=lambda labels: (not labels, labels))]
    longest = max(map(len, queues), default=0)
    turns = [queue[i] for i in range(longest) for queue in queues if i < len(queue)]
    chosen: list[ImageRecord] = []
    pixels = 0
    for record in turns[:MAX_FIT_IMAGES]:
        pixels += min(record.height, MAX_FIT_SIDE) * min(record.width, MAX_FIT_SIDE)
        if chosen and pixels > MAX_FIT_PIXELS:
            break
        chosen.append(record)
    return chosen


def _crop(truth: LabelArray) -> tuple[slice, slice]:
    """Return the window of at most `MAX_FIT_SIDE` around a defect, or the middle without one."""
    defects = np.argwhere((truth > 0) & (truth != IGNORE))
    centre = defects[len(defects) // 2] if len(defects) else np.array(truth.shape) // 2
    starts = [
        int(np.clip(middle - MAX_FIT_SIDE // 2, 0, max(side - MAX_FIT_SIDE, 0)))
        for middle, side in zip(centre, truth.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + MAX_FIT_SIDE), slice(starts[1], starts[1] + MAX_FIT_SIDE)


def _count_classes(truth: LabelArray, num_defects: int) -> NDArray[np.intp]:
    return np.bincount(truth[truth != IGNORE], minlength=1 + num_defects)


def _overlaps(blobs: Blobs, truth: LabelArray, num_defects: int) -> NDArray[np.int64]:
    """Return N x (1 + D) pixels that each blob shares with each class; ignored ones count not."""
    counted = (blobs.components > 0) & (truth != IGNORE)
    codes = (blobs.components[counted] - 1) * (1 + num_defects) + truth[counted]
    size = len(blobs) * (1 + num_defects)
    return np.bincount(codes, minlength=size).reshape(len(blobs), 1 + num_defects)


def _weighted_quantile(
    values: NDArray[np.float64], weights: NDArray[np.float64], quantile: float
) -> float:
    """Return the least value that at least this share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    index = int(np.searchsorted(reached, quantile - 1e-12))
    return float(values[order][min(index, len(values) - 1)])
