"""The synthetic images of the report: gallery with nearest real crop, random sheets."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import LabelArray, image_size, read_image, read_index_mask
from flawsmith.data.schema import Schema, rgb
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.facts import Match, Panel, Picture, RandomSheet, SyntheticFacts
from flawsmith.experiment.report.pictures import (
    Pixels,
    diagram,
    displayed,
    fit,
    label_picture,
    largest_region,
    photo,
    row_of,
    square_window,
)

SEED = 0
MATCHES_PER_CLASS = 2
GALLERY_LIMIT = 12
SHEET_CROPS = 8
SEARCH_LIMIT = 300
"""Real crops of a class that are compared; a larger class is sampled, and the page says so."""

COMPARED = 48
"""Pixels of the side at which crops are compared."""

BOX = 220
TURNS = ("as it is", "turned 90°", "turned 180°", "turned 270°")
LAYERS = {"x_d": "X_d", "x_b": "X_b"}


@dataclass(frozen=True)
class Crop:
    """A defect-centred square of an image at native scale."""

    name: str
    image: Pixels
    labels: LabelArray


def crop_of(
    name: str, image: Pixels, labels: LabelArray, defect: int | None, side: int
) -> Crop | None:
    """Return the crop round the largest region of a class (None: any), or None without one."""
    mask = (labels == defect) if defect is not None else (labels > 0) & (labels < 255)
    region = largest_region(np.asarray(mask))
    if region is None:
        return None
    window = square_window(region[0], min(side, *labels.shape), labels.shape)
    return Crop(name, window.of(image), window.of(labels))


def signature(pixels: Pixels) -> NDArray[np.float32]:
    """Return a crop as 48 x 48 grey values with mean 0 and norm 1; a flat one is all zeros."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (COMPARED, COMPARED), interpolation=cv2.INTER_AREA)
    centred = small.astype(np.float32) - float(small.mean())
    norm = float(np.linalg.norm(centred))
    return cast(NDArray[np.float32], centred / norm if norm > 1e-6 else np.zeros_like(centred))


