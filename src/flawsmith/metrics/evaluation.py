"""What a test of an inspection model found, as plain data (``evaluation.json`` of a run)."""

import json
from pathlib import Path
from typing import Literal, Self

from flawsmith.config import StrictModel, validate
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.storage import write_text

EVALUATION_FILE = "evaluation.json"


class Interval(StrictModel):
    """A 95 % interval, from a bootstrap over parts where nothing else is said."""

    low: float
    high: float


class Rate(StrictModel):
    """A count out of a total with its exact (Clopper-Pearson) 95 % interval."""

    count: int
    total: int
    low: float
    high: float


class ClassResult(StrictModel):
    """Figures of one defect class; None where the class is absent from the test parts.

    At the level of images everything counts images, an image being positive where its score
    reaches the class's threshold. IoU and regions say nothing there: they are None and 0.

    Attributes:
        parts: defective test parts of this class; below ten its figures only describe.
        iou: pooled over all test pixels, tp / (tp + fp + fn); 255 pixels are left out.
        average_precision: of the pixel (or image) scores, free of any threshold.
        defect_recall: regions found with the right class and IoU >= 0.5, of all real regions.
        recall_curve: recall, rising, at the points of the precision-recall curve.
        precision_curve: precision at these points.
        recall: tp / (tp + fn) of images; this and what follows is None at the level of pixels.
        precision: tp / (tp + fp); 0 where no image is found.
        f1: 2 tp / (2 tp + fp + fn).
        balanced_accuracy: mean of recall and of the share of other images that are left alone;
            None where every test image shows the class.
        auroc: area under the ROC curve of the image scores; None as for balanced accuracy.
    """

    name: str
    parts: int
    images: int
    regions: int
    true_positive: int
    false_positive: int
    false_negative: int
    iou: float | None
    iou_interval: Interval | None
    average_precision: float | None
    defect_recall: Rate | None
    recall_curve: list[float]
    precision_curve: list[float]
    recall: float | None = None
    recall_interval: Interval | None = None
    precision: float | None = None
    precision_interval: Interval | None = None
    f1: float | None = None
    f1_interval: Interval | None = None
    balanced_accuracy: float | None = None
    balanced_accuracy_interval: Interval | None = None
    auroc: float | None = None


class PartResult(StrictModel):
    """The verdict on one part.

    Attributes:
        score: highest region score over all its views, 0 to 1; at the level of images the highest
            image score over views and classes, on a scale where every class's threshold is 0.5.
        reason: why it failed ("crack in images/a.png, score 0.91"), empty for PASS.
        views: file names of its tested images.
        worst_view: the view with the highest score.
        counts: class name -> [true positive, false positive, false negative] pixels, or images;
            the other images of the part are true negatives.
        false_regions: predicted regions that overlap no labelled defect; 0 at the level of images.
    """

    part: str
    labels: list[str]
    verdict: Literal["PASS", "FAIL"]
    score: float
    reason: str
    views: list[str]
    worst_view: str
    counts: dict[str, list[int]]
    false_regions: int


class ImageResult(StrictModel):
    """What a classification model says of one test image.

    Attributes:
        image: file name in its data set.
        labels: what it shows.
        scores: of each class, 0 to 1, in the order of `Evaluation.classes`.
    """

    image: str
    labels: list[str]
    scores: list[float]


class Activation(StrictModel):
    """One picture of what a classification model looked at.

    Attributes:
        image: file name of the test image in its data set.
        defect: the class whose map it is.
        kind: the class was rightly found, missed, or found in an image that does not show it.
        score: of the class in this image, 0 to 1.
        threshold: of the class.
        picture: PNG, relative to the run's folder: the image, and the same under its map.
    """

    image: str
    defect: str
    kind: Literal["found", "missed", "false"]
    score: float
    threshold: float
    picture: str


class Evaluation(StrictModel):
    """Everything that a test of one inspection model found, on real images only.

    Attributes:
        data: folder of the data set that was tested on.
        arm: name of the training mix: real, dbs_gan, copy_paste, or machine_vision.
        model: network or method ("fc_hardnet70", "machine_vision").
        composition: class -> training images, by source: {"real": {...}, "synthetic": {...}}.
        escape: defective parts passed of defective parts seen.
        overkill: good parts failed of good parts seen.
        pixel_accuracy: None where no test image has pixel labels.
        part_auroc: area under the ROC curve of the part scores.
        predictions: test image -> its predicted index mask, relative to the run folder; empty at
            the level of images.
        level: what is counted: pixels, where labels say the place, or images.
        macro_f1: mean over the classes that occur; this and what follows is for images only.
        activations: a bounded number of pictures; see `Activation`.
        image_results: every test image; empty in files of before it was kept.
    """

    arm: str
    model: str
    data: str
    data_fingerprint: str
    simulated: bool
    fold: int
    composition: dict[str, dict[str, int]]
    thresholds: Thresholds
    classes: list[ClassResult]
    macro_iou: float | None
    macro_iou_interval: Interval | None
    pixel_accuracy: float | None
    escape: Rate | None
    overkill: Rate | None
    false_regions_per_good_part: float | None
    part_auroc: float | None
    part_average_precision: float | None
    parts: list[PartResult]
    predictions: dict[str, str]
    images: int
    seconds_per_image: float
    level: Literal["pixel", "image"] = "pixel"
    macro_f1: float | None = None
    macro_f1_interval: Interval | None = None
    macro_balanced_accuracy: float | None = None
    macro_balanced_accuracy_interval: Interval | None = None
    activations: list[Activation] = []
    image_results: list[ImageResult] = []

    def save(self, run: Path) -> None:
        """Write ``evaluation.json`` into the run's folder."""
        write_text(run / EVALUATION_FILE, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, run: Path) -> Self:
        """Read ``evaluation.json`` of a run.

        Raises:
            FlawsmithError: if the run has not been tested.
        """
        path = run / EVALUATION_FILE
        if not path.is_file():
            raise FlawsmithError(
                f"{run} has no {EVALUATION_FILE}; make it with: flawsmith model test {run}"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FlawsmithError(f"{path} is not JSON: {error}") from None
        return validate(cls, values, source=str(path))
