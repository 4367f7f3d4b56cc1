"""Tables of a Hugging Face data set: Parquet and Arrow shards, or the metadata of an imagefolder.

Rows are read in small batches: pictures never all at once. Nothing is downloaded, no loading script
and no pickle is run; ``pyarrow`` is imported only when there is a file for it.
"""

import csv
import io
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from flawsmith.data.formats.folder import MAX_LABEL_BYTES, OutsideSourceError, SourceFolder
from flawsmith.data.formats.hugging_face_features import features_of
from flawsmith.data.formats.text import parse_json
from flawsmith.errors import FlawsmithError

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
BATCH_BYTES = 16 << 20
MAX_BATCH = 256
"""Rows read together: as many as `BATCH_BYTES` of Parquet hold on average, at most `MAX_BATCH`."""

Row = dict[str, Any]


class MissingLibraryError(FlawsmithError):
    """A library that reads the tables is not installed."""


class Table(ABC):
    """One file of rows.

    Attributes:
        file: path relative to the imported folder.
        columns: names of all columns.
        pictures: those whose cells hold an image file: ``{"bytes": ..., "path": ...}`` or bytes.
        features: what a column means, in the JSON form of `datasets`; empty where nobody says.
    """

    file: str
    columns: Sequence[str]
    pictures: Sequence[str] = ()
    features: dict[str, Any]

    @abstractmethod
    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield all rows with these columns; of a picture only its path.

        Raises:
            FlawsmithError: if the file is damaged.
        """

    def picture_batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of `pyarrow` with these columns as they are."""
        raise FlawsmithError(f"{self.file} holds no pictures")


class MetadataTable(Table):
    """``metadata.jsonl`` or ``metadata.csv`` beside the images that it names."""

    def __init__(self, folder: SourceFolder, file: str) -> None:
        self.file = file
        text = folder.read_text(file)
        self._rows = (
            _csv_rows(file, text) if file.lower().endswith(".csv") else _json_rows(file, text)
        )
        self.columns = list(dict.fromkeys(key for row in self._rows for key in row))
        self.features = {}

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows; a key that a row lacks is None."""
        for row in self._rows:
            yield {column: row.get(column) for column in columns}


def _csv_rows(file: str, text: str) -> list[Row]:
    """Return the rows; cells beyond the last column have no name and are left out."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return [{name: cell for name, cell in row.items() if name is not None} for row in reader]
    except csv.Error as error:
        raise FlawsmithError(f"{file}, line {reader.line_num} is no CSV: {error}") from None


