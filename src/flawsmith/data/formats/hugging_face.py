"""Hugging Face `datasets`: imagefolders with metadata, `save_to_disk` folders, Parquet shards.

https://huggingface.co/docs/datasets/image_dataset and https://huggingface.co/docs/hub/datasets-image
"""

import posixpath
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import is_class
from flawsmith.data.formats.folder import OutsideSourceError, SourceFolder
from flawsmith.data.formats.hugging_face_features import folder_features
from flawsmith.data.formats.hugging_face_labels import Columns, LabelReader, Said, find_columns
from flawsmith.data.formats.hugging_face_rows import Entry, MaskClasses, Pictures
from flawsmith.data.formats.hugging_face_tables import (
    ArrowTable,
    MetadataTable,
    MissingLibraryError,
    Row,
    Table,
    file_in,
    is_metadata,
    shards,
)
from flawsmith.data.formats.index_png import listed_names
from flawsmith.errors import FlawsmithError


@FORMATS.register("hugging_face")
class HuggingFace(Format):
    """Columns are known by their types and customary names; the report says which are not read.

    A label names the class of the whole image, "good" and "normal" no defect; boxes are weak. A
    mask with two values has the class of its image's label, else "defect"; class numbers are named
    by the ClassLabel, by ``classes.txt``, or by images that have one label and one value.
    """

    summary: ClassVar[str] = "Hugging Face datasets: metadata.jsonl/csv, save_to_disk, or Parquet"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise a table that has images and says something about them."""
        for file in [f for f in folder.files if is_metadata(f)]:
            try:
                columns = find_columns(_open(folder, file))
            except FlawsmithError:
                continue
            if columns and columns.labelled and columns.image.endswith("file_name"):
                return Match(Certainty.CONTENT, f"{file} names images and their labels")
        try:
            files = shards(folder)
            for file in files[:1]:
                if find_columns(_open(folder, file)):
                    return Match(Certainty.CONTENT, f"{file} holds images")
        except FlawsmithError:
            if not folder.images:
                return Match(Certainty.NAMES, "it has Parquet or Arrow files and no image files")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read all rows but not their pictures; masks are read once to learn their values."""
        source = Source([])
        reading = _Reading(folder, source)
        for file in [*(f for f in folder.files if is_metadata(f)), *shards(folder)]:
            try:
                reading.add(file)
            except MissingLibraryError:
                raise
            except FlawsmithError as error:
                source.find("unreadable labels", file, str(error))
        reading.finish()
        return source


def _open(folder: SourceFolder, file: str) -> Table:
    if file not in folder.names:
        raise FlawsmithError("state.json lists it, but it is not there")
    if file.lower().endswith((".jsonl", ".csv")):
        return MetadataTable(folder, file)
    return ArrowTable(folder, file)


