"""Columns of a Hugging Face table and what the values in a row say about its image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flawsmith.data.formats.folder import is_good_name
from flawsmith.data.formats.hugging_face_features import class_names, field_names
from flawsmith.data.formats.hugging_face_tables import Row, Table
from flawsmith.data.formats.pairing import MASK_FOLDERS, plain
from flawsmith.data.schema import IGNORE

DEFECT = "defect"
IMAGE_NAMES = ("image", "img", "picture", "photo", "pixelvalues", "file")
MASK_WORDS = ("mask", "segmentation", "annotation", "groundtruth")
LABEL_NAMES = (
    "label labels defects defect defecttype class classes classname category categories target "
    "anomaly isanomaly anomalous defective isdefective hasdefect"
).split()
FLAG_NAMES = frozenset("anomaly isanomaly anomalous defective isdefective hasdefect".split())
OBJECT_NAMES = ("objects", "object", "annotations", "instances", "boxes", "bboxes")
CATEGORY_FIELDS = ("category", "categories", "label", "labels", "class", "classes", "categoryid")
OWN = ("part", "part_source", "view", "fold", "excluded", "source", "weak_labels", "mask_source")
"""Columns of our own ``metadata.jsonl``, kept where they have the same meaning."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read.

    Attributes:
        image: the picture, or the file of it.
        kept: those of `OWN` that are there.
        unread: all others.
    """

    image: str
    mask: str | None
    label: str | None
    objects: str | None
    kept: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether anything says what an image shows."""
        return any((self.mask, self.label, self.objects))

    @property
    def read(self) -> list[str]:
        """All columns to read."""
        named = (self.image, self.mask, self.label, self.objects, *self.kept)
        return [column for column in named if column]


def find_columns(table: Table) -> Columns | None:
    """Return the columns by their types and customary names; None without an image."""
    pictures = list(table.pictures) or [c for c in table.columns if c.endswith("file_name")]
    short = {c: plain(c.removesuffix("file_name")) for c in pictures}
    masks = [c for c in pictures if short[c] in MASK_FOLDERS or _says_mask(short[c])]
    images = [c for c in pictures if c not in masks and short[c] != "background"]
    if not images:
        return None
    image = next((c for n in ("", *IMAGE_NAMES) for c in images if short[c] == n), images[0])
    rest = [c for c in table.columns if c not in pictures]
    nested = [c for c in rest if _says_mask(plain(c)) or "Array2D" in str(table.features.get(c))]
    mask = next(iter(masks), None) or next((c for c in nested if not _categories(table, c)), None)
    label = _label_column(table, [c for c in rest if c != mask])
    objects = next((c for n in OBJECT_NAMES for c in rest if plain(c) == n and c != mask), None)
    ours = tuple(c for c in OWN if c in rest) if "part" in rest else ()
    used = {image, mask, label, objects, *ours}
    return Columns(image, mask, label, objects, ours, tuple(set(table.columns) - used))


def _says_mask(name: str) -> bool:
    return any(word in name for word in MASK_WORDS) and name not in OBJECT_NAMES


def _categories(table: Table, column: str) -> list[str]:
    return field_names(table.features.get(column), CATEGORY_FIELDS)


def _label_column(table: Table, columns: Sequence[str]) -> str | None:
    customary = [c for name in LABEL_NAMES for c in columns if plain(c) == name]
    named = [c for c in columns if class_names(table.features.get(c))]
    return next((c for c in [*(c for c in customary if c in named), *customary, *named]), None)


@dataclass
class Said:
    """What a row says.

    Attributes:
        names: defects that the image shows; None if nobody says, empty if it is good.
        boxes: class and x0, y0, x1, y1; None without a column or value.
        values: those of its mask, or None without one.
        damaged: classes of objects whose box cannot be read.
    """

    names: list[str] | None = None
    boxes: list[tuple[str, tuple[float, float, float, float]]] | None = None
    values: list[int] | None = None
    damaged: list[str] = field(default_factory=list)


