"""What keeps a test honest: nothing tested was seen in training, and classes mean the same."""

from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.schema import SCHEMA_FILE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.inspection_model import ModelConfig
from flawsmith.experiment.synthesis import SynthesisSettings
from flawsmith.experiment.training_data import training_records
from flawsmith.training.config import RunConfig


def require_same_classes(run: Path, dataset: DefectDataset) -> None:
    """Refuse data whose defect classes are not those of a run, in the same order.

    Raises:
        FlawsmithError: with both.
    """
    expected = Schema.load(run).defect_names
    if dataset.schema.defect_names != expected:
        raise FlawsmithError(
            f"{run} knows the classes {', '.join(expected)}; {dataset.root} has "
            f"{', '.join(dataset.schema.defect_names)}: test on a data set with the same classes "
            "in the same order"
        )


def seen_records(config: ModelConfig) -> list[ImageRecord] | None:
    """Return the records that training or validation saw; None where the data set is gone."""
    root = Path(config.data.path)
    if not (root / SCHEMA_FILE).is_file():
        return None
    dataset = DefectDataset.open(root).usable()
    return [r for r in dataset if config.data.fold is None or r.fold != config.data.fold]


def require_unseen(run: Path, records: list[ImageRecord], seen: list[ImageRecord] | None) -> None:
    """Refuse to test a run on images that it was trained on, wherever they lie.

    Raises:
        FlawsmithError: with how many there are.
    """
    known = {record.sha256 for record in seen or []}
    strangers = [record.file_name for record in records if record.sha256 in known]
    if strangers:
        raise FlawsmithError(
            f"{len(strangers)} of {len(records)} test images are among those that {run} was "
            f"trained on (first: {strangers[0]}); test on a fold that it has not seen"
        )


def require_unseen_by_synthesizers(config: RunConfig) -> None:
    """Refuse synthetic sets whose synthesizer has seen parts that a run keeps apart.

    Images that are painted from nothing but a class have no parents to tell it: everything that
    trained their synthesizer is in them. Sets that do not say how they were made pass.

    Raises:
        FlawsmithError: with the first image that is kept for test or validation.
    """
    dataset = DefectDataset.open(Path(config.data.path))
    own, _ = training_records(dataset, config.data)
    allowed = {record.file_name for record in own}
    for folder in config.data.synthetic:
        made = SynthesisSettings.load(Path(folder))
        if made is None:
            continue
        share = made.validation_share
        if share is None:
            share = config.data.validation_share
        kept = config.data.model_copy(update={"fold": made.fold, "validation_share": share})
        learned, _ = training_records(dataset, kept)
        strangers = [r.file_name for r in learned if r.file_name not in allowed]
        if strangers:
            left_out = "no fold" if made.fold is None else f"fold {made.fold}"
            raise FlawsmithError(
                f"{folder} shows what a {made.system} that left out {left_out} learned, also from "
                f"{strangers[0]}, which is kept for test or validation here; train one with "
                f"--fold {config.data.fold} --set data.validation_share="
                f"{config.data.validation_share:g}, and synthesise again"
            )
