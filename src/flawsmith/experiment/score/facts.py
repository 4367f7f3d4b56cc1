"""All numbers of a score as plain data: printed, drawn and written as ``score.json`` from here."""

from pathlib import Path
from typing import Literal

from flawsmith.config import StrictModel
from flawsmith.metrics.evaluation import Interval, Rate
from flawsmith.storage import write_text

SCORE_FILE = "score.json"
PAGE_FILE = "score.html"


class Estimate(StrictModel):
    """A figure with its 95 % interval, None where there are too few parts for one."""

    value: float
    interval: Interval | None = None


class VariantFigures(StrictModel):
    """Synthetic against held-out real defects in one kind of features.

    Kernel distances leave out pairs of views of one part, except ``kid_all_pairs``. A floor is the
    same figure of real training defects against the held-out ones: nobody can ask for less. Every
    figure is None where a side has fewer than two samples (or parts).

    Attributes:
        name: network/variant, part of the name of every figure here.
        kid_all_pairs: as papers define it.
        kid_floor_halves: of all real parts, dealt at random into two halves; the interval is the
            spread over 200 such splits.
        frechet_small: a side has no more samples than there are dimensions, so that the figure
            compares only with one of the same N.
        diversity: mean distance of two synthetic defects; of real ones for pairs of two parts.
    """

    name: str
    kid: Estimate | None = None
    kid_all_pairs: float | None = None
    kid_floor: Estimate | None = None
    kid_floor_halves: Estimate | None = None
    frechet: float | None = None
    frechet_floor: float | None = None
    frechet_small: bool = False
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    density_floor: float | None = None
    coverage_floor: float | None = None
    diversity: float | None = None
    diversity_real: float | None = None
    diversity_ratio: float | None = None


class InceptionFigure(StrictModel):
    """Inception score of whole tiles: it knows no real image.

    Attributes:
        value: mean over the splits, from 1 to the number of the network's classes.
        spread: standard deviation over the splits.
        images: tiles in all; the score rises with their number.
    """

    value: float
    spread: float
    images: int
    splits: int


class InceptionFile(StrictModel):
    """The weights that Inception figures come from."""

    name: str
    file: str
    sha256: str


class Nearness(StrictModel):
    """How near rebuilt tiles are to the real ones, and how near what the system began with was.

    Attributes:
        psnr: in dB.
        ssim: up to 1.
        psnr_before: of what the system was given to paint on; None where it paints everything.
    """

    psnr: Estimate | None = None
    ssim: Estimate | None = None
    psnr_before: Estimate | None = None
    ssim_before: Estimate | None = None


class ClassReconstruction(StrictModel):
    """One class, or all.

    Attributes:
        near: within the mask and a margin round it.
        whole: the whole tile.
    """

    name: str
    colour: str = "#667080"
    tiles: int
    parts: int
    near: Nearness
    whole: Nearness


class Reconstruction(StrictModel):
    """Held-out real tiles, rebuilt by the synthesizer of the set.

    Attributes:
        tile: side in pixels.
        margin: pixels round the mask that count as near it.
        shown: what the system is told of the real tile.
        before: what it paints on; empty if it paints everything.
    """

    run: str
    checkpoint: str
    system: str
    tile: int
    margin: int
    shown: str
    before: str
    classes: list[ClassReconstruction]
    overall: ClassReconstruction


class CopyCheck(StrictModel):
    """How many synthetic defects are nearer to a training defect than unseen real ones are.

    Attributes:
        flagged: how many.
        expected_share: of fresh real defects so many would be flagged as well.
        threshold: distance (or correlation) from which on one is flagged; itself included.
        chance: probability of so many flags, or more, without any copy.
    """

    flagged: Rate
    expected_share: float
    threshold: float
    chance: float

    @property
    def too_many(self) -> bool:
        """Whether more are flagged than chance explains (5 %)."""
        return self.chance < 0.05


class ClosestPair(StrictModel):
    """A synthetic defect and the training defect nearest to it.

    Attributes:
        ratio: their distance, over the usual one of a held-out real defect.
        correlation: of the synthetic crop with the most similar training crop in any of eight
            turns and mirrorings.
        descends: whether the image of the training defect is among the synthetic one's parents.
        synthetic_centre: (row, column) of the defect in its image.
    """

    synthetic: str
    synthetic_centre: tuple[float, float]
    real: str
    real_centre: tuple[float, float]
    ratio: float
    correlation: float
    flagged: bool
    pixels_flagged: bool
    descends: bool


class Memorisation(StrictModel):
    """Synthetic defects against the training ones.

    Attributes:
        ratio: median distance to the nearest training defect, over that of held-out real ones.
        features: by in-mask features.
        pixels: by correlation of the crops.
    """

    ratio: float
    features: CopyCheck
    pixels: CopyCheck
    closest: list[ClosestPair] = []


class ClassScore(StrictModel):
    """One defect class, or all (name "all classes": means over the classes that have a figure)."""

    name: str
    colour: str = "#667080"
    synthetic: int
    training: int
    training_parts: int
    held_out: int
    held_out_parts: int
    note: str = ""
    figures: list[VariantFigures] = []
    memorisation: Memorisation | None = None
    inception: InceptionFigure | None = None
    inception_real: InceptionFigure | None = None

    def variant(self, ending: str, features: str = "") -> VariantFigures | None:
        """Return the figures of ``features``, or of the first network, that end in /``ending``."""
        wanted = [f for f in self.figures if f.name.endswith(f"{features}/{ending}")]
        return wanted[0] if wanted else None


class Score(StrictModel):
    """What ``flawsmith score`` found; ``score.json``.

    Attributes:
        against: which real parts are the held-out ones.
        tile: side of the synthetic images: no crop is larger.
        level: what is compared: defects, where masks show them, or whole images.
        limit: most defects of a class that were looked at.
        mask_source: how most masks came about, as their records say.
        inception: weights of the second network; None if they were not given.
        reconstruction: of held-out tiles; None if there is none, for the reason that follows.
    """

    format_version: int = 1
    synthetic: str
    data: str
    data_fingerprint: str
    system: str
    run: str
    fold: int
    against: Literal["test", "validation"]
    features: str
    crop_size: int
    tile: int
    limit: int
    seed: int
    resamples: int
    simulated: bool
    classes: list[ClassScore]
    overall: ClassScore
    inception: InceptionFile | None = None
    reconstruction: Reconstruction | None = None
    no_reconstruction: str = ""
    version: str
    level: Literal["pixel", "image"] = "pixel"
    mask_source: str = ""

    @property
    def main(self) -> str:
        """The features that the verdict is from."""
        return "in_mask" if self.level == "pixel" else "pooled"

    @property
    def things(self) -> str:
        """What is compared, in a word."""
        return "defects" if self.level == "pixel" else "images"

    def save(self, folder: Path) -> Path:
        """Write ``score.json`` and return its path."""
        path = folder / SCORE_FILE
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path