class _Reading:
    """The tables of a folder while they are read."""

    def __init__(self, folder: SourceFolder, source: Source) -> None:
        self.folder = folder
        self.source = source
        self.pictures = Pictures(folder)
        self.entries: list[Entry] = []
        self.readers: list[LabelReader] = []
        self.used: set[str] = set()
        self.listed = listed_names(folder)
        self.unread: set[str] = set()
        self.own = False
        try:
            self.features = folder_features(folder)
        except FlawsmithError as error:
            self.features = {}
            source.find("unreadable labels", "README.md", str(error))

    def add(self, file: str) -> None:
        """Read the rows of a table.

        Raises:
            FlawsmithError: if it is damaged.
        """
        table = _open(self.folder, file)
        table.features = self.features | table.features
        columns = find_columns(table)
        if columns is None:
            self.source.find("no label file", file, "it has no column with images; skipped")
            return
        files = columns.image.endswith("file_name")
        if isinstance(table, ArrowTable) and columns.mask and not files:
            table.pictures = [*{*table.pictures, columns.mask}]  # numbers, read like pictures
        reader = LabelReader(table, columns, list(self.listed.values()))
        self.readers.append(reader)
        self.own |= "mask_source" in columns.kept
        self.unread |= set(columns.unread)
        more = [c for c in columns.unread if c.endswith("file_name")]
        for number, row in enumerate(table.rows([*columns.read, *more])):
            self.used |= {found for c in more if (found := self._file(table, row[c], None))}
            entry = self._entry(table, columns, number, row, reader.read(row))
            if entry:
                self.entries.append(entry)
        for column, numbers in reader.unknown.items():
            self._ask(file, f"column '{column}'", sorted(numbers), "the first for 0")

    def finish(self) -> None:
        """Name the classes and list the images."""
        counts = self.pictures.count_mask_values(self.entries)
        masks = MaskClasses.learn(counts, self.entries, self.readers, self.listed, own=self.own)
        if masks.unknown:
            start = "the first for 1, or for 0 if it is called background"
            self._ask(".", "the masks", masks.unknown, start)
        named = [name for reader in self.readers for name in (*reader.names, *reader.categories)]
        shown = {name for entry in self.entries for name in masks.all_names(entry)}
        order = list(dict.fromkeys([*named, *masks.names.values(), *sorted(shown)]))
        self.source.classes = [name for name in order if name in shown and is_class(name)]
        for entry in self.entries:
            if not entry.columns.labelled:
                self.source.unlabelled(entry.file, "the table has no column with labels")
                continue
            self.source.images.append(
                SourceImage(
                    entry.file,
                    partial(masks.paint, entry, self.pictures),
                    partial(self.pictures.embedded, entry) if entry.embedded else None,
                    **entry.told(),
                )
            )
        self._leftovers()
        self._notes(masks)

    def _entry(
        self, table: Table, columns: Columns, number: int, row: Row, said: Said
    ) -> Entry | None:
        cell = row[columns.image]
        embedded = columns.image in table.pictures
        mask = None
        if columns.mask in table.columns and columns.mask not in table.pictures:
            nested = not columns.mask.endswith("file_name") if columns.mask else False
            value = row[columns.mask or ""]
            mask = value if nested else self._file(table, value, "missing mask")
        if embedded:
            base = posixpath.basename(str(cell or "").replace("\\", "/"))
            file = f"{table.file}/{number:06d}" + (f"/{base}" if base else ".png")
        else:
            found = self._file(table, cell, "missing image")
            if found is None:
                return None
            if found in self.used:
                self.source.find("listed twice", found, f"again in {table.file}; first row counts")
                return None
            file = found
            self.used.add(file)
        return Entry(file, table, columns, number, said, row, embedded, mask)

    def _file(self, table: Table, name: object, missing: str | None) -> str | None:
        """Return the file that a cell names, used from now on; a finding if it is not there."""
        if name is None or name == "":
            return None
        try:
            found = file_in(self.folder, table, str(name))
        except OutsideSourceError as error:
            self.source.find("path outside the folder", table.file, str(error))
            return None
        if missing and (found is None or found not in self.folder.image_names):
            self.source.find(missing, table.file, f"lists '{name}', which is no image here")
            return None
        if found and missing != "missing image":
            self.used.add(found)
        return found

    def _ask(self, file: str, where: str, numbers: list[int], start: str) -> None:
        many = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
        self.source.find(
            "unknown class names",
            file,
            f"{where}: nobody names the class numbers {many}; they are called "
            f"class_{numbers[0]} and so on. Put classes.txt with one name a line ({start}; good "
            "means no defect) into the folder and import it again",
        )

    def _leftovers(self) -> None:
        loose = [image for image in self.folder.images if image not in self.used]
        if any(not entry.embedded for entry in self.entries):
            for image in loose:
                self.source.unlabelled(image, "no metadata lists it")
        elif loose:
            self.source.notes.append(f"{len(loose)} image files beside the tables are not read.")

    def _notes(self, masks: MaskClasses) -> None:
        self.source.notes.extend(masks.notes)
        if self.unread:
            self.source.notes.append(f"Columns not read: {', '.join(sorted(self.unread))}.")
        if any(entry.said.boxes for entry in self.entries):
            self.source.notes.append("Boxes are read as x, y, width and height, as in COCO.")
