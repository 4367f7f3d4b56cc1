"""Simulated data sets: how many parts of which defect, and writing their tiles."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from flawsmith.config import StrictModel
from flawsmith.data.dataset import DatasetWriter, DefectDataset
from flawsmith.data.pouch.defects import PAINTERS
from flawsmith.data.pouch.frame import render_tile, schema
from flawsmith.data.pouch.piece import VIEWS
from flawsmith.storage import new_folder

TABLE_3 = {
    "groove": 22.0,
    "spore": 2.0,
    "folding": 23.0,
    "leakage": 46.0,
    "white_dot": 4.0,
    "black_dot": 3.0,
}
"""Percentage of each class before augmentation, Table 3 of the paper."""


class PouchSettings(StrictModel):
    """What a simulated data set holds.

    Attributes:
        good_parts: parts without a defect.
        defective_parts: parts with one defect each.
        min_parts_per_class: parts every class gets before the ratio decides about the rest.
        ratio: share of each class; any positive numbers.
        views: images of each part, under different light.
        tile_size: side of an image in pixels.
    """

    good_parts: int = Field(default=100, ge=0)
    defective_parts: int = Field(default=100, ge=0)
    min_parts_per_class: int = Field(default=0, ge=0)
    ratio: dict[str, Annotated[float, Field(gt=0)]] = TABLE_3
    views: int = Field(default=2, ge=1, le=len(VIEWS))
    tile_size: int = Field(default=128, ge=32, le=1024)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        unknown = set(self.ratio) - set(PAINTERS)
        if unknown or not self.ratio:
            raise ValueError(f"ratio names {sorted(unknown)}; expected some of {list(PAINTERS)}")
        needed = self.min_parts_per_class * len(self.ratio)
        if needed > self.defective_parts:
            raise ValueError(
                f"min_parts_per_class = {self.min_parts_per_class} needs {needed} defective parts, "
                f"defective_parts is {self.defective_parts}"
            )
        return self


def defect_sequence(settings: PouchSettings) -> list[str]:
    """Return the defect of each defective part in order.

    Every class in turn until the minimum is reached, then Webster's method: the class with the
    largest ratio / (2 * count + 1). A longer list begins with the shorter one.
    """
    names = [name for name in PAINTERS if name in settings.ratio]
    result = names * settings.min_parts_per_class
    counts = dict.fromkeys(names, settings.min_parts_per_class)
    while len(result) < settings.defective_parts:
        name = max(names, key=lambda n: settings.ratio[n] / (2 * counts[n] + 1))
        counts[name] += 1
        result.append(name)
    return result


def write_pouch(
    out: Path, settings: PouchSettings, *, progress: Callable[[int, int], None] | None = None
) -> DefectDataset:
    """Write a simulated data set, one tile for each view of each part, and open it.

    Defective parts have odd numbers and good ones even numbers, so that a larger data set with
    the same seed contains the smaller one.

    Args:
        out: a folder that does not exist yet or is empty.
        settings: what it holds.
        progress: called with images done and images in all.
    """
    parts = [(2 * i + 1, name) for i, name in enumerate(defect_sequence(settings))]
    good: list[tuple[int, str | None]] = [(2 * i + 2, None) for i in range(settings.good_parts)]
    total = (len(parts) + len(good)) * settings.views
    with (
        new_folder(Path(out), what="data set") as folder,
        DatasetWriter(folder, schema()) as writer,
    ):
        for part, defect in sorted([*parts, *good], key=lambda item: item[0]):
            for view in range(settings.views):
                image, found = render_tile(settings.seed, part, view, defect, settings.tile_size)
                name = f"cell-{part:04d}_{VIEWS[view]}"
                writer.add(name, image, found, part=f"cell-{part:04d}", view=VIEWS[view])
                if progress is not None:
                    progress(len(writer), total)
    return DefectDataset.open(Path(out))
