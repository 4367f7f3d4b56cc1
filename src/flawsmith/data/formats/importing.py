"""Importing a folder in any format: the work that all formats share."""

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from PIL import Image

from flawsmith import __version__
from flawsmith.config import StrictModel, validate
from flawsmith.data.dataset import METADATA_FILE, DatasetWriter, ImageRecord, write_metadata
from flawsmith.data.formats.base import FORMATS, Finding, Source, SourceImage, choose_format
from flawsmith.data.formats.canvas import Boxes, Canvas, ClassTable
from flawsmith.data.formats.folder import SourceFolder, is_good_name, require_source
from flawsmith.data.formats.import_journal import Entry, ImportJournal
from flawsmith.data.formats.naming import UniqueNames
from flawsmith.data.formats.patterns import PathPattern, path_pattern
from flawsmith.data.formats.pixel_facts import PixelFacts, PixelTally
from flawsmith.data.formats.text import decode_name, printable
from flawsmith.data.images import ImageArray, read_image
from flawsmith.data.schema import PixelSize, Schema, make_backgrounds
from flawsmith.errors import FlawsmithError, listed
from flawsmith.storage import require_free, resumable_folder, write_text

REPORT_FILE = "import.json"
UNPACKED = ".unpacked"
CHOSEN = "chosen with --format"

Progress = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
"""Called with a title and the number of images; yields what is called after each image."""

_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "TIFF": ".tif"}


class ImportReport(StrictModel):
    """What an import found and did; saved as ``import.json`` in the data set.

    Attributes:
        images: number of imported images, excluded ones among them.
        excluded: images that are neither trained on nor tested; their reason is in their record.
        good: images without any defect that are not excluded.
        classes: number of images that show each defect.
        parts: number of physical pieces.
        notes: sentences on how the folder was understood.
    """

    source: str
    format: str
    reason: str
    images: int
    excluded: int
    good: int
    classes: dict[str, int]
    parts: int
    findings: list[Finding]
    notes: list[str]


