"""All numbers of a report on whole images as plain data; nothing of it is of pixels."""

from typing import Literal

from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.experiment.plant import PlantAssumptions, PlantFigures
from flawsmith.experiment.report.facts import (
    CompositionRow,
    DataFacts,
    Paired,
    Panel,
    PartRow,
    Role,
    SyntheticFacts,
)
from flawsmith.experiment.report.runs import TrainingLog
from flawsmith.experiment.report.words import Comparison, Verdict
from flawsmith.metrics.evaluation import Interval, Rate

Kind = Literal["missed", "false", "found"]


class ImageArm(StrictModel):
    """One column of the report: a tested classification model.

    Attributes:
        network: what it is called in a sentence, such as "pretrained network".
        wrong: parts with an image that is not given just the classes it shows; None where the
            test kept no scores.
        other_class: defective parts rejected for classes alone that they do not show.
        plant: None where no good part was tested.
        thresholds: of the image scores, one a class.
        part_threshold: of the part scores, on the scale of `PartResult.score`.
    """

    arm: str
    label: str
    short: str
    network: str
    role: Role
    colour: str
    run: str
    model: str
    escape: Rate | None
    overkill: Rate | None
    wrong: Rate | None
    other_class: int
    plant: PlantFigures | None
    macro_f1: float | None
    macro_f1_interval: Interval | None
    macro_balanced_accuracy: float | None
    macro_balanced_accuracy_interval: Interval | None
    part_auroc: float | None
    part_average_precision: float | None
    thresholds: list[float]
    part_threshold: float
    images: int
    seconds_per_image: float
    composition: dict[str, dict[str, int]]


class ImageClassCell(StrictModel):
    """What one arm reached on one class; as in `ClassResult`, intervals over parts."""

    recall: float | None
    recall_interval: Interval | None
    precision: float | None
    precision_interval: Interval | None
    f1: float | None
    f1_interval: Interval | None
    balanced_accuracy: float | None
    balanced_accuracy_interval: Interval | None
    auroc: float | None
    auroc_interval: Interval | None
    average_precision: float | None
    true_positive: int
    false_positive: int
    false_negative: int
    recall_curve: list[float]
    precision_curve: list[float]


class ImageClassRow(StrictModel):
    """One class over all arms; cells in the order of the arms."""

    name: str
    colour: str
    parts: int
    images: int
    described_only: bool
    cells: list[ImageClassCell]


class Confusion(StrictModel):
    """What images of each class were taken for, where every image shows one class at most.

    Attributes:
        arm: index of the model.
        truth: classes that occur, "good" last if good images do; the rows.
        said: all classes, then what an image without any is called; the columns.
        counts: images, a row a true class.
    """

    arm: int
    truth: list[str]
    said: list[str]
    counts: list[list[int]]


class ImageExample(StrictModel):
    """A test image shown, with what the last model looked at.

    Attributes:
        defect: the class whose score is told.
        labels: what the image shows.
    """

    kind: Kind
    defect: str
    labels: list[str]
    part: str
    image: str
    score: float
    threshold: float
    note: str
    panels: list[Panel] = Field(default=[], exclude=True)


class ClassExamples(StrictModel):
    """The examples of one class: missed, found where it is not, and found; the clearest first."""

    name: str
    missed: list[ImageExample]
    false: list[ImageExample]
    found: list[ImageExample]


class ImagePaired(Paired):
    """What changed part by part: rejections, and parts classified rightly as a whole."""

    newly_right: list[str]
    newly_wrong: list[str]


class ImageReportFacts(StrictModel):
    """Everything on the page.

    Attributes:
        has_good: a good part was tested, so that missing can be weighed against rejecting.
        single_label: no tested image shows two classes.
        role_words: what the head of a column says of its role.
        subject: what the last model is called in a sentence.
        worst: defective parts missed, or without good parts those classified wrongly.
    """

    level: Literal["image"] = "image"
    title: str
    tested_on: str
    version: str
    data: DataFacts
    has_good: bool
    single_label: bool
    assumptions: PlantAssumptions | None
    arms: list[ImageArm]
    before: int | None
    after: int
    role_words: dict[Role, str]
    subject: str
    verdict: Verdict
    power: str
    paired: ImagePaired | None
    paired_text: str
    macro: Comparison
    composition: list[CompositionRow]
    classes: list[ImageClassRow]
    confusions: list[Confusion]
    parts: list[PartRow]
    worst: list[ImageExample]
    examples: list[ClassExamples]
    synthetic: SyntheticFacts | None
    training: list[TrainingLog]
    reproduce: list[str]
