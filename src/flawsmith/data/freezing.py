"""Folds that were drawn are written into the data set for good, and into its history."""

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, metadata_text
from flawsmith.data.history import changing
from flawsmith.errors import FlawsmithError


def freeze_folds(split: DefectDataset, opened: str, arguments: list[str]) -> None:
    """Write the parts and folds of a data set; ``flawsmith data undo`` takes them back.

    Args:
        split: with its new parts and folds.
        opened: the data set's fingerprint before.
        arguments: of the command, for the history.

    Raises:
        FlawsmithError: if the data set was changed since, or cannot be written.
    """
    with changing(split.root, "split", arguments) as changes:
        if DefectDataset.open(split.root).fingerprint() != opened:
            raise FlawsmithError(f"{split.root} was changed meanwhile; split it again")
        changes.write(METADATA_FILE, metadata_text(split.records).encode())
        folds = {record.fold for record in split if record.fold is not None}
        parts = {record.part for record in split if record.source == "real"}
        changes.summary.append(f"{len(folds)} folds of {len(parts)} parts")
