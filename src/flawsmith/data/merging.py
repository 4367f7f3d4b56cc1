"""Joining several defect data sets to one."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flawsmith.config import validate
from flawsmith.data.dataset import (
    METADATA_FILE,
    DatasetWriter,
    DefectDataset,
    ImageRecord,
    LabelMap,
    write_metadata,
)
from flawsmith.data.formats.naming import UniqueNames
from flawsmith.data.history import write_origin
from flawsmith.data.joined_names import JoinedParts, join_entries, join_parts
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import new_folder, require_free

SAME_FIELDS = {
    "simulated": "a set is simulated or real as a whole, and reports say so; keep them apart",
    "channels": "make the images all grey or all RGB, and import again",
    "bit_depth": "convert the images of one, and import it again",
    "black_level": "the same value must mean no light; set black_level in dataset.toml",
    "white_level": "the same value must mean full scale; import again with --white-level",
    "pixel_size_mm": "give all the same (import --pixel-size-mm); scale images where it differs",
}
"""What must be equal in all data sets, and what to do where it is not."""

_DERIVED = {"file_name", "mask_file_name", "background_file_name", "sha256", "height", "width"}


@dataclass(frozen=True)
class MergeReport:
    """What became of the data sets.

    Attributes:
        labels: a short name for each set, as in the new names of files and parts.
        classes: name of each class of the new set, and what each set calls it (None: has none).
        images: number of images of each set.
        parts: number of physical pieces of the new set.
        notes: sentences on what was decided.
    """

    labels: list[str]
    classes: list[tuple[str, list[str | None]]]
    images: list[int]
    parts: int
    notes: list[str]

    def sentences(self) -> list[str]:
        """Return what was done, for the history."""
        pairs = zip(self.labels, self.images, strict=True)
        lines = [f"{count} images of {label}" for label, count in pairs]
        for name, origins in self.classes:
            pairs_ = zip(self.labels, origins, strict=True)
            calls = [f"{label}: {call}" for label, call in pairs_ if call]
            lines.append(f"class {name} ({', '.join(calls)})")
        return [*lines, *self.notes]


def merge(
    folders: Sequence[Path],
    out: Path,
    *,
    name: str | None = None,
    same_parts: bool = False,
    progress: Callable[[int], object] | None = None,
) -> MergeReport:
    """Join data sets to a new one, which appears whole or not at all; they are not changed.

    Args:
        folders: two or more data sets.
        out: folder to make.
        name: of the new set.
        same_parts: parts of the same name are the same physical piece in all sets; otherwise they
            are different ones and are renamed.
        progress: called with a number of finished images.

    Raises:
        FlawsmithError: if they do not suit each other (with what to do), or ``out`` exists.
    """
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < max(2, len(places)):
        raise FlawsmithError("data merge joins two or more different data sets; name each once")
    require_free(out, what="data set")
    work = _Merge([DefectDataset.open(folder) for folder in folders], same_parts)
    report = work.report()
    with new_folder(out, what="data set") as root:
        with DatasetWriter(root, work.schema(name or out.name)) as writer:
            records = [work.copy(writer, *item, progress) for item in work.items()]
        write_metadata(root / METADATA_FILE, records)
        arguments = [*map(str, folders), *["--same-parts"] * same_parts]
        write_origin(root, "merge", arguments, report.sentences())
    return report


class _Merge:
    """One merge: what everything will be called."""

    def __init__(self, sets: list[DefectDataset], same_parts: bool) -> None:
        _refuse_different(sets)
        self.sets = sets
        self.labels = _labels([dataset.root for dataset in sets])
        self.defects = join_entries(self.labels, [s.schema.defects for s in sets])
        self.backgrounds = join_entries(self.labels, [s.schema.backgrounds for s in sets])
        self.parts = join_parts(self.labels, [s.records for s in sets], same_parts=same_parts)
        self.keep_folds = _folds_fit(sets, self.parts)
        self.names = self._file_names()

    def _file_names(self) -> dict[tuple[int, str], str]:
        """Return the new name without suffix by set and old file name."""
        files = {
            (place, record.file_name): f"{self.labels[place]}/{Path(record.file_name).name}"
            for place, record in self.items()
        }
        unique = UniqueNames(list(files.values()))
        return {key: unique.take(file) for key, file in files.items()}

    def items(self) -> list[tuple[int, ImageRecord]]:
        """Return all records with the place of their set."""
        return [(place, record) for place, s in enumerate(self.sets) for record in s]

    def schema(self, name: str) -> Schema:
        """Return the schema of the new set."""
        values = self.sets[0].schema.model_dump() | {
            "name": name[:80],
            "backgrounds": [entry.model_dump() for entry in self.backgrounds.entries],
            "defects": [entry.model_dump() for entry in self.defects.entries],
        }
        return validate(Schema, values, source="the data sets together")

    def copy(
        self,
        writer: DatasetWriter,
        place: int,
        record: ImageRecord,
        progress: Callable[[int], object] | None,
    ) -> ImageRecord:
        """Copy one image into the new set."""
        dataset = self.sets[place]
        image = dataset.path(record.file_name)
        if not image.is_file():
            raise FlawsmithError(
                f"there is no image {image}; repair the data set first: data check"
            )
        old = dataset.label_map(record)
        # Without a mask the place of the labels is unknown; it stays without one.
        defects = old.defects if record.mask_file_name else np.zeros_like(old.defects)
        maps = LabelMap(
            self.defects.tables[place][defects], self.backgrounds.tables[place][old.backgrounds]
        )
        new = writer.add(
            self.names[place, record.file_name], image, maps, **self._fields(place, record)
        )
        if progress is not None:
            progress(1)
        return new

    def _fields(self, place: int, record: ImageRecord) -> dict[str, Any]:
        names = self.defects.names[place]
        fields = record.model_dump(exclude=_DERIVED) | {
            "labels": [names.get(n, n) for n in record.labels],
            "weak_labels": [names.get(n, n) for n in record.weak_labels],
            "part": self.parts.names[place][record.part],
            "parents": [self._parent(place, parent) for parent in record.parents],
            "original": f"{self.labels[place]}/{record.original or record.file_name}",
            "instances": [
                {**i, "label": names.get(i.get("label", ""), i.get("label"))}
                for i in record.instances
            ],
        }
        return fields if self.keep_folds else fields | {"fold": None}

    def _parent(self, place: int, parent: str) -> str:
        """Return the new file name of a parent: of the same set, else of the first that has it."""
        for owner in (place, *range(len(self.sets))):
            if (owner, parent) in self.names:
                return f"images/{self.names[owner, parent]}{Path(parent).suffix.lower()}"
        return parent

    def report(self) -> MergeReport:
        """Return what becomes of the sets."""
        notes = list(self.parts.notes)
        if not self.keep_folds and any(r.fold is not None for _, r in self.items()):
            notes.append("the folds do not fit together and are dropped; new ones: data split")
        renamed = sum(Path(old).stem != new for (_, old), new in self.names.items())
        if renamed:
            notes.append(f"{renamed} images have another file name, as theirs is in several sets")
        origins = zip(self.defects.entries, self.defects.origins, strict=True)
        return MergeReport(
            labels=self.labels,
            classes=[(entry.name, called) for entry, called in origins],
            images=[len(dataset) for dataset in self.sets],
            parts=len({name for names in self.parts.names for name in names.values()}),
            notes=notes,
        )


def _refuse_different(sets: Sequence[DefectDataset]) -> None:
    lines = []
    for field, remedy in SAME_FIELDS.items():
        values = [_shown(getattr(dataset.schema, field)) for dataset in sets]
        if len(set(values)) > 1:
            pairs = zip(values, sets, strict=True)
            listed = ", ".join(f"{value} in {dataset.root}" for value, dataset in pairs)
            lines.append(f"{field} is {listed}: {remedy}")
    if lines:
        raise FlawsmithError("these data sets cannot be joined: " + "; ".join(lines))


def _shown(value: object) -> str:
    x, y = getattr(value, "x", None), getattr(value, "y", None)
    return "unknown" if value is None else f"{x} x {y}" if x else str(value)


def _labels(folders: Sequence[Path]) -> list[str]:
    """Return the folders' names, numbered where they are the same."""
    labels: list[str] = []
    for folder in folders:
        name = label = folder.resolve().name or "data"
        number = 1
        while label.casefold() in {other.casefold() for other in labels}:
            number += 1
            label = f"{name}_{number}"
        labels.append(label)
    return labels


def _folds_fit(sets: Sequence[DefectDataset], parts: JoinedParts) -> bool:
    """Tell whether all sets have the same folds, and each joined part one of them."""
    folds = [{r.fold for r in dataset if r.excluded is None} for dataset in sets]
    if None in set().union(*folds) or any(own != folds[0] for own in folds):
        return False
    of_part: dict[str, set[int | None]] = defaultdict(set)
    for place, dataset in enumerate(sets):
        for record in dataset:
            of_part[parts.names[place][record.part]].add(record.fold)
    return all(len(own - {None}) <= 1 for own in of_part.values())
