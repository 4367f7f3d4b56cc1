"""All numbers of a report as plain data: the page is drawn from it and it is written as JSON."""

from typing import Literal

from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.experiment.plant import PlantAssumptions, PlantFigures
from flawsmith.experiment.report.runs import TrainingLog
from flawsmith.experiment.report.words import Comparison, Verdict
from flawsmith.metrics.evaluation import Interval, Rate

Role = Literal["old way", "before", "after", "other"]


class Picture(StrictModel):
    """A picture inside the page.

    Attributes:
        uri: ``data:`` URI.
        width: pixels.
        height: pixels.
    """

    uri: str
    width: int
    height: int


class Arm(StrictModel):
    """One column of the report: a tested inspection model.

    Attributes:
        lucky: parts rejected although no pixel of their defect was found with its class.
        defect_regions: labelled regions of all classes found, of all there are.
    """

    arm: str
    label: str
    short: str
    role: Role
    colour: str
    run: str
    model: str
    escape: Rate | None
    overkill: Rate | None
    lucky: int
    plant: PlantFigures
    macro_iou: float | None
    macro_iou_interval: Interval | None
    pixel_accuracy: float | None
    false_regions_per_good_part: float | None
    part_auroc: float | None
    part_average_precision: float | None
    region_threshold: float
    pixel_thresholds: list[float]
    images: int
    seconds_per_image: float
    composition: dict[str, dict[str, int]]


class ClassCell(StrictModel):
    """What one arm reached on one class."""

    iou: float | None
    iou_interval: Interval | None
    average_precision: float | None
    defect_recall: Rate | None
    recall_curve: list[float]
    precision_curve: list[float]


class ClassRow(StrictModel):
    """One class over all arms; cells in the order of the arms."""

    name: str
    colour: str
    parts: int
    images: int
    regions: int
    described_only: bool
    cells: list[ClassCell]


class CompositionRow(StrictModel):
    """Training images of one class, before and after (Table 3 of the paper)."""

    name: str
    before_real: int
    before_synthetic: int
    after_real: int
    after_synthetic: int

    @property
    def totals(self) -> tuple[int, int]:
        """Images before and after."""
        return (
            self.before_real + self.before_synthetic,
            self.after_real + self.after_synthetic,
        )


class PartRow(StrictModel):
    """One test part over all arms; verdicts in the order of the arms."""

    part: str
    labels: list[str]
    verdicts: list[str]
    scores: list[float]
    reason: str


class Panel(StrictModel):
    """One picture of an example with what it shows."""

    label: str
    picture: Picture


class Example(StrictModel):
    """A test part shown: missed, found or falsely rejected by the last model."""

    kind: Literal["missed", "found", "false alarm"]
    part: str
    labels: list[str]
    file_name: str
    score: float
    reason: str
    note: str
    panels: list[Panel] = Field(default=[], exclude=True)


class Paired(StrictModel):
    """What changed on the same parts, part by part."""

    newly_found: list[str]
    newly_missed: list[str]
    newly_passed: list[str]
    newly_rejected: list[str]


class Match(StrictModel):
    """A synthetic image beside the most similar real training crop of its class.

    Attributes:
        correlation: normalised correlation of the two defect-centred crops, -1 to 1.
        turned: how the real crop was turned to match.
        searched: real crops compared.
    """

    name: str
    defect: str
    parents: list[str]
    nearest: str | None
    correlation: float | None
    turned: str
    searched: int
    panels: list[Panel] = Field(default=[], exclude=True)


class RandomSheet(StrictModel):
    """Random crops of one class: real training images and synthetic ones."""

    defect: str
    real_files: list[str]
    synthetic_files: list[str]
    real: Picture | None = Field(default=None, exclude=True)
    synthetic: Picture | None = Field(default=None, exclude=True)


class SyntheticFacts(StrictModel):
    """The synthetic images and the run that made them.

    Attributes:
        crop: side of the compared crops in pixels; smaller where an image is.
        layers: whether X_d and X_b are shown.
        mask_source: how most masks of the images came about; empty without images.
    """

    synthesizer: str | None
    data: str | None
    images: int
    crop: int
    layers: bool
    mask_source: str = ""
    matches: list[Match]
    sheets: list[RandomSheet]
    progress: list[Panel] = Field(default=[], exclude=True)


class DataFacts(StrictModel):
    """The data set that the models were tested on."""

    name: str
    path: str
    fingerprint: str
    fold: int
    simulated: bool
    test_parts: int
    defective_parts: int
    good_parts: int
    test_images: int
    note: str


class ReportFacts(StrictModel):
    """Everything on the page."""

    title: str
    tested_on: str
    version: str
    data: DataFacts
    assumptions: PlantAssumptions
    arms: list[Arm]
    before: int | None
    after: int
    old_way: int | None
    verdict: Verdict
    power: str
    paired: Paired | None
    macro: Comparison
    composition: list[CompositionRow]
    classes: list[ClassRow]
    parts: list[PartRow]
    missed: list[Example]
    found: list[Example]
    false_alarms: list[Example]
    synthetic: SyntheticFacts | None
    training: list[TrainingLog]
    reproduce: list[str]