def turned(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Return one of the eight turns and mirrorings of a square: 4 and more are mirrored."""
    mirrored = pixels[:, ::-1] if turn >= 4 else pixels
    return np.ascontiguousarray(np.rot90(mirrored, turn % 4))


def nearest(crop: Pixels, candidates: Sequence[Pixels]) -> tuple[int, int, float]:
    """Return index, turn and normalised correlation of the most similar candidate.

    Every candidate is compared in all eight turns and mirrorings, because label maps are varied
    in this way before an image is made from them.
    """
    wanted = signature(crop).ravel()
    stack = np.stack([signature(turned(c, t)).ravel() for c in candidates for t in range(8)])
    correlation = stack @ wanted
    best = int(correlation.argmax())
    return best // 8, best % 8, float(correlation[best])


def turn_words(turn: int) -> str:
    """Return how a crop was turned, in words."""
    words = TURNS[turn % 4]
    return words if turn < 4 else f"mirrored, {words}" if turn % 4 else "mirrored"


class SyntheticPages:
    """Builds the synthetic section from a synthesizer's run and a synthetic data set."""

    def __init__(self, real: DefectDataset | None, fold: int, schema: Schema | None) -> None:
        self.schema = schema
        self.real = real
        self.training = [
            r for r in (real or []) if r.source == "real" and r.fold != fold and not r.excluded
        ]
        self.dice = random.Random(SEED)

    def build(self, synthesizer: Path | None, synthetic: DefectDataset | None) -> SyntheticFacts:
        """Return everything to show; what is absent is left out."""
        records = [r for r in (synthetic or []) if r.source == "synthetic" and r.labels]
        side = self._crop_side(synthetic, records)
        sheets, matches = [], []
        for name in list(dict.fromkeys(label for r in records for label in r.labels)):
            if synthetic is None or self.schema is None or name not in self.schema.defect_names:
                continue
            pool = [r for r in records if name in r.labels]
            drawn = self.dice.sample(pool, min(SHEET_CROPS, len(pool)))
            made = self._crops(synthetic, drawn, name, side)
            real = self._real_crops(name, side)
            sheets.append(self._sheet(name, real, [crop for crop, _ in made]))
            for crop, record in made[:MATCHES_PER_CLASS]:
                matches.append(self._match(name, crop, record.parents, real, {}))
        gallery = self._gallery(synthesizer, side)
        sources = Counter(record.mask_source for record in records).most_common(1)
        return SyntheticFacts(
            synthesizer=str(synthesizer) if synthesizer else None,
            data=str(synthetic.root) if synthetic else None,
            images=len(records),
            crop=side,
            layers=any(panel.label in LAYERS.values() for one in gallery for panel in one.panels),
            mask_source=sources[0][0] if sources else "",
            matches=gallery or matches,
            sheets=sheets,
            progress=self._progress(synthesizer),
        )

    def _crop_side(self, synthetic: DefectDataset | None, records: list[ImageRecord]) -> int:
        """Return one side for all crops: most of a tile, at most 160 pixels."""
        if synthetic is None or not records:
            return 96
        smallest = min(min(r.height, r.width) for r in records)
        return max(32, min(160, round(0.75 * smallest)))

    def _crops(
        self, dataset: DefectDataset, records: list[ImageRecord], name: str, side: int
    ) -> list[tuple[Crop, ImageRecord]]:
        defect = dataset.schema.defect(name).id
        crops = []
        for record in records:
            try:
                image = displayed(dataset.image(record), dataset.schema)
                labels = dataset.label_map(record).defects
            except FlawsmithError:
                continue  # removed since: the others are still worth showing
            crop = crop_of(record.file_name, image, labels, defect, side)
            if crop is not None:
                crops.append((crop, record))
        return crops

    def _real_crops(self, name: str, side: int) -> list[Crop]:
        if self.real is None:
            return []
        pool = [r for r in self.training if name in r.labels]
        drawn = self.dice.sample(pool, min(SEARCH_LIMIT, len(pool)))
        return [crop for crop, _ in self._crops(self.real, drawn, name, side)]

    def _sheet(self, name: str, real: list[Crop], made: list[Crop]) -> RandomSheet:
        real, made = real[:SHEET_CROPS], made[:SHEET_CROPS]

        def row(crops: list[Crop]) -> Picture | None:
            return photo(row_of([c.image for c in crops], 128, SHEET_CROPS)) if crops else None

        return RandomSheet(
            defect=name,
            real_files=[c.name for c in real],
            synthetic_files=[c.name for c in made],
            real=row(real),
            synthetic=row(made),
        )

    def _match(
        self,
        name: str,
        crop: Crop,
        parents: list[str],
        candidates: list[Crop],
        layers: dict[str, Pixels],
    ) -> Match:
        panels = self._first_panels(crop)
        panels += [_panel(label, pixels) for label, pixels in layers.items()]
        panels.append(_panel("synthetic", crop.image))
        found: tuple[str | None, float | None, str] = (None, None, "")
        if candidates:
            index, turn, correlation = nearest(crop.image, [c.image for c in candidates])
            best = candidates[index]
            found = (best.name, round(correlation, 4), turn_words(turn))
            panels.append(_panel("nearest real", turned(best.image, turn)))
        return Match(
            name=crop.name,
            defect=name,
            parents=parents,
            nearest=found[0],
            correlation=found[1],
            turned=found[2],
            searched=len(candidates),
            panels=panels,
        )

    def _first_panels(self, crop: Crop) -> list[Panel]:
        assert self.schema is not None  # matches are only made with a schema
        return [_panel("label", label_picture(crop.labels, self.schema), flat=True)]

    def _gallery(self, synthesizer: Path | None, side: int) -> list[Match]:
        """Return the samples that the synthesizer left, with X_d and X_b if it has them."""
        folder = synthesizer / "samples" / "gallery" if synthesizer else None
        if folder is None or not folder.is_dir() or self.schema is None:
            return []
        real: dict[tuple[str, int], list[Crop]] = {}
        matches = []
        for item in sorted(folder.iterdir(), key=_natural)[:GALLERY_LIMIT]:
            read = _read_sample(item, self.schema)
            if read is None:
                continue
            labels, image, layers = read
            names = [d.name for d in self.schema.defects if (labels == d.id).any()]
            name = names[0] if names else "no defect"
            square = min(side, *labels.shape)
            if names and (name, square) not in real:
                real[name, square] = self._real_crops(name, square)
            candidates = real.get((name, square), [])
            defect = self.schema.defect(name).id if names else None
            crop = crop_of(item.name, image, labels, defect, square)
            window_layers = {}
            for key, pixels in layers.items():
                layer = crop_of(item.name, pixels, labels, defect, square)
                window_layers[LAYERS[key]] = layer.image if layer else pixels
            shown = crop or Crop(item.name, image, labels)
            parents: list[str] = []
            matches.append(self._match(name, shown, parents, candidates, window_layers))
        return matches

    def _progress(self, synthesizer: Path | None) -> list[Panel]:
        """Return the first, a middle and the last sample sheet of the training."""
        folder = synthesizer / "samples" if synthesizer else None
        if folder is None or not folder.is_dir():
            return []
        paths = sorted(folder.glob("*.png"), key=_natural)
        chosen = dict.fromkeys((paths[0], paths[len(paths) // 2], paths[-1])) if paths else {}
        panels = []
        for path in chosen:
            try:
                pixels = _rgb8(path)
            except FlawsmithError:
                continue
            longest = max(image_size(path))
            panels.append(Panel(label=path.stem, picture=photo(fit(pixels, min(1000, longest)))))
        return panels


def _panel(label: str, pixels: Pixels, *, flat: bool = False) -> Panel:
    if flat:
        scale = max(1, BOX // max(pixels.shape[:2]))
        size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
        enlarged = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
        return Panel(label=label, picture=diagram(cast(Pixels, enlarged)))
    return Panel(label=label, picture=photo(fit(pixels, BOX)))


def _natural(path: Path) -> tuple[int, int, str]:
    """Sort key: numbers by value, then names."""
    digits = "".join(c for c in path.stem if c.isdigit())
    return (0, int(digits), path.name) if digits else (1, 0, path.name)


def _rgb8(path: Path) -> Pixels:
    pixels = read_image(path)
    if pixels.dtype == np.uint16:
        pixels = cast(Pixels, (pixels >> 8).astype(np.uint8))
    narrow = cast(Pixels, pixels)
    return narrow if narrow.ndim == 3 else np.repeat(narrow[..., None], 3, axis=2)


def _read_labels(path: Path, schema: Schema) -> LabelArray:
    """Return an index mask, or a picture in the schema's colours as indices."""
    try:
        return read_index_mask(path)
    except FlawsmithError:
        pixels = _rgb8(path)
    labels = np.zeros(pixels.shape[:2], np.uint8)
    for defect in schema.defects:
        labels[(pixels == np.array(rgb(defect.colour))).all(axis=2)] = defect.id
    return labels


def _read_sample(
    folder: Path, schema: Schema
) -> tuple[LabelArray, Pixels, dict[str, Pixels]] | None:
    """Return label map, image and layers of a gallery sample; None if it is incomplete."""
    try:
        labels = _read_labels(folder / "label.png", schema)
        image = _rgb8(folder / "synthetic.png")
        present = [key for key in LAYERS if (folder / f"{key}.png").is_file()]
        layers = {key: _rgb8(folder / f"{key}.png") for key in present}
    except FlawsmithError:
        return None
    same = {p.shape[:2] for p in (image, *layers.values())} == {labels.shape}
    known = labels[labels != 255].max(initial=0) <= schema.num_defects
    return (labels, image, layers) if same and known else None
