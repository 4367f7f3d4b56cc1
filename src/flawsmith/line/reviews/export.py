"""Reviewed images as a defect data set, for the next training."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from flawsmith.config import validate
from flawsmith.data.dataset import (
    METADATA_FILE,
    DatasetWriter,
    ImageRecord,
    LabelMap,
    write_metadata,
)
from flawsmith.data.images import IMAGE_SUFFIXES, ImageArray
from flawsmith.data.schema import DEFECT_COLOURS, Defect, Schema, make_backgrounds
from flawsmith.errors import FlawsmithError, listed
from flawsmith.line.part_images import PartImage
from flawsmith.line.results import ImageInspection
from flawsmith.line.reviews.labels import ImageLabel, draw, label_part
from flawsmith.line.store import Query, Store
from flawsmith.line.store.part_record import PartRecord
from flawsmith.storage import new_folder, write_text

PROVENANCE_FILE = "provenance.jsonl"
MOST_CLASSES = 254


@dataclass
class Exported:
    """What an export came to.

    Attributes:
        good: images of good parts.
        masks: images with at least one confirmed outline.
        weak: images with a class and no place.
        excluded: images that are there, but neither train nor test.
        left_out: images that are not there, with the reason.
        superseded: images of which a later review of another result was taken.
    """

    schema: Schema
    good: int = 0
    masks: int = 0
    weak: int = 0
    excluded: int = 0
    left_out: list[str] = field(default_factory=list)
    superseded: int = 0


@dataclass(frozen=True)
class _Plan:
    """What the first reading of the store found.

    Attributes:
        latest: content of an image -> the result whose review of it is the last.
        places: whether any image will have a confirmed outline; without one the set has labels
            for whole images and no masks at all.
    """

    schema: Schema
    latest: dict[str, int]
    places: bool


def export_reviews(
    store: Store,
    out: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    like: Path | None = None,
) -> Exported:
    """Write the images of reviewed parts as a defect data set, with a line of provenance each.

    Args:
        store: has the reviews; the images are where they were when they were inspected.
        out: folder to make; it appears when everything is in it.
        since: parts inspected from this time on.
        until: parts inspected before this time.
        like: a data set whose classes, levels and pixel size apply; new classes are added to them.

    Raises:
        FlawsmithError: if ``out`` exists, there is nothing to export, or it cannot be written.
    """
    query = Query(since=since, until=until, reviewed=True)
    plan = _plan(store, query, Schema.load(like) if like else None)
    exported = Exported(plan.schema)
    with new_folder(out, what="data set") as folder:
        depths: list[int] = []
        channels: set[int] = set()
        lines: list[str] = []
        records: list[ImageRecord] = []
        with DatasetWriter(folder, plan.schema) as writer:
            for record, position, label in _wanted(store, query, plan, exported):
                image = record.images[position]
                found = _load(record, image, exported)
                if found is None:
                    continue
                name = f"{record.id:08d}_{position}"
                written = _add(writer, name, found, record, image, label, places=plan.places)
                records.append(written)
                depths.append(8 * _pixels(found).itemsize)
                channels.add(1 if _pixels(found).ndim == 2 else 3)
                lines.append(_provenance(store, record, image, written))
        if not records:
            reasons = f": {listed(exported.left_out, separator='; ')}" if exported.left_out else ""
            raise FlawsmithError(
                f"{store.name} has no reviewed image to export in this period{reasons}"
            )
        exported.schema = _with_pixels(plan.schema, depths, channels, fixed=like is not None)
        exported.schema.save(folder)
        records = _one_depth(records, depths, exported.schema.bit_depth)
        write_metadata(folder / METADATA_FILE, records)
        write_text(folder / PROVENANCE_FILE, "".join(lines))
    _count(exported, records)
    return exported


def _plan(store: Store, query: Query, known: Schema | None) -> _Plan:
    names: set[str] = set()
    ids: dict[str, int] = {}
    latest: dict[str, tuple[datetime, int]] = {}
    places = False
    for record in store.find(query):
        labels = label_part(record)
        if labels is None:
            continue
        said = max(review.reviewed_at for review in record.reviews), record.id
        for image, label in zip(record.images, labels, strict=True):
            names |= set(label.names)
            ids |= {region.class_name: region.class_id for region in image.regions}
            latest[image.sha256] = max(latest.get(image.sha256, said), said)
            places = places or bool(label.outlined)
    ordered = sorted(names, key=lambda name: (ids.get(name, MOST_CLASSES), name))
    schema = known or Schema(name="reviewed", backgrounds=make_backgrounds(["surface"]))
    return _Plan(_with_classes(schema, ordered), {k: v[1] for k, v in latest.items()}, places)


def _with_classes(schema: Schema, names: Sequence[str]) -> Schema:
    """Return the schema with the classes that it does not have yet at its end."""
    defects = list(schema.defects)
    taken = {n.casefold() for d in defects for n in (d.name, *d.aliases)}
    backgrounds = {background.name.casefold() for background in schema.backgrounds}
    for name in names:
        if name.casefold() in backgrounds:
            raise FlawsmithError(
                f"the class '{name}' has the name of a background; give with --like a data set in "
                "which the background has another name"
            )
        if name.casefold() not in taken:
            number = len(defects) + 1
            colour = DEFECT_COLOURS[(number - 1) % len(DEFECT_COLOURS)]
            values = {"id": number, "name": name, "colour": colour}
            defects.append(validate(Defect, values, source=f"class '{name}' of the store"))
            taken.add(name.casefold())
    if len(defects) > MOST_CLASSES:
        raise FlawsmithError(
            f"the reviews name {len(defects)} classes; a data set holds at most {MOST_CLASSES}"
        )
    return schema.model_copy(update={"defects": defects})


def _with_pixels(
    schema: Schema, depths: Sequence[int], channels: set[int], *, fixed: bool
) -> Schema:
    """Return the schema for images of these depths; one that was given stays as it is."""
    if fixed:
        return schema
    depth = Counter(depths).most_common(1)[0][0]
    values = {"bit_depth": depth, "white_level": (1 << depth) - 1, "channels": max(channels)}
    return schema.model_copy(update=values)


def _wanted(
    store: Store, query: Query, plan: _Plan, exported: Exported
) -> Iterator[tuple[PartRecord, int, ImageLabel]]:
    """Yield result, position of the image and label of every image whose last review this is."""
    taken: set[str] = set()
    for record in store.find(query):
        labels = label_part(record)
        for position, label in enumerate(labels or []):
            content = record.images[position].sha256
            if content and (content in taken or plan.latest[content] != record.id):
                exported.superseded += 1
                continue
            taken.add(content)
            yield record, position, label


def _load(record: PartRecord, image: ImageInspection, exported: Exported) -> PartImage | None:
    """Return the image, decoded and with its bytes, or None after saying why not."""
    path = Path(image.image)
    problem = None
    if not image.sha256:
        problem = "nothing of it was read when it was inspected"
    elif path.suffix.lower() not in IMAGE_SUFFIXES or "\0" in image.image:
        problem = "its name is none of an image file"
    if problem is None:
        found = PartImage.from_file(path, part=image.part, view=image.view)
        if found.problem is None and found.sha256 != image.sha256:
            problem = "it is another file now (its SHA-256 differs)"
        elif found.problem is None:
            decoded = found.decoded()
            problem = decoded.problem
            if decoded.pixels is not None:
                height, width = decoded.pixels.shape[:2]
                if not image.width or (width, height) == (image.width, image.height):
                    return PartImage(
                        found.name, found.part, found.view, found.sha256, found.data,
                        decoded.pixels,
                    )  # fmt: skip
                problem = f"it has {width} x {height} px, not {image.width} x {image.height}"
        else:
            problem = found.problem
    exported.left_out.append(f"result {record.id}, {image.image}: {problem}")
    return None


def _pixels(image: PartImage) -> ImageArray:
    assert image.pixels is not None  # `_load` returns nothing else
    return image.pixels


def _add(
    writer: DatasetWriter, name: str, found: PartImage, record: PartRecord,
    image: ImageInspection, label: ImageLabel, *, places: bool,
) -> ImageRecord:  # fmt: skip
    height, width = _pixels(found).shape[:2]
    indices = np.zeros((height, width), np.uint8)
    if places:
        indices = draw(label, height, width, writer.schema)
    # The bytes whose hash was checked, not what the file may have become since.
    scratch = writer.root / f".{name}{Path(image.image).suffix.lower()}"
    scratch.write_bytes(found.data)
    try:
        defects = writer.schema.defect
        return writer.add(
            name, scratch, LabelMap(indices, np.zeros_like(indices)),
            part=record.verdict.part or f"result {record.id}", view=image.view,
            labels=[defects(n).name for n in label.names],
            weak_labels=[defects(n).name for n in label.weak],
            mask_source="pseudo" if label.outlined else "annotation",
            excluded=label.excluded, original=image.image,
        )  # fmt: skip
    finally:
        scratch.unlink()


def _one_depth(
    records: Sequence[ImageRecord], depths: Sequence[int], depth: int
) -> list[ImageRecord]:
    """Return the records with those excluded whose depth, and so white level, is another."""
    wanted = 8 if depth == 8 else 16
    return [
        r
        if bits == wanted or r.excluded
        else r.model_copy(update={"excluded": f"it has {bits} bits a pixel, the set has {wanted}"})
        for r, bits in zip(records, depths, strict=True)
    ]


def _provenance(
    store: Store, record: PartRecord, image: ImageInspection, written: ImageRecord
) -> str:
    values = {
        "file_name": written.file_name, "sha256": written.sha256, "store": store.name,
        "result": record.id, "part": record.verdict.part, "view": image.view,
        "image": image.image, "first_stage": record.verdict.verdict.value,
        "audited": record.audited, "model": image.model, "rules": record.verdict.rules,
        "code_version": record.code_version, "inspected_at": record.finished_at.isoformat(),
        "reviews": [review.model_dump(mode="json") for review in record.reviews],
    }  # fmt: skip
    return json.dumps(values, ensure_ascii=False) + "\n"


def _count(exported: Exported, records: Sequence[ImageRecord]) -> None:
    for record in records:
        if record.excluded:
            exported.excluded += 1
        elif not record.labels:
            exported.good += 1
        elif record.mask_source == "pseudo":
            exported.masks += 1
        else:
            exported.weak += 1
