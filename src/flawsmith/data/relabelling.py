"""Renaming, merging and dropping defect classes in schema, masks, labels and instances."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flawsmith.config import to_toml, validate
from flawsmith.data.dataset import METADATA_FILE, DefectDataset, ImageRecord, metadata_text
from flawsmith.data.history import changing
from flawsmith.data.images import LabelArray, encode_index_mask, read_index_mask
from flawsmith.data.schema import IGNORE, SCHEMA_FILE, Defect, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.registry import nearest_name

DroppedAs = Literal["ignore", "good"]


@dataclass(frozen=True)
class Relabelling:
    """What to do with the classes; names are those before anything is done.

    Attributes:
        renames: new name by old name.
        merges: names of the classes that become one, and its name, new or that of a class.
        drops: classes to give up.
        dropped_as: what their pixels become: ignored, or no defect.
    """

    renames: Mapping[str, str]
    merges: Sequence[tuple[tuple[str, ...], str]] = ()
    drops: Sequence[str] = ()
    dropped_as: DroppedAs = "ignore"

    def arguments(self) -> list[str]:
        """Return it as on the command line."""
        result = [x for old, new in self.renames.items() for x in ("--rename", f"{old}={new}")]
        for names, new in self.merges:
            result += ["--merge", f"{','.join(names)}={new}"]
        result += [x for name in self.drops for x in ("--drop", name)]
        return [*result, "--as", self.dropped_as] if self.drops else result


@dataclass(frozen=True)
class ClassPlan:
    """What becomes of the classes of a schema.

    Attributes:
        schema: the new one.
        names: new name by old name; None for a dropped class.
        table: 256 values: the new index of each old index in a mask.
        dropped_as: what the pixels of dropped classes become.
    """

    schema: Schema
    names: dict[str, str | None]
    table: LabelArray
    dropped_as: DroppedAs


def plan_classes(schema: Schema, what: Relabelling) -> ClassPlan:
    """Return what becomes of the classes; everything is checked here, before anything is written.

    Ids stay 1, 2, 3, ... in the old order; a merged class is in the place of its first one. Old
    names become aliases.

    Raises:
        FlawsmithError: if a class is unknown or named twice, or a new name is taken.
    """
    target: dict[int, str | None] = {}

    def send(name: str, new: str | None) -> None:
        old = _defect(schema, name)
        if old.id in target:
            raise FlawsmithError(
                f"'{old.name}' is named twice in what to rename, merge and drop; name it once"
            )
        target[old.id] = new

    for old, new in what.renames.items():
        send(old, _new_name(new))
    merged = {}
    for names, new in what.merges:
        existing = _find(schema, new)
        kept = _new_name(new) if existing is None else existing.name
        members = {_defect(schema, name).id for name in names}
        if existing is not None:
            members.add(existing.id)
        if len(members) < 2:
            raise FlawsmithError(
                f"--merge {','.join(names)}={new}: needs two classes at least; "
                "to give one another name, use --rename OLD=NEW"
            )
        for id in sorted(members):
            send(schema.defects[id - 1].name, kept)
            merged[id] = kept
    for name in what.drops:
        send(name, None)
    if not target:
        raise FlawsmithError(
            "nothing to do; give --rename OLD=NEW, --merge A,B=C or --drop NAME "
            f"(classes: {', '.join(schema.defect_names)})"
        )
    return _plan(schema, target, merged, what.dropped_as)


def _plan(
    schema: Schema, target: dict[int, str | None], merged: dict[int, str], dropped_as: DroppedAs
) -> ClassPlan:
    groups: dict[str | int, list[Defect]] = {}
    names = {d.name: target.get(d.id, d.name) for d in schema.defects}
    for defect in schema.defects:
        if names[defect.name] is not None:
            groups.setdefault(merged.get(defect.id, defect.id), []).append(defect)
    table = np.arange(256, dtype=np.uint8)
    for defect in schema.defects:
        table[defect.id] = IGNORE if dropped_as == "ignore" else 0
    final = [str(names[members[0].name]) for members in groups.values()]
    defects = []
    for id, (members, name) in enumerate(zip(groups.values(), final, strict=True), start=1):
        table[[member.id for member in members]] = id
        defects.append(_joined(id, name, members, others=set(final) - {name}))
    values = schema.model_dump() | {"defects": [d.model_dump() for d in defects]}
    taken = Counter(name.casefold() for name in final)
    taken.update(background.name.casefold() for background in schema.backgrounds)
    for name in final:
        if taken[name.casefold()] > 1:
            raise FlawsmithError(
                f"'{name}' would be the name of two classes or backgrounds; "
                f"to make one class of two, use --merge A,B={name}"
            )
    new = validate(Schema, values, source="the classes afterwards")
    return ClassPlan(new, names, table, dropped_as)


def _joined(id: int, name: str, members: list[Defect], others: set[str]) -> Defect:
    """Return the class that members become; an alias never is the name of another class."""
    taken = {other.casefold() for other in (*others, name)}
    aliases: dict[str, str] = {}
    for alias in (a for member in members for a in (member.name, *member.aliases)):
        if alias.casefold() not in taken:
            aliases.setdefault(alias.casefold(), alias)
    colour = next((m.colour for m in members if m.name == name), members[0].colour)
    return Defect(id=id, name=name, aliases=list(aliases.values()), colour=colour)


def _find(schema: Schema, name: str) -> Defect | None:
    """Return the class with this name, else the one with this alias."""
    exact = [d for d in schema.defects if d.name.casefold() == name.casefold()]
    known = [d for d in schema.defects if name.casefold() in {a.casefold() for a in d.aliases}]
    return next(iter(exact + known), None)


def _defect(schema: Schema, name: str) -> Defect:
    found = _find(schema, name)
    if found is None:
        raise FlawsmithError(unknown_class(schema, name))
    return found


def unknown_class(schema: Schema, name: str) -> str:
    """Return the message for a name that is no class."""
    names = schema.defect_names
    listed = ", ".join(names) or "none"
    return f"'{name}' is no defect of {schema.name}{nearest_name(name, names)} (classes: {listed})"


def _new_name(name: str) -> str:
    if not name.strip() or "," in name or len(name) > 80:
        raise FlawsmithError(f"'{name}' is no name for a class: 1 to 80 characters without a comma")
    return name.strip()


def relabel(
    root: Path,
    what: Relabelling,
    *,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
) -> list[str]:
    """Rename, merge and drop classes of a data set in place; return what was done, in sentences.

    It takes effect as a whole or not at all, and `flawsmith.data.history.undo` takes it back.

    Args:
        root: the data set.
        what: the classes.
        dry_run: only say what would be done.
        progress: called with a number of finished images.

    Raises:
        FlawsmithError: if a class is unknown, or a mask is missing or damaged.
    """
    if dry_run:
        dataset = DefectDataset.open(root)
        plan = plan_classes(dataset.schema, what)
        return _sentences(dataset, plan, [relabelled(record, plan) for record in dataset])
    plan_classes(Schema.load(root), what)  # before anything is made
    with changing(root, "relabel", what.arguments()) as changes:
        dataset = DefectDataset.open(root)
        plan = plan_classes(dataset.schema, what)
        records = [relabelled(record, plan) for record in dataset]
        for place, data in _masks(dataset, plan, records, progress):
            name = dataset.records[place].mask_file_name
            assert name is not None
            if data is None:
                changes.remove(name)
                records[place] = records[place].model_copy(update={"mask_file_name": None})
            else:
                changes.write(name, data)
        changes.write(SCHEMA_FILE, to_toml(plan.schema).encode())
        changes.write(METADATA_FILE, metadata_text(records).encode())
        changes.summary += _sentences(dataset, plan, records)
    return changes.summary


def relabelled(record: ImageRecord, plan: ClassPlan) -> ImageRecord:
    """Return a record with the new names.

    An image of which nothing would tell any more that it shows a dropped class is excluded, unless
    dropped classes count as no defect.
    """
    labels = _renamed(record.labels, plan)
    update: dict[str, Any] = {
        "labels": labels,
        "weak_labels": _renamed(record.weak_labels, plan),
        "instances": [
            {**instance, "label": name}
            for instance in record.instances
            if (name := plan.names.get(instance.get("label", ""), instance.get("label")))
        ],
    }
    dropped = [n for n in record.labels if plan.names.get(n, n) is None]
    placeless = record.mask_file_name is None or set(dropped) & set(record.weak_labels)
    if dropped and plan.dropped_as == "ignore" and (placeless or not labels):
        reason = f"shows '{', '.join(dropped)}', dropped by data relabel"
        update["excluded"] = record.excluded or reason
    return record.model_copy(update=update)


def _renamed(names: Sequence[str], plan: ClassPlan) -> list[str]:
    new = (plan.names.get(name, name) for name in names)
    return list(dict.fromkeys(name for name in new if name is not None))


def _masks(
    dataset: DefectDataset,
    plan: ClassPlan,
    records: Sequence[ImageRecord],
    progress: Callable[[int], object] | None,
) -> Iterator[tuple[int, bytes | None]]:
    """Yield the place of each record whose mask changes, and its new PNG; None if it is empty."""
    palette = plan.schema.palette()
    used = np.arange(dataset.schema.num_defects + 1)
    same = np.array_equal(plan.table[used], used) and palette == dataset.schema.palette()
    for place, record in enumerate(dataset):
        if record.mask_file_name and not same:
            path = dataset.path(record.mask_file_name)
            old = read_index_mask(path)
            wrong = (old > dataset.schema.num_defects) & (old != IGNORE)
            if wrong.any():
                raise FlawsmithError(
                    f"{path} has value {int(old[wrong][0])}, which no class has; repair it or "
                    "leave it out first (see: data check, data filter)"
                )
            new = plan.table[old]
            gone = not new.any() and not records[place].labels
            yield place, None if gone else encode_index_mask(new, palette)
        if progress is not None:
            progress(1)


def _sentences(
    dataset: DefectDataset, plan: ClassPlan, records: Sequence[ImageRecord]
) -> list[str]:
    images = Counter(label for record in dataset for label in record.labels)
    lines = []
    for defect in plan.schema.defects:
        old = [name for name, new in plan.names.items() if new == defect.name]
        if old != [defect.name]:
            counts = " + ".join(f"{name} ({images[name]} images)" for name in old)
            lines.append(f"{counts} -> {defect.name}")
    for name in (name for name, new in plan.names.items() if new is None):
        pixels = "ignored" if plan.dropped_as == "ignore" else "no defect"
        lines.append(f"{name} ({images[name]} images) dropped; its pixels are {pixels} now")
    pairs = zip(dataset.records, records, strict=True)
    excluded = sum(old.excluded is None and new.excluded is not None for old, new in pairs)
    if excluded:
        lines.append(f"{excluded} images excluded: nothing but a dropped class is known of them")
    return lines
