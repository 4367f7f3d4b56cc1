"""The balanced set of a system: how many images of each class, and those whose mask is known."""

from pathlib import Path

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, ImageRecord, write_metadata
from flawsmith.data.filtering import files_of
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.balance import Balance
from flawsmith.storage import new_folder


def balanced_plan(wanted: Balance, per_class: int) -> dict[str, int]:
    """Return the images to make of each class.

    Raises:
        FlawsmithError: if no class lacks any.
    """
    plan = {name: count for name, count in wanted.added.items() if count and wanted.before[name]}
    if not plan:
        have = ", ".join(f"{name} {count}" for name, count in wanted.before.items())
        raise FlawsmithError(
            f"--per-class {per_class}: no class needs synthetic images (real training images: "
            f"{have}); give a larger number"
        )
    return plan


def mask_is_known(record: ImageRecord) -> bool:
    """Whether a synthetic image has a mask: all ignored says that nobody knows it."""
    return bool(record.labels) or record.mask_file_name is None


def keep_known(whole: Path, known: Path, unknown: int) -> None:
    """Make a set of the images whose mask is known, by links, where some have none.

    An image of which every pixel is ignored would be drawn as a good one and teach nothing.

    Raises:
        FlawsmithError: if no image has a known mask.
    """
    if not unknown or known.is_dir():
        return
    dataset = DefectDataset.open(whole)
    kept = [record for record in dataset if mask_is_known(record)]
    if not any(record.labels for record in kept):
        raise FlawsmithError(
            f"none of its {len(dataset)} images has a known mask, so nothing can be learned from "
            "them; train longer, or with other settings (--system-set)"
        )
    with new_folder(known, what="synthetic set") as folder:
        dataset.schema.save(folder)
        for record in kept:
            for name in files_of(record):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(dataset.path(name).resolve())
        write_metadata(folder / METADATA_FILE, kept)