class LabelReader:
    """Turns cells into class names, and remembers the numbers that nobody names.

    Attributes:
        unknown: class numbers without a name, for each column.
    """

    def __init__(self, table: Table, columns: Columns, listed: Sequence[str]) -> None:
        """Take names from the features, else those that ``classes.txt`` lists from 0 on."""
        self.columns = columns
        label, objects = columns.label, columns.objects
        self.names = (class_names(table.features.get(label)) if label else []) or list(listed)
        self.categories = (_categories(table, objects) if objects else []) or list(listed)
        self.unknown: dict[str, set[int]] = {}
        self._flag = bool(label) and plain(label or "") in FLAG_NAMES

    def read(self, row: Row) -> Said:
        """Return what the row says, its mask aside."""
        said = Said()
        if self.columns.label:
            said.names = self._labels(row[self.columns.label], self.names, self.columns.label)
        if self.columns.objects and row[self.columns.objects] is not None:
            self._objects(row[self.columns.objects], said)
        return said

    def _labels(self, value: Any, names: Sequence[str], column: str) -> list[str] | None:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            parts = [self._labels(item, names, column) or [] for item in value]
            return list(dict.fromkeys(name for part in parts for name in part))
        name = self._name(value, names, column)
        if name is None:
            return None
        return [] if is_good_name(name) else [name]

    def _name(self, value: Any, names: Sequence[str], column: str) -> str | None:  # noqa: ANN401 - any JSON
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return DEFECT if value else "good"
        text = str(value).strip()
        if text.casefold() in ("true", "false"):
            return DEFECT if text.casefold() == "true" else "good"
        try:
            number = int(text)
        except ValueError:
            return text
        if self._flag and not names and number in (0, 1):
            return DEFECT if number else "good"
        if 0 <= number < len(names):
            return names[number]
        if number < 0:  # `datasets` writes -1 where a test set hides its labels
            return None
        self.unknown.setdefault(column, set()).add(number)
        return f"class_{number}"

    def _objects(self, value: Any, said: Said) -> None:  # noqa: ANN401 - any JSON
        column = self.columns.objects or ""
        said.boxes = []
        for entry in _entries(value):
            names = [entry[f] for f in CATEGORY_FIELDS if entry.get(f) is not None]
            name = self._name(names[0] if names else DEFECT, self.categories, column) or DEFECT
            try:
                x, y, width, height = (float(edge) for edge in entry.get("bbox") or ())
            except (TypeError, ValueError):
                said.damaged.append(name)
                continue
            said.boxes.append((name, (x, y, x + width, y + height)))


def _entries(value: Any) -> list[Row]:  # noqa: ANN401 - any JSON
    """Return objects one by one, from a list of them or lists of their values."""
    if isinstance(value, list):
        return [entry for entry in value if isinstance(entry, dict)]
    if not isinstance(value, dict):
        return []
    lists = {key: items for key, items in value.items() if isinstance(items, list)}
    count = max((len(items) for items in lists.values()), default=0)
    return [{k: items[i] for k, items in lists.items() if i < len(items)} for i in range(count)]


def learn_mask_names(said: Iterable[Said]) -> dict[int, str]:
    """Return the names of mask values that labels of whole images tell, by elimination.

    An image with one class and one value in its mask names that value; what is named is struck from
    the others. A value that images name differently has no name.
    """
    open_rows = [
        ({v for v in s.values or [] if v not in (0, IGNORE)}, set(s.names or [])) for s in said
    ]
    open_rows = [row for row in open_rows if row[0] and row[1]]
    found: dict[int, str] = {}
    refused: set[int] = set()
    while True:
        told: dict[int, set[str]] = {}
        for values, names in open_rows:
            rest, left = values - set(found), names - set(found.values())
            if len(rest) == 1 == len(left):
                told.setdefault(min(rest), set()).update(left)
        new = {v: min(names) for v, names in told.items() if len(names) == 1 and v not in refused}
        refused |= {v for v, names in told.items() if len(names) > 1}
        new = {v: n for v, n in new.items() if list(new.values()).count(n) == 1}
        if not new:
            return found
        found |= new
