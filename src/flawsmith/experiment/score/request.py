"""What a score compares: which real images the generator of a synthetic set has not seen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.tiles import DataConfig
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.synthesis import SETTINGS_FILE, SynthesisSettings
from flawsmith.experiment.training_data import held_out_records, training_records

Against = Literal["test", "validation"]

VALIDATION_SHARE = 0.2
"""As the presets from small on have it; for a set that does not say its own."""


@dataclass(frozen=True)
class ScoreRequest:
    """What is compared with what, checked to fit together.

    Attributes:
        made: the synthetic images.
        training: real images that the generator may have seen.
        held_out: real images that it has not.
        good: real images without a defect that it may have seen.
        origin: what ``synthesis.json`` says; None without one.
        level: pixel, where the masks of both sets show the defects; else image.
    """

    synthetic: DefectDataset
    data: DefectDataset
    made: list[ImageRecord]
    training: list[ImageRecord]
    held_out: list[ImageRecord]
    good: list[ImageRecord]
    fold: int
    against: Against
    origin: SynthesisSettings | None
    level: Literal["pixel", "image"] = "pixel"

    @property
    def images(self) -> int:
        """Images that will be read."""
        return len(self.made) + len(self.training) + len(self.held_out)


def prepare(
    synthetic: Path, data: Path, *, fold: int | None = None, validation: bool = False
) -> ScoreRequest:
    """Open both sets and deal the real images.

    Args:
        synthetic: a synthetic set.
        data: the data set that its synthesizer was trained on.
        fold: the test fold; by default the one that ``synthesis.json`` names, and no other.
        validation: compare with the inner validation parts instead of the test parts, which a
            choice between generators must never look at.

    Raises:
        FlawsmithError: if there is no synthetic image, the classes differ, the fold is unknown or
            another one, or a synthetic image descends from a held-out part.
    """
    made_set, dataset = DefectDataset.open(synthetic), DefectDataset.open(data)
    made = [r for r in made_set.usable() if r.source == "synthetic" and r.labels]
    if not made:
        raise FlawsmithError(
            f"{synthetic} has no synthetic image with a defect; make some with: "
            "flawsmith synthesize RUN --balance --data DATA"
        )
    names = made_set.schema.defect_names, dataset.schema.defect_names
    if names[0] != names[1]:
        raise FlawsmithError(
            f"{synthetic} has the defects {', '.join(names[0])}; {data} has "
            f"{', '.join(names[1])}; give the data set that it was made from"
        )
    origin = SynthesisSettings.load(synthetic)
    tested = _fold(origin, fold, synthetic)
    share = VALIDATION_SHARE
    if origin is not None and origin.validation_share is not None:
        share = origin.validation_share
    training, inner = training_records(
        dataset, DataConfig(path=str(data), fold=tested, validation_share=share)
    )
    held_out = inner if validation else held_out_records(dataset, tested)
    against: Against = "validation" if validation else "test"
    held_out = [r for r in held_out if r.source == "real"]
    _require_apart(made, held_out, synthetic, against)
    real = [r for r in training if r.source == "real"]
    masks = all(kind_of_labels(folder) == "pixel" for folder in (synthetic, data))
    return ScoreRequest(
        made_set, dataset, made,
        training=[r for r in real if r.labels],
        held_out=[r for r in held_out if r.labels],
        good=[r for r in real if not r.labels],
        fold=tested, against=against, origin=origin, level="pixel" if masks else "image",
    )  # fmt: skip


def _fold(origin: SynthesisSettings | None, given: int | None, synthetic: Path) -> int:
    made_for = given if origin is None else origin.fold
    if not isinstance(made_for, int):
        why = (
            f"{synthetic} was made by a synthesizer that left out no fold"
            if origin
            else f"{synthetic} does not say which fold was left out (it has no {SETTINGS_FILE})"
        )
        remedy = "train one with --fold K and synthesize again" if origin else "give --fold K"
        raise FlawsmithError(f"{why}, so no real part is known to be unseen; {remedy}")
    if given is not None and given != made_for:
        raise FlawsmithError(
            f"{synthetic} was made leaving out fold {made_for}, not fold {given}: its synthesizer "
            f"has seen the parts of fold {given}; leave --fold out"
        )
    return made_for


def _require_apart(
    made: list[ImageRecord], held_out: list[ImageRecord], synthetic: Path, against: Against
) -> None:
    if not any(record.labels for record in held_out):
        raise FlawsmithError(
            f"no {against} part has a defect, so there is nothing real to compare with; split the "
            "data set into fewer folds, or score against the other parts (--against)"
        )
    names = {record.file_name for record in held_out}
    for record in made:
        seen = [parent for parent in record.parents if parent in names]
        if seen:
            raise FlawsmithError(
                f"{synthetic}/{record.file_name} descends from {seen[0]}, which is held out "
                f"({against}); a score against it would praise a copy: synthesize with the fold "
                "left out"
            )