def import_folder(
    source: Path,
    out: Path,
    *,
    format: str = "auto",
    part_pattern: str | None = None,
    view_pattern: str | None = None,
    class_pattern: str | None = None,
    name: str | None = None,
    pixel_size_mm: tuple[float, float] | None = None,
    white_level: int | None = None,
    boxes: Boxes = "auto",
    link: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Make a defect data set of the labelled images in ``source``; it appears whole or not at all.

    Images are copied byte for byte, or linked. Nothing odd is dropped silently: see ``findings``.
    After a kill or an interruption the same call goes on where it stopped.

    Args:
        source: folder with images and labels, or a zip archive of one; it is not changed.
        out: folder to make.
        format: a name in `FORMATS`, or ``auto``.
        part_pattern: regular expression on the path; its group is the physical part.
        view_pattern: the same for the view.
        class_pattern: the same for the class of everything labelled in the image.
        name: of the data set; the source folder's by default.
        pixel_size_mm: x and y.
        white_level: pixel value of full scale, for 16-bit images.
        boxes: what a box says: the defect is somewhere in it, or everywhere.
        link: make symbolic links, not copies, of images outside archives and label files.
        progress: shows how far it is.

    Raises:
        FlawsmithError: if the format is unclear, a pattern matches nothing, or no image is usable.
    """
    require_source(source)
    require_free(out, what="data set")
    patterns = {
        what: path_pattern(what, text)
        for what, text in (("part", part_pattern), ("view", view_pattern), ("class", class_pattern))
    }
    options = [format, part_pattern, view_pattern, class_pattern, name, pixel_size_mm, white_level,
               boxes, link]  # fmt: skip
    with resumable_folder(out, what="data set") as root:
        shutil.rmtree(root / UNPACKED, ignore_errors=True)
        folder = SourceFolder.scan(source.resolve(), unpack_to=root / UNPACKED)
        chosen, reason = choose_format(folder) if format == "auto" else (format, CHOSEN)
        work = _Import(folder, _read(folder, chosen), patterns, boxes, link=link)
        key = json.dumps([__version__, chosen, options, folder.fingerprint()])
        with ImportJournal.open(root, _hash(key), keep=UNPACKED) as journal:
            schema = work.schema(name or decode_name(folder.root.name) or "data", pixel_size_mm)
            work.run(root, schema, journal, white_level, progress)
            shutil.rmtree(root / UNPACKED, ignore_errors=True)
            report = work.report(chosen, reason)
            write_text(root / REPORT_FILE, report.model_dump_json(indent=1) + "\n")
            journal.remove()
    return report


def _read(folder: SourceFolder, format: str) -> Source:
    content = FORMATS.get(format)().read(folder)
    for kind, file, message in folder.odd:
        content.find(kind, file, message)
    return content


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Import:
    """One import while it runs."""

    def __init__(
        self,
        folder: SourceFolder,
        source: Source,
        patterns: dict[str, PathPattern | None],
        boxes: Boxes,
        *,
        link: bool,
    ) -> None:
        self.folder = folder
        self.source = source
        self.patterns = patterns
        self.boxes = boxes
        self.link = link
        self.findings = list(source.findings)
        self.notes = list(source.notes)
        self.records: list[ImageRecord] = []
        self.pixels = PixelTally()
        files = [image.file for image in source.images]
        for pattern in patterns.values():
            if pattern:
                pattern.require_some(files)
        self.names = UniqueNames(files)
        self.classes = ClassTable(self._class_names(files))
        self._first_with: dict[str, ImageRecord] = {}

    def _class_names(self, files: list[str]) -> list[str]:
        pattern = self.patterns["class"]
        if pattern is None:
            return list(self.source.classes)
        values = {file: pattern.value(file) for file in files}
        named = sorted({v for v in values.values() if v and not is_good_name(v)})
        return named if all(values.values()) else [*named, *self.source.classes]

    def schema(self, name: str, pixel_size_mm: tuple[float, float] | None) -> Schema:
        """Return the schema before any pixel is seen."""
        defects = self.classes.defects
        taken = {defect.name.casefold() for defect in defects}
        surface = next(n for n in ("surface", "background", "no defect") if n not in taken)
        size = None
        if pixel_size_mm:
            values = dict(zip("xy", pixel_size_mm, strict=True))
            size = validate(PixelSize, values, source="the pixel size")
        return Schema(
            name=printable(name[:80]),
            pixel_size_mm=size,
            backgrounds=make_backgrounds([surface]),
            defects=defects,
        )

    def run(
        self,
        root: Path,
        schema: Schema,
        journal: ImportJournal,
        white_level: int | None,
        progress: Progress | None,
    ) -> None:
        """Write the data set into ``root``, from the first image that the journal does not have."""
        images = self.source.images
        bar = progress("Importing", len(images)) if progress else nullcontext(lambda *_, **__: None)
        with DatasetWriter(root, schema) as writer, bar as advance:
            for image, (entry, record) in zip(images, journal.done, strict=False):
                self._count(image, entry, record)
            advance(len(journal.done))
            for image in images[len(journal.done) :]:
                entry, record = self._add(writer, image)
                self._count(image, entry, record)
                journal.add(entry)
                if not writer.pending:
                    journal.flush()
                advance(1)
            writer.flush()
            journal.flush()
        if not self.records:
            raise FlawsmithError(self._nothing_usable())
        self._exclude_other_depth()
        self._exclude_changed()
        self.pixels.complete(schema, white_level, self.notes).save(root)
        write_metadata(root / METADATA_FILE, self.records)

    def _count(self, image: SourceImage, entry: Entry, record: ImageRecord | None) -> None:
        """Take note of an image that was added now, or by an earlier try."""
        for kind, message in entry.findings:
            self._find(kind, image.file, message)
        if record is None or entry.pixels is None:
            return
        self.names.take(image.file)
        self.pixels.add(record.file_name, entry.pixels)
        twin = self._first_with.setdefault(record.sha256, record)
        if twin is not record:
            where = "the same part" if twin.part == record.part else "another part"
            self._find("identical image", image.file, f"same bytes as {twin.original} ({where})")
        self.records.append(record)

    def _add(self, writer: DatasetWriter, image: SourceImage) -> tuple[Entry, ImageRecord | None]:
        path = self.folder.path(image.file)
        scratch: Path | None = None
        try:
            if image.embedded:
                path = scratch = _write_scratch(writer.root, image.embedded())
            pixels = read_image(path)
        except FlawsmithError as error:
            message = str(error).replace(f"{path}", "the file")
            return Entry(findings=[("unreadable image", f"{message}; not imported")]), None
        else:
            return self._write(writer, image, path, pixels)
        finally:
            if scratch:
                scratch.unlink()

    def _write(
        self, writer: DatasetWriter, image: SourceImage, path: Path, pixels: ImageArray
    ) -> tuple[Entry, ImageRecord]:
        only = self._value("class", image.file)
        canvas = Canvas(pixels.shape[:2], self.classes, only=only, boxes=self.boxes)
        try:
            image.paint(canvas)
        except FlawsmithError as error:
            canvas.exclude("unreadable labels", str(error).replace(f"{self.folder.root}/", ""))
        label_map = canvas.label_map()
        name = self.names.next(image.file)
        view = self._value("view", image.file)
        part, part_source = self._part(image, name, canvas)
        record = writer.add(
            name,
            path,
            label_map,
            link=self.link and not image.embedded and not self.folder.is_unpacked(image.file),
            part=part,
            part_source=part_source,
            view=view if view is not None else image.view,
            fold=image.fold,
            labels=canvas.labels(),
            weak_labels=canvas.weak_labels(),
            excluded=image.excluded or canvas.excluded,
            original=image.file,
            instances=canvas.instances,
        )
        pixel_facts = PixelFacts.of(pixels)
        return Entry(file=record.file_name, pixels=pixel_facts, findings=canvas.findings), record

    def _part(self, image: SourceImage, name: str, canvas: Canvas) -> tuple[str, str]:
        """Return the part and who said so."""
        part = self._value("part", image.file) or image.part
        if part is not None:
            return part, "origin"
        if self.patterns["part"]:
            canvas.note("no part", "the part pattern does not match; it is its own part")
            return f"{name} (unmatched)", "file"
        return name, "file"

    def _value(self, what: str, file: str) -> str | None:
        pattern = self.patterns[what]
        return pattern.value(file) if pattern else None

    def _find(self, kind: str, file: str, message: str) -> None:
        self.findings.append(Finding(kind=kind, file=file, message=message))

    def _exclude_other_depth(self) -> None:
        """Exclude 8-bit images among 16-bit ones, or the reverse: one white level cannot fit."""
        odd = self.pixels.minority()
        reason = "its bit depth differs from that of most images; convert it first"
        self._exclude("mixed bit depth", reason, [r for r in self.records if r.file_name in odd])

    def _exclude_changed(self) -> None:
        """Exclude images that somebody changed meanwhile; a changed label file is reported."""
        reason = "it was changed during the import; import the folder again when it is at rest"
        changed = set(self.folder.changed())
        images = [record for record in self.records if record.original in changed]
        self._exclude("changed during the import", reason, images)
        for file in sorted(changed - {record.original for record in images}):
            self._find("changed during the import", file, reason)

    def _exclude(self, kind: str, reason: str, records: list[ImageRecord]) -> None:
        names = {record.file_name for record in records}
        for i, record in enumerate(self.records):
            if record.file_name in names:
                self._find(kind, record.original or record.file_name, reason)
                update = {"excluded": record.excluded or reason}
                self.records[i] = record.model_copy(update=update)

    def _nothing_usable(self) -> str:
        seen = [f"{f.file}: {f.message}" for f in self.findings]
        why = f" ({listed(seen, separator='; ')})" if seen else ""
        return f"{self.folder.root} has no usable image{why}; it has {self.folder.describe()}"

    def report(self, chosen: str, reason: str) -> ImportReport:
        """Return what was done."""
        counts = Counter(label for record in self.records for label in record.labels)
        classes = {defect.name: counts[defect.name] for defect in self.classes.defects}
        for name, count in classes.items():
            if not count:
                self._find("class without images", ".", f"no imported image shows '{name}'")
        own = sum(record.part_source == "file" for record in self.records)
        if own:
            self.notes.append(
                f"Nothing says which of {own} images show one piece; 'data split' compares them "
                "before it draws folds. Say it with --part-pattern where names or folders tell."
            )
        return ImportReport(
            source=printable(str(self.folder.root)),
            format=chosen,
            reason=reason,
            images=len(self.records),
            excluded=sum(r.excluded is not None for r in self.records),
            good=sum(r.excluded is None and r.is_good for r in self.records),
            classes=classes,
            parts=len({record.part for record in self.records}),
            findings=self.findings,
            notes=self.notes,
        )


def _write_scratch(root: Path, data: bytes) -> Path:
    """Write an embedded image to a temporary file with the suffix of its format."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            suffix = _SUFFIXES.get(image.format or "")
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise FlawsmithError(f"its embedded image is damaged: {error}") from None
    if suffix is None:
        raise FlawsmithError("its embedded image is of no supported type (PNG, JPEG, BMP, TIFF)")
    path = root / f".embedded{suffix}"
    path.write_bytes(data)
    return path