def _json_rows(file: str, text: str) -> list[Row]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise FlawsmithError(f"{file}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise FlawsmithError(f"{file}, line {number} is no JSON object")
        rows.append(row)
    return rows


class ArrowTable(Table):
    """A Parquet shard, or an Arrow file as `save_to_disk` writes it."""

    def __init__(self, folder: SourceFolder, file: str) -> None:
        self.file = file
        self._path = str(folder.path(file))
        self._parquet = file.lower().endswith(".parquet")
        with self._reading():
            schema = self._open().schema_arrow if self._parquet else self._open().schema
            self.columns = list(schema.names)
            self.features = features_of(schema.metadata or {})
            self.pictures = [
                field.name for field in schema if _is_picture(field, self.features.get(field.name))
            ]
            self._struct = {c for c in self.pictures if _has_path(schema.field(c).type)}

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yield all rows with these columns; of a picture only its path."""
        told = [c for c in columns if c not in self.pictures or c in self._struct]
        leaves = [f"{c}.path" if c in self._struct and self._parquet else c for c in told]
        blank = {c: None for c in columns if c not in told}
        with self._reading():
            for batch in self._batches(leaves, MAX_BATCH):
                found = {c: self._plain(batch.column(c), c) for c in told}
                for i in range(batch.num_rows):
                    yield blank | {c: found[c][i] for c in told}

    def picture_batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches with these columns, about `BATCH_BYTES` each."""
        size = MAX_BATCH
        with self._reading():
            if self._parquet:
                meta = self._open().metadata
                groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
                bytes_a_row = sum(g.total_byte_size for g in groups) / max(1, meta.num_rows)
                size = int(min(MAX_BATCH, max(1, BATCH_BYTES // max(1, bytes_a_row))))
            yield from self._batches(list(columns), size)

    def _open(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        if self._parquet:
            # Without pre-buffering, a row group is read page by page.
            parquet = _library("pyarrow.parquet")
            return parquet.ParquetFile(self._path, memory_map=True, pre_buffer=False)
        arrow = _library("pyarrow")
        stream = arrow.memory_map(self._path)
        try:
            return arrow.ipc.open_stream(stream)
        except arrow.ArrowInvalid:
            stream.seek(0)
            return arrow.ipc.open_file(stream)

    def _batches(self, columns: list[str], size: int) -> Iterator[Any]:
        reader = self._open()
        if self._parquet:
            yield from reader.iter_batches(batch_size=size, columns=columns)
        elif hasattr(reader, "num_record_batches"):
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i).select(columns)
        else:
            for batch in reader:
                yield batch.select(columns)

    def _plain(self, column: Any, name: str) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
        values = column.field("path") if name in self._struct else column
        return list(values.to_pylist())

    @contextmanager
    def _reading(self) -> Iterator[None]:
        arrow = _library("pyarrow")
        try:
            yield
        except (arrow.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
            kind = "Parquet" if self._parquet else "Arrow"
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FlawsmithError(f"{self.file} is damaged or no {kind} file: {reason}") from None


class PictureReader:
    """Returns cells of pictures; going on row by row keeps one file and one batch open."""

    def __init__(self) -> None:
        self._key: tuple[str, tuple[str, ...]] | None = None
        self._batches: Iterator[Any] = iter(())
        self._batch: Any = None
        self._start = 0

    def cells(self, table: Table, number: int, columns: Sequence[str]) -> Row:
        """Return the cells of row ``number`` as they are in the table.

        Raises:
            FlawsmithError: if the file is damaged, shorter than before, or a row is over 256 MB.
        """
        key = (table.file, tuple(columns))
        if key != self._key or number < self._start:
            self._key, self._batches = key, table.picture_batches(columns)
            self._batch, self._start = None, 0
        while self._batch is None or number >= self._start + self._batch.num_rows:
            self._start += self._batch.num_rows if self._batch is not None else 0
            self._batch = next(self._batches, None)
            if self._batch is None:
                self._key = None
                raise FlawsmithError(f"{table.file} changed while it was imported")
        row = self._batch.slice(number - self._start, 1)
        if row.get_total_buffer_size() > MAX_LABEL_BYTES and row.nbytes > MAX_LABEL_BYTES:
            raise FlawsmithError(
                f"{table.file}, row {number} is larger than {MAX_LABEL_BYTES >> 20} MB"
            )
        (cells,) = row.to_pylist()
        return dict(cells)


def is_metadata(file: str) -> bool:
    """Tell whether a file is called as the metadata of an imagefolder are."""
    return posixpath.basename(file).lower() in METADATA_NAMES


def shards(folder: SourceFolder) -> list[str]:
    """Return the Parquet and Arrow files that hold the data; caches of `datasets` are left out.

    Where ``state.json`` of `save_to_disk` lists the files of its folder, those only.
    """
    found = [f for f in folder.with_suffix(".parquet") if not is_metadata(f)]
    arrows = folder.with_suffix(".arrow")
    listed: dict[str, list[str]] = {}
    for file in folder.jsons:
        if posixpath.basename(file) == "state.json" and arrows:
            content = folder.read_json(file)
            entries = content.get("_data_files") if isinstance(content, dict) else None
            if isinstance(entries, list):
                names = [str(e.get("filename", "")) for e in entries if isinstance(e, dict)]
                listed[posixpath.dirname(file)] = [
                    posixpath.join(posixpath.dirname(file), name) for name in names
                ]
    for file in arrows:
        here = posixpath.dirname(file)
        if here not in listed and not posixpath.basename(file).startswith("cache-"):
            found.append(file)
    return sorted({*found, *(name for names in listed.values() for name in names)})


def file_in(folder: SourceFolder, table: Table, name: str) -> str | None:
    """Return the listed file that a table names, relative to itself or to the root.

    Raises:
        OutsideSourceError: if the name is absolute or leads out of the folder.
    """
    try:
        found = folder.locate(table.file, name)
    except OutsideSourceError:
        found = None
    return found or folder.locate("", name)


def _is_picture(field: Any, feature: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    if isinstance(feature, dict) and feature.get("_type") == "Image":
        return True
    name = str(field.type)
    return name in ("binary", "large_binary") or (_has_path(field.type) and "bytes" in name)


def _has_path(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    types = _library("pyarrow").types
    return bool(types.is_struct(kind)) and {"bytes", "path"} == {
        kind.field(i).name for i in range(kind.num_fields)
    }


def _library(name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    try:
        return import_module(name)
    except ImportError:
        raise MissingLibraryError(
            "Parquet and Arrow files are read with pyarrow, which is not installed; "
            "install it: pip install 'flawsmith[train]'"
        ) from None
