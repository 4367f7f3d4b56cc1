"""All numbers of a selection as plain data: printed, drawn and written as ``selection.json``."""

from pathlib import Path
from typing import Literal

from flawsmith.config import StrictModel
from flawsmith.metrics.evaluation import Rate
from flawsmith.storage import write_text

SELECTION_FILE = "selection.json"
PAGE_FILE = "selection.html"

ReasonCode = Literal["not_recognised", "other_class", "outside", "copy"]


class DefectFigures(StrictModel):
    """What the model says inside the mask of one class in one tile.

    Attributes:
        probability: its score of the class, mean over the mask.
        found: share of the mask that it finds as the class, at its thresholds.
        confused: share of the mask that it finds as other classes.
    """

    name: str
    probability: float
    found: float
    confused: float


class TileFigures(StrictModel):
    """What the model says of one tile.

    Attributes:
        outside: its highest defect score, mean over the pixels away from every label; None where
            labels leave no such pixel.
    """

    defects: list[DefectFigures]
    outside: float | None


class CopyFigures(StrictModel):
    """The training defect that a synthetic one is nearest to.

    Attributes:
        ratio: their distance, over the usual one of an unseen real defect.
        correlation: of the crop with the most similar training crop.
        ratio_limit: at or below it features say "copy": as near as few unseen real defects are.
        copied: whether features and pixels both say so.
    """

    name: str
    nearest: str
    ratio: float
    ratio_limit: float
    correlation: float
    copied: bool


class Reason(StrictModel):
    """Why an image was rejected: the figure, and the limit that it passes.

    Attributes:
        name: of the class; empty for what is outside of all.
    """

    code: ReasonCode
    name: str
    value: float
    limit: float


class ImageVerdict(StrictModel):
    """One synthetic image.

    Attributes:
        untouched: whether everything outside the mask is the real surface, bit for bit; None for
            a system that paints its own.
        reasons: empty for an accepted image.
    """

    file_name: str
    figures: TileFigures
    untouched: bool | None
    copies: list[CopyFigures] = []
    reasons: list[Reason] = []

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the image."""
        return not self.reasons

    def figures_of(self, name: str) -> DefectFigures:
        """Return what the model says of a class that the image shows."""
        return next(f for f in self.figures.defects if f.name == name)


class RealDefect(StrictModel):
    """A tile round a real validation defect, which limits come from.

    Attributes:
        window: (top, left, height, width) in its image.
        fails: whether it would have been rejected itself.
    """

    file_name: str
    part: str
    window: tuple[int, int, int, int]
    figures: DefectFigures
    outside: float | None
    fails: bool = False


class Limits(StrictModel):
    """Worse than this is rejected; a figure equal to its limit is not.

    Attributes:
        defects: real validation defects that they come from, on so many ``parts``.
        pooled: of all classes, because there are too few of this one.
        expected_share: of fresh real defects so many would miss one limit.
        outside: None if no tile had a pixel away from its labels.
    """

    probability: float
    found: float
    confused: float
    outside: float | None
    defects: int
    parts: int
    pooled: bool
    expected_share: float


class ClassSelection(StrictModel):
    """One defect class; images with several classes count for each.

    Attributes:
        reasons: rejected images by what they miss; one image can miss several limits.
        real_failing: real validation defects that would have been rejected by the same limits.
        median_real: of ``probability``, real validation defects; None without any.
        median_synthetic: of ``probability``, all images of the class.
    """

    name: str
    colour: str
    accepted: Rate
    reasons: dict[ReasonCode, int]
    limits: Limits
    real_failing: Rate | None
    median_real: float | None
    median_synthetic: float


class Selection(StrictModel):
    """What ``flawsmith select`` found; ``selection.json``.

    Attributes:
        model: run folder of the inspection model, trained on real images alone.
        quantile: share of the real defects that a limit gives up.
        tile: side of the tiles, as the synthetic images have it.
        margin: pixels round a label that count neither as inside nor as outside.
        copies_checked: whether nearness to training defects was measured.
        copies_rejected: whether copies are rejected; not where a system is shown real defects.
    """

    format_version: int = 1
    synthetic: str
    model: str
    data: str
    data_fingerprint: str
    system: str
    fold: int
    quantile: float
    tile: int
    margin: int
    copies_checked: bool
    copies_rejected: bool
    simulated: bool
    accepted: Rate
    classes: list[ClassSelection]
    warnings: list[str]
    images: list[ImageVerdict]
    real: list[RealDefect]
    version: str

    def save(self, folder: Path) -> Path:
        """Write ``selection.json`` and return its path."""
        path = folder / SELECTION_FILE
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path
