"""What the page knows of the images: columns (one list a field), since 50,000 objects are slow."""

import json
import os
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.gallery.findings import Findings
from flawsmith.data.gallery.tiles import SHEET_COLUMNS, TILE, GalleryImage

UNKNOWN_COLOUR = "#808080"
MOST_SIZES = 24
PART_SOURCES = {"file": "nobody: a file each", "views": "comparing images"}

GOOD = ":good"
EXCLUDED = ":excluded"
"""Keys beside the names of classes; a colon keeps them apart from a class called "good"."""

Values = dict[str, Any]


class Index:
    """Distinct values in order of first appearance, each image with the number of its own."""

    def __init__(self) -> None:
        self.places: dict[Hashable, int] = {}
        self.of: list[int] = []

    def add(self, value: Hashable) -> None:
        """Add the next image's value."""
        self.of.append(self.places.setdefault(value, len(self.places)))

    @classmethod
    def over(cls, values: Iterable[Hashable]) -> "Index":
        """Return the index of one value an image."""
        index = cls()
        for value in values:
            index.add(value)
        return index

    @property
    def values(self) -> list[Any]:
        """The distinct values."""
        return list(self.places)


def page_data(
    dataset: DefectDataset,
    images: Sequence[GalleryImage],
    findings: Findings,
    *,
    out: Path,
    findings_outdated: bool = False,
) -> Values:
    """Return what ``data.js`` holds, as plain data.

    Args:
        dataset: its records, in order.
        images: one for each record.
        findings: (kind, message) by file; of a mask they are shown with its image.
        out: folder of the page, from which it finds the images.
        findings_outdated: the page says that they were found before the last change.
    """
    schema, records = dataset.schema, dataset.records
    found, general = _findings_of(records, findings)
    names = _class_names(dataset)
    colours = {defect.name: defect.colour for defect in schema.defects}
    parts = Index.over(record.part for record in records)
    return {
        "name": schema.name,
        "simulated": schema.simulated,
        "pixelSize": [schema.pixel_size_mm.x, schema.pixel_size_mm.y]
        if schema.pixel_size_mm
        else None,
        "root": _root_url(dataset.root, out),
        "tile": TILE,
        "sheetColumns": SHEET_COLUMNS,
        "classes": [{"name": name, "colour": colours.get(name, UNKNOWN_COLOUR)} for name in names],
        "findingsOutdated": findings_outdated,
        "generalFindings": general,
        "facets": _facets(records, names, colours, found),
        "parts": parts.values,
        "part": parts.of,
        "partRank": _ranks(parts.values),
        "order": _natural_order([record.file_name for record in records]),
        "images": _image_columns(records),
        "thumbnails": _thumbnail_columns(images),
        "findings": {str(i): entries for i, entries in found.items()},
        "details": _details(records),
    }


def to_script(data: Values) -> str:
    """Return a script that sets ``GALLERY``; ASCII, and nothing in it can end a script element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return f"window.GALLERY = {text.replace('<', chr(92) + 'u003c')};\n"


def _class_names(dataset: DefectDataset) -> list[str]:
    """Return the schema's classes, then labels that it does not have."""
    names = dict.fromkeys(dataset.schema.defect_names)
    names |= dict.fromkeys(label for record in dataset for label in record.labels)
    return list(names)


def _findings_of(
    records: Sequence[ImageRecord], findings: Findings
) -> tuple[dict[int, list[tuple[str, str]]], list[tuple[str, str, str]]]:
    places: dict[str, int] = {}
    for i, record in enumerate(records):
        for name in (record.background_file_name, record.mask_file_name, record.file_name):
            if name:
                places[name] = i
    found: dict[int, list[tuple[str, str]]] = {}
    general: list[tuple[str, str, str]] = []
    for file, entries in findings.items():
        if file in places:
            # That it is excluded, an image says itself.
            new = [(kind, text) for kind, text in entries if kind != "excluded"]
            if new:
                found.setdefault(places[file], []).extend(new)
        else:
            general.extend((kind, file, text) for kind, text in entries)
    return found, general


def _facets(
    records: Sequence[ImageRecord],
    names: Sequence[str],
    colours: dict[str, str],
    found: dict[int, list[tuple[str, str]]],
) -> list[Values]:
    kinds = sorted({kind for entries in found.values() for kind, _ in entries})
    classes = [
        *({"key": name, "label": name, "colour": colours.get(name, "")} for name in names),
        {"key": GOOD, "label": "good"},
        {"key": EXCLUDED, "label": "excluded"},
    ]
    findings = [{"key": kind, "label": kind.replace("_", " ")} for kind in kinds]

    def findings_of(i: int) -> list[str]:
        return sorted({kind for kind, _ in found.get(i, [])}) or [""]

    def single(value: Callable[[ImageRecord], Hashable]) -> list[list[Hashable]]:
        return [[value(record)] for record in records]

    return [
        _facet("class", "Class", [_class_keys(r) for r in records], classes),
        _facet("labels", "Labels", [_label_kinds(r) for r in records]),
        _facet(
            "finding",
            "Finding",
            [findings_of(i) for i in range(len(records))],
            [*findings, {"key": "", "label": "none"}],
        ),
        _facet("fold", "Fold", single(lambda r: "" if r.fold is None else str(r.fold))),
        _facet("source", "Source", single(lambda r: r.source)),
        _facet("view", "View", single(lambda r: r.view)),
        _facet("imagesize", "Image size", _image_sizes(records)),
        _facet("partby", "Part known by", single(_known_by)),
    ]


