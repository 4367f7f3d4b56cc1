"""Everything that a benefit test found, as plain data (``benefit.json``)."""

import json
from pathlib import Path
from typing import Self

from flawsmith.config import StrictModel, validate
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.mix import Mix, Tried
from flawsmith.experiment.benefit.settings import BenefitSettings, Level
from flawsmith.metrics.evaluation import Rate
from flawsmith.storage import write_text

FACTS_FILE = "benefit.json"
PAGE_FILE = "benefit.html"


class Change(StrictModel):
    """Arm minus real, paired by part; the interval is None where parts are too few.

    Attributes:
        error: standard error over parts and training.
    """

    value: float
    low: float | None
    high: float | None
    error: float | None


class ClassChange(StrictModel):
    """A figure of one class in both arms, pooled over all test parts that both tested.

    Attributes:
        parts: test parts that show it.
        claimed: whether they are enough to say more than the figure (10).
    """

    name: str
    parts: int
    claimed: bool
    real: float | None
    arm: float | None
    change: Change | None


class PartRates(StrictModel):
    """Escape or overkill of both arms on the same parts.

    Attributes:
        only_real: parts that only ``real`` judged wrongly.
        only_arm: parts that only the arm judged wrongly.
        p: McNemar's exact test of the two.
    """

    real: Rate
    arm: Rate
    only_real: int
    only_arm: int
    p: float


class PartAuroc(StrictModel):
    """Area under the ROC curve of parts, which no threshold decides; means of the folds."""

    real: float
    arm: float
    change: Change


class FurtherFigure(StrictModel):
    """Another figure of both arms on the same parts, which decides nothing.

    Attributes:
        name: recall or balanced accuracy.
        real: mean over the classes, as ``arm`` and ``change``.
    """

    name: str
    real: float | None
    arm: float | None
    change: Change | None
    classes: list[ClassChange]


class Comparison(StrictModel):
    """One arm against ``real`` with one network.

    Attributes:
        figure: what is compared: IoU of pixels, or F1 of images.
        pairs: number of (fold, seed) that both have finished.
        parts: test parts of these folds.
        defective: of them with a defect.
        p: the larger of the exchange test over parts and the t test over folds or seeds.
        luck_p: that t test; None with fewer than three folds and fewer than three seeds.
        holm: ``p`` adjusted for the number of arms.
        further_parts: defective parts to add, with ``further_seeds``, to see a gain of 0.05 in 80 %
            of the tests; None if it cannot be told.
        further_seeds: trainings of each arm in each fold that this takes in all.
        further: at the level of images recall and balanced accuracy.
        rarest: there, the class with the fewest real training images.
    """

    arm: str
    model: str
    mix: Mix
    pairs: int
    folds: list[int]
    seeds: int
    parts: int
    defective: int
    real: float | None
    macro: float | None
    change: Change | None
    swap_p: float | None
    luck_p: float | None
    p: float | None
    holm: float | None
    classes: list[ClassChange]
    escape: PartRates | None
    overkill: PartRates | None
    further_parts: int | None
    further_seeds: int | None = None
    auroc: PartAuroc | None = None
    figure: str = "IoU"
    further: list[FurtherFigure] = []
    rarest: str | None = None


class ArmFigures(StrictModel):
    """One arm by itself, over all folds that it has finished.

    Attributes:
        synthetic: fewest and most synthetic images of one class in one fold; None if it has none.
        iou: of each class, None where no part shows it; at the level of images always.
        parts: test parts of each class.
        macro: mean over the classes of IoU, or of F1 at the level of images.
        f1: of each class; this and what follows is for images only.
        recall: share of the images of each class that are found.
        balanced_accuracy: mean over the classes.
    """

    arm: str
    model: str
    mix: Mix | None
    folds: list[int]
    seeds: int
    images: dict[str, dict[str, int]]
    classes: list[str]
    parts: list[int]
    iou: list[float | None]
    macro: float | None
    synthetic: tuple[int, int] | None = None
    f1: list[float | None] = []
    recall: list[float | None] = []
    balanced_accuracy: float | None = None

    @property
    def values(self) -> list[float | None]:
        """What ``macro`` is the mean of."""
        return self.f1 or self.iou


class Choice(StrictModel):
    """How the amount and schedule of an arm came about; without ``tried`` they were given."""

    arm: str
    mix: Mix
    fold: int | None
    tried: list[Tried]


class CurvePoint(StrictModel):
    """Macro IoU (or F1 of images) of an arm where it might see a part of the data.

    Attributes:
        share: of the real parts of each class.
        real_parts: defective real parts, mean over folds and draws.
        values: one for each draw, pooled over the folds that all arms finished.
    """

    arm: str
    share: float
    real_parts: float
    folds: list[int]
    values: list[float]


class Spent(StrictModel):
    """Seconds of finished work of one kind, from the ledger and the finished synthetic sets."""

    what: str
    steps: int
    seconds: float


class Verdict(StrictModel):
    """The answer in words.

    Attributes:
        add: the arm to add; None: add nothing.
        tone: better, worse or open.
    """

    add: str | None
    tone: str
    headline: str
    sentences: list[str]


class BenefitFacts(StrictModel):
    """The whole test.

    Attributes:
        planned: number of (arm, fold, seed, network) that the test consists of.
        finished: of them done.
        level: what is counted: pixels, or whole images.
        masks: whether the data set has any, which copy-paste needs.
    """

    version: str
    data: str
    data_fingerprint: str
    simulated: bool
    settings: BenefitSettings
    planned: int
    finished: int
    verdict: Verdict
    arms: list[ArmFigures]
    comparisons: list[Comparison]
    choices: list[Choice]
    curve: list[CurvePoint]
    spent: list[Spent]
    level: Level = "pixel"
    masks: bool = True

    @property
    def figure(self) -> str:
        """What the arms are compared by, without "macro"."""
        return "F1" if self.level == "image" else "IoU"

    def save(self, out: Path) -> None:
        """Write ``benefit.json``."""
        write_text(out / FACTS_FILE, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, out: Path) -> Self:
        """Read ``benefit.json`` of a folder.

        Raises:
            FlawsmithError: if there is none.
        """
        path = out / FACTS_FILE
        if not path.is_file():
            raise FlawsmithError(f"{out} has no {FACTS_FILE}; make it with: flawsmith benefit")
        return validate(cls, json.loads(path.read_text(encoding="utf-8")), source=str(path))
