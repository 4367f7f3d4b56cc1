"""Everything that a comparison of systems found, as plain data (``compare.json``)."""

import json
from pathlib import Path
from typing import Literal, Self

from flawsmith.config import StrictModel, validate
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.benefit.facts import Comparison, Spent
from flawsmith.experiment.compare.plan import CompareSettings
from flawsmith.storage import write_text

FACTS_FILE = "compare.json"
PAGE_FILE = "compare.html"
FORMAT = 1


class Answer(StrictModel):
    """What the page says first."""

    tone: Literal["better", "worse", "open"]
    headline: str
    sentences: list[str]


class ClassBalance(StrictModel):
    """Table 3: training images that show a class, and those to synthesize."""

    name: str
    colour: str
    before: int
    added: int


class Ranged(StrictModel):
    """A figure with its 95 % interval; None where there are too few parts for one."""

    value: float
    low: float | None = None
    high: float | None = None


class Distances(StrictModel):
    """Table 4: synthetic against held-out real defects of one class, or of all.

    Attributes:
        kid: kernel distance inside the mask; with its floor, real training defects against them.
        frechet: of the same features.
        frechet_tile: of whole tiles, as the paper has it.
        small: a side has no more samples than the features have dimensions.
    """

    name: str
    synthetic: int
    held_out: int
    held_out_parts: int
    kid: Ranged | None
    kid_floor: Ranged | None
    frechet: float | None
    frechet_floor: float | None
    frechet_tile: float | None
    frechet_tile_floor: float | None
    small: bool


class NetworkSize(StrictModel):
    """Table 5: one network.

    Attributes:
        mib: of all weights and buffers as they are kept.
        samples: whether it is needed to make images; the others only train.
    """

    name: str
    parameters: int
    mib: float
    samples: bool


class Training(StrictModel):
    """Table 5: what the training of a system cost.

    Attributes:
        seconds: of the steps, without sample sheets and checkpoints.
        seconds_per_epoch: one epoch shows as many defect crops as there are training images with a
            defect, and the good crops that the system takes beside them.
        epoch_share: crops of an epoch per image with a defect: 1, or 2 as for CycleGAN (2N).
        peak_mib: largest resident memory of the process; None where nobody tells.
    """

    images: int
    seconds: float
    seconds_per_thousand: float | None
    seconds_per_epoch: float | None
    epoch_share: float
    peak_mib: float | None
    tile_size: int
    batch_size: int
    networks: list[NetworkSize]


class BalancedSet(StrictModel):
    """What a system made.

    Attributes:
        made: images asked for by class.
        shown: images whose made mask shows the class.
        unknown: images without a known mask, left out of the training mix.
        images_per_second: None where nobody timed it.
    """

    made: dict[str, int]
    shown: dict[str, int]
    unknown: int
    mask_source: str
    images_per_second: float | None

    @property
    def total(self) -> int:
        """Images of the set."""
        return sum(self.made.values())


class SetScore(StrictModel):
    """Table 4 of one system."""

    features: str
    page: str
    classes: list[Distances]
    overall: Distances

    def rows(self, names: list[str]) -> list[Distances | None]:
        """Return the row of each class, None where the set tries to show none, then of all."""
        known = {row.name: row for row in self.classes}
        return [*(known.get(name) for name in names), self.overall]


class SystemFacts(StrictModel):
    """One system; what is not done yet, or failed, is None.

    Attributes:
        learns: whether it is trained at all.
        failure: why it failed, and at which step.
    """

    name: str
    colour: str
    what: str
    learns: bool
    failure: str | None = None
    training: Training | None = None
    balanced: BalancedSet | None = None
    score: SetScore | None = None


class Method(StrictModel):
    """Tables 6 to 8: one way to inspect, over all its trainings.

    Attributes:
        name: ``machine_vision``, ``real``, or the system whose images were added.
        iou: of each class, pooled over the test parts; None where no part shows it.
        defects_found: regions with the right class and IoU >= 0.5, summed over the trainings, of
            ``defects``.
        run: folder of the first training.
    """

    name: str
    colour: str
    seeds: int
    iou: list[float | None]
    macro: float | None
    part_auroc: float | None
    defects_found: int
    defects: int
    pixel_accuracy: float | None
    run: str
    images: dict[str, dict[str, int]]

    @property
    def accuracy(self) -> float | None:
        """Share of real defects that were found, the paper's accuracy as A26 reads it."""
        return self.defects_found / self.defects if self.defects else None


class CompareFacts(StrictModel):
    """The whole comparison.

    Attributes:
        classes: names of the defects.
        parts: test parts that show each.
        test_parts: all of them.
        planned: steps of the comparison.
        finished: of them done.
        systems_apart: the leading system against copy_paste, where both are there; its p-value is
            adjusted for the number of systems.
    """

    format_version: int = FORMAT
    version: str
    name: str
    data: str
    data_fingerprint: str
    simulated: bool
    settings: CompareSettings
    budget: str
    tile_size: int
    classes: list[str]
    parts: list[int]
    test_parts: int
    planned: int
    finished: int
    answer: Answer
    balance: list[ClassBalance]
    systems: list[SystemFacts]
    methods: list[Method]
    comparisons: list[Comparison]
    systems_apart: Comparison | None
    spent: list[Spent]

    def save(self, out: Path) -> None:
        """Write ``compare.json``."""
        write_text(out / FACTS_FILE, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``compare.json``, given itself or its folder.

        Raises:
            FlawsmithError: if there is none, or it is no comparison of this version.
        """
        file = path / FACTS_FILE if path.is_dir() else path
        if not file.is_file():
            raise FlawsmithError(
                f"there is no {file}; expected a {FACTS_FILE} that flawsmith compare made"
            )
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FlawsmithError(f"{file} is not JSON: {error}") from None
        found = values.get("format_version") if isinstance(values, dict) else None
        if found != FORMAT:
            given = "no comparison" if found is None else f"a comparison in format {found}"
            raise FlawsmithError(
                f"{file} is {given}, expected one in format {FORMAT}; repeat its flawsmith compare "
                "with this version, which finds finished steps in the ledger"
            )
        return validate(cls, values, source=str(file))