def _facet(
    name: str, title: str, keys: Sequence[Sequence[Hashable]], options: list[Values] | None = None
) -> Values:
    """Return one way to filter.

    Args:
        name: in the page's address.
        title: on the page.
        keys: of each image; it passes if any of them is chosen.
        options: key, label and colour; by default every key there is, in natural order.
    """
    if options is None:
        present = sorted({str(key) for own in keys for key in own}, key=_natural)
        options = [{"key": key, "label": key or "none"} for key in present]
    places = {option["key"]: place for place, option in enumerate(options)}
    index = Index.over(tuple(sorted({places[key] for key in own})) for own in keys)
    return {"name": name, "title": title, "options": options, "sets": index.values, "of": index.of}


def _image_sizes(records: Sequence[ImageRecord]) -> list[list[str]]:
    """Return width x height of each image, or a range of lengths where too many sizes differ."""
    sizes = [f"{record.width} x {record.height}" for record in records]
    if len(set(sizes)) > MOST_SIZES:
        lows = [1 << max(r.width, r.height).bit_length() - 1 for r in records]
        sizes = [f"{low} to {2 * low - 1} px long" for low in lows]
    return [[size] for size in sizes]


def _class_keys(record: ImageRecord) -> list[str]:
    if record.excluded is not None:
        return [EXCLUDED]
    return record.labels or [GOOD]


def _known_by(record: ImageRecord) -> str:
    source = getattr(record, "part_source", "")
    return PART_SOURCES.get(source, source)


def _label_kinds(record: ImageRecord) -> list[str]:
    """Return how exactly it is known where the defects are."""
    if record.is_good:
        return ["no defect"]
    place = "outlined" if record.mask_file_name else "whole image"
    weak = getattr(record, "weak_labels", None)
    if not weak:
        return [place]
    return [place, "only weak" if set(weak) >= set(record.labels) else "some weak"]


def _image_columns(records: Sequence[ImageRecord]) -> Values:
    """Return file, mask (1: same name under masks/), class numbers' source and further names."""
    excluded = Index.over(record.excluded for record in records)
    return {
        "file": [record.file_name for record in records],
        "mask": [_mask(record) for record in records],
        "width": [record.width for record in records],
        "height": [record.height for record in records],
        "excluded": {"values": excluded.values, "of": excluded.of},
        "labels": {"values": (found := Index.over(tuple(r.labels) for r in records)).values}
        | {"of": found.of},
        "sha256": [record.sha256 for record in records],
    }


def _mask(record: ImageRecord) -> str | int:
    if record.mask_file_name is None:
        return 0
    usual = Path("masks", *Path(record.file_name).with_suffix(".png").parts[1:]).as_posix()
    return 1 if record.mask_file_name == usual else record.mask_file_name


def _thumbnail_columns(images: Sequence[GalleryImage]) -> Values:
    sheets = Index.over(image.sheet for image in images)
    tiles = [image.tile for image in images]
    return {
        "sheets": sheets.values,
        "sheet": sheets.of,
        "cell": [image.cell for image in images],
        "width": [tile.width if tile else 0 for tile in tiles],
        "height": [tile.height if tile else 0 for tile in tiles],
        "regionCount": [tile.region_count if tile else 0 for tile in tiles],
        # class - 1, area, x, y, again and again; 0 where there is none
        "regions": [
            [v for c, *rest in tile.regions for v in (c - 1, *rest)] if tile and tile.regions else 0
            for tile in tiles
        ],
        "problem": {str(i): image.problem for i, image in enumerate(images) if image.problem},
        "maskProblem": {
            str(i): t.mask_problem for i, t in enumerate(tiles) if t and t.mask_problem
        },
        "preview": {str(i): t.key for i, t in enumerate(tiles) if t and t.has_preview},
        "ownMask": {str(i): t.key for i, t in enumerate(tiles) if t and t.has_mask},
    }


def _details(records: Sequence[ImageRecord]) -> Values:
    """Return by number of the image what only few have."""
    details = {}
    for i, record in enumerate(records):
        values = {
            "original": record.original,
            "weak labels": ", ".join(getattr(record, "weak_labels", None) or []),
            "made from": ", ".join(record.parents),
            "made by": record.system,
            "run": record.run,
            "seed": record.seed,
            "mask from": record.mask_source if record.mask_source != "annotation" else None,
        }
        given = {name: str(value) for name, value in values.items() if value not in (None, "")}
        if given:
            details[str(i)] = given
    return details


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key by which 9 comes before 10."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", text.casefold())
    numbers = [p.lstrip("0") if p[0] in "0123456789" else None for p in pieces]
    return [
        (1, 0, piece) if number is None else (0, len(number), number)
        for piece, number in zip(pieces, numbers, strict=True)
    ]


def _natural_order(names: Sequence[str]) -> list[int]:
    return sorted(range(len(names)), key=lambda i: _natural(names[i]))


def _ranks(names: Sequence[str]) -> list[int]:
    ranks = [0] * len(names)
    for rank, place in enumerate(_natural_order(names)):
        ranks[place] = rank
    return ranks


def _root_url(root: Path, out: Path) -> str:
    """Return the data set's folder as the page's address of it, ending in a slash."""
    root, out = root.resolve(), out.resolve()
    try:
        relative = os.path.relpath(root, out)
    except ValueError:  # on Windows, two drives have no way from one to the other
        return root.as_uri() + "/"
    return quote(os.fsencode(Path(relative).as_posix()), safe="/") + "/"
