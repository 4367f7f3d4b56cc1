"""A defect data set on disk: ``dataset.toml``, ``metadata.jsonl``, images, masks, backgrounds.

The folder is also a Hugging Face "imagefolder"; nothing but standard files is in it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from flawsmith.config import StrictModel, validate
from flawsmith.data.history import finish_pending, state_of
from flawsmith.data.images import (
    ImageArray,
    LabelArray,
    encode_index_mask,
    encode_png,
    read_image,
    read_index_mask,
)
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import sync_files, sync_folder, write_bytes, write_text

METADATA_FILE = "metadata.jsonl"

FLUSH_IMAGES = 64
FLUSH_BYTES = 64 << 20
"""A writer flushes by itself when so much was added since the last time."""


class ImageRecord(StrictModel):
    """One line of ``metadata.jsonl``. Paths are relative to the data set's folder.

    Attributes:
        mask_file_name: index PNG, or None for an image without any labelled pixel: a good one, or
            one whose ``labels`` are for the whole image.
        labels: names of the defects in the image; empty for a good image.
        weak_labels: those of ``labels`` whose place is not known pixel by pixel: from a box, a
            point, or for the whole image.
        part: the physical piece; all its views share a fold.
        part_source: who said so: the origin (format, pattern, table), nobody (the file is a part
            of its own), or the comparison of images.
        fold: None before ``data split``.
        mask_source: how the mask came about; none for a synthetic image labelled as a whole.
        parents: file names of the real images whose mask, style or background was used.
        excluded: why the image is neither trained on nor tested, or None.
        original: where the importer found it, relative to the imported folder.
        instances: COCO instances where the origin had them: label, RLE, box.
    """

    file_name: str
    mask_file_name: str | None = None
    background_file_name: str | None = None
    labels: list[str] = []
    weak_labels: list[str] = []
    part: str
    part_source: Literal["origin", "file", "views"] = "origin"
    view: str = ""
    fold: int | None = Field(default=None, ge=0)
    source: Literal["real", "synthetic"] = "real"
    parents: list[str] = []
    system: str | None = None
    run: str | None = None
    seed: int | None = None
    mask_source: Literal["annotation", "conditioning", "joint", "difference", "pseudo", "none"] = (
        "annotation"
    )
    sha256: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    excluded: str | None = None
    original: str | None = None
    instances: list[dict[str, Any]] = []

    @property
    def is_good(self) -> bool:
        """Whether the image shows no defect."""
        return not self.labels


@dataclass(frozen=True)
class LabelMap:
    """What is where in one image.

    Attributes:
        defects: H x W uint8: 0 = none, k = k-th defect, 255 = ignore.
        backgrounds: H x W uint8: index of the background, also under a defect.
    """

    defects: LabelArray
    backgrounds: LabelArray


class DefectDataset:
    """Read access to a defect data set. Images are decoded on demand, never all at once."""

    def __init__(self, root: Path, schema: Schema, records: Sequence[ImageRecord]) -> None:
        self.root = root
        self.schema = schema
        self.records = list(records)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a data set's folder.

        Raises:
            FlawsmithError: if there is none, or a line of its metadata is wrong (with the line).
        """
        root = Path(root)
        while True:
            state = state_of(root)
            finish_pending(root)
            schema = Schema.load(root)
            records = list(read_metadata(root / METADATA_FILE))
            if state_of(root) == state:  # else one file may be older than the other
                return cls(root, schema, records)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self.records)

    def image(self, record: ImageRecord) -> ImageArray:
        """Return the pixels as stored: H x W or H x W x 3, uint8 or uint16."""
        return read_image(self.path(record.file_name))

    def label_map(self, record: ImageRecord) -> LabelMap:
        """Return the label map; a good image needs no mask, background 0 no file either.

        Where an image is labelled but has no mask, nobody knows the place: every pixel is ignored.
        """
        shape = (record.height, record.width)
        unknown = IGNORE if record.labels else 0
        maps = []
        highest = (self.schema.num_defects, self.schema.num_backgrounds - 1)
        names = (record.mask_file_name, record.background_file_name)
        for name, limit, absent in zip(names, highest, (unknown, 0), strict=True):
            given = read_index_mask(self.path(name)) if name else None
            indices = np.full(shape, absent, np.uint8) if given is None else given
            if indices.shape != shape:
                raise FlawsmithError(
                    f"{self.path(name or '')} is {indices.shape[1]} x {indices.shape[0]} pixels, "
                    f"its image is {record.width} x {record.height}"
                )
            wrong = (indices > limit) & (indices != IGNORE)
            if wrong.any():
                raise FlawsmithError(
                    f"{self.path(name or '')} has value {int(indices[wrong][0])}; expected 0 to "
                    f"{limit} or {IGNORE} (ignore)"
                )
            maps.append(indices)
        return LabelMap(*maps)

    def path(self, name: str) -> Path:
        """Return where a file of the data set is; a name cannot lead outside the folder."""
        path = self.root / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise FlawsmithError(f"{self.root / METADATA_FILE}: '{name}' leads out of the data set")
        return path

    def with_records(self, records: Sequence[ImageRecord]) -> "DefectDataset":
        """Return the same data set restricted to (or updated with) these records."""
        return DefectDataset(self.root, self.schema, records)

    def usable(self) -> "DefectDataset":
        """Return the data set without excluded images."""
        return self.with_records([r for r in self.records if r.excluded is None])

    def parts(self) -> dict[str, list[ImageRecord]]:
        """Return the records of each part, parts in order of first appearance."""
        grouped: dict[str, list[ImageRecord]] = {}
        for record in self.records:
            grouped.setdefault(record.part, []).append(record)
        return grouped

    def fingerprint(self) -> str:
        """Return a short hash of schema, images, labels, parts and folds, for ledgers and runs.

        Masks count pixel by pixel, so that one that was drawn anew makes other data.

        Raises:
            FlawsmithError: if a mask cannot be read.
        """
        digest = hashlib.sha256(self.schema.model_dump_json().encode())
        for record in sorted(self.records, key=lambda r: r.file_name):
            line = (
                record.file_name, record.sha256, record.part, record.fold, record.excluded,
                record.source, sorted(record.labels), sorted(record.weak_labels),
            )  # fmt: skip
            digest.update(json.dumps(line).encode())
            for name in (record.mask_file_name, record.background_file_name):
                if name is not None:
                    indices = read_index_mask(self.path(name))
                    digest.update(repr(indices.shape).encode() + indices.tobytes())
        return digest.hexdigest()[:16]


class DatasetWriter:
    """Adds images to a data set: a line is written after its files are on disk.

    Files are flushed to disk together and their lines follow in one piece, which is many times
    faster than image by image; `flush` says when. Opening a folder that a killed writer left behind
    keeps every complete line and drops a torn last one, so the caller goes on from ``len(writer)``
    and writes the files without a line again.
    """

    def __init__(self, root: Path, schema: Schema) -> None:
        self.root = root
        self.schema = schema
        for name in ("images", "masks", "backgrounds"):
            (root / name).mkdir(parents=True, exist_ok=True)
        schema.save(root)
        path = root / METADATA_FILE
        self.count = _drop_torn_line(path)
        self._stream = path.open("a", encoding="utf-8")
        self._lines: list[str] = []
        self._files: list[Path] = []
        self._unsynced_bytes = 0

    def __len__(self) -> int:
        return self.count

    @property
    def pending(self) -> int:
        """Images that were added, but are not flushed."""
        return len(self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self,
        name: str,
        image: ImageArray | Path,
        label_map: LabelMap,
        *,
        link: bool = False,
        **fields: Any,  # noqa: ANN401 - the remaining fields of ImageRecord
    ) -> ImageRecord:
        """Write one image and its masks; its line follows with the next `flush`.

        Args:
            name: file name without folder; a path in ``image`` keeps its own suffix and bytes,
                pixels are written as PNG.
            image: pixels, or a file to copy byte for byte.
            label_map: an all-zero mask (or background) is not written.
            link: make a symbolic link to the file in ``image`` instead of a copy.
            fields: further fields of `ImageRecord`, at least ``part``.
        """
        suffix = image.suffix.lower() if isinstance(image, Path) else ".png"
        data = image.read_bytes() if isinstance(image, Path) else encode_png(image)
        file_name = f"images/{name}{suffix}"
        if link and isinstance(image, Path):
            self._link(file_name, image)
        else:
            self._write(file_name, data)
        palette = self.schema.palette()
        mask_name = self._write_indices("masks", name, label_map.defects, palette)
        background_palette = [v for i in range(256) for v in (i, i, i)]
        background_name = self._write_indices(
            "backgrounds", name, label_map.backgrounds, background_palette
        )
        height, width = label_map.defects.shape
        if "labels" not in fields:
            present = np.unique(label_map.defects)
            fields["labels"] = [d.name for d in self.schema.defects if d.id in present]
        record = ImageRecord(
            file_name=file_name,
            mask_file_name=mask_name,
            background_file_name=background_name,
            sha256=hashlib.sha256(data).hexdigest(),
            height=height,
            width=width,
            **fields,
        )
        self._lines.append(record.model_dump_json() + "\n")
        self.count += 1
        if len(self._lines) >= FLUSH_IMAGES or self._unsynced_bytes >= FLUSH_BYTES:
            self.flush()
        return record

    def flush(self) -> None:
        """Put on disk what was added: afterwards no kill or power cut loses it."""
        if not self._lines:
            return
        sync_files(self._files)
        self._stream.write("".join(self._lines))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._files, self._lines, self._unsynced_bytes = [], [], 0

    def _write(self, name: str, data: bytes) -> None:
        path = self.root / name
        try:
            path.write_bytes(data)
        except OSError as error:
            raise FlawsmithError(f"cannot write {path}: {error.strerror or error}") from error
        self._files.append(path)
        self._unsynced_bytes += len(data)

    def _link(self, name: str, target: Path) -> None:
        path = self.root / name
        try:
            path.unlink(missing_ok=True)
            path.symlink_to(target.resolve())
        except OSError as error:
            raise FlawsmithError(f"cannot link {path}: {error.strerror or error}") from error

    def _write_indices(
        self, folder: str, name: str, indices: LabelArray, palette: list[int]
    ) -> str | None:
        if not indices.any():
            return None
        self._write(f"{folder}/{name}.png", encode_index_mask(indices, palette))
        return f"{folder}/{name}.png"

    def close(self) -> None:
        """Flush everything to disk."""
        if not self._stream.closed:
            self.flush()
            self._stream.close()
            sync_folder(self.root)


def read_metadata(path: Path) -> Iterator[ImageRecord]:
    """Yield the records of ``metadata.jsonl``."""
    if not path.is_file():
        raise FlawsmithError(f"there is no {path}; import the data set again")
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise FlawsmithError(f"{path}, line {number} is not JSON: {error}") from None
            yield validate(ImageRecord, values, source=f"{path}, line {number}")


def lead_with_types(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return the records with those first that together show a value of every field in use.

    Hugging Face `datasets` infers each column's type from the first 10 MB of ``metadata.jsonl``; a
    mask that is null up to there would never be opened as an image.
    """
    shown: set[str] = set()
    first: list[ImageRecord] = []
    rest: list[ImageRecord] = []
    for record in records:
        filled = {key for key, value in record if value not in (None, [])}
        (rest if filled <= shown else first).append(record)
        shown |= filled
    return first + rest


def metadata_text(records: Sequence[ImageRecord]) -> str:
    """Return the lines of ``metadata.jsonl``, see `lead_with_types`."""
    return "".join(record.model_dump_json() + "\n" for record in lead_with_types(records))


def write_metadata(path: Path, records: Sequence[ImageRecord]) -> None:
    """Write ``metadata.jsonl``, whole or not at all."""
    write_text(path, metadata_text(records))


def _drop_torn_line(path: Path) -> int:
    """Cut a last line without its newline, which a kill can leave; return the number of lines."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        write_bytes(path, whole)
    return whole.count(b"\n")
