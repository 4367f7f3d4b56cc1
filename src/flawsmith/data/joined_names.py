"""Which classes, backgrounds and parts of several data sets are the same."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np

from flawsmith.data.dataset import ImageRecord
from flawsmith.data.images import LabelArray
from flawsmith.data.schema import BACKGROUND_COLOURS, DEFECT_COLOURS, Background, Defect
from flawsmith.errors import FlawsmithError, listed

Node = TypeVar("Node", bound=Hashable)
Entry = TypeVar("Entry", bound=Background | Defect)


class Unions(Generic[Node]):
    """Sets of nodes that belong together; each is called by its first node."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._above = {node: node for node in nodes}
        self._order = {node: place for place, node in enumerate(self._above)}

    def first(self, node: Node) -> Node:
        """Return the first node of a node's set."""
        while self._above[node] != node:
            self._above[node] = self._above[self._above[node]]
            node = self._above[node]
        return node

    def join(self, one: Node, other: Node) -> None:
        """Make one set of two."""
        low, high = sorted((self.first(one), self.first(other)), key=lambda n: self._order[n])
        self._above[high] = low

    def groups(self) -> list[list[Node]]:
        """Return the sets, in the order of their first nodes."""
        found: dict[Node, list[Node]] = defaultdict(list)
        for node in self._above:
            found[self.first(node)].append(node)
        return list(found.values())


@dataclass(frozen=True)
class JoinedEntries(Generic[Entry]):
    """Classes (or backgrounds) of several data sets as those of one.

    Attributes:
        entries: the new ones.
        tables: for each set 256 values: the new index of each old one; 255 stays.
        names: for each set the new name by old name.
        origins: for each new one what each set calls it; None where it has none.
    """

    entries: list[Entry]
    tables: list[LabelArray]
    names: list[dict[str, str]]
    origins: list[list[str | None]]


def join_entries(labels: Sequence[str], sets: Sequence[Sequence[Entry]]) -> JoinedEntries[Entry]:
    """Match classes (or backgrounds) by name and alias, whatever the case.

    The first data set that has one gives its name and colour; the other names become aliases.

    Raises:
        FlawsmithError: if two of one set would become one.
    """
    unions = Unions((place, entry.id) for place, group in enumerate(sets) for entry in group)
    owner: dict[str, tuple[int, int]] = {}
    for place, group in enumerate(sets):
        for entry in group:
            for name in (entry.name, *entry.aliases):
                unions.join(owner.setdefault(name.casefold(), (place, entry.id)), (place, entry.id))
    by_node = {(place, e.id): e for place, group in enumerate(sets) for e in group}
    tables = [np.arange(256, dtype=np.uint8) for _ in sets]
    names: list[dict[str, str]] = [{} for _ in sets]
    entries: list[Entry] = []
    origins: list[list[str | None]] = []
    groups = unions.groups()
    titles = {by_node[nodes[0]].name.casefold() for nodes in groups}
    for nodes in groups:
        _refuse_two_of_one_set(labels, [(place, by_node[place, id].name) for place, id in nodes])
        entry = _joined([by_node[node] for node in nodes], entries, titles)
        called: list[str | None] = [None] * len(sets)
        for place, id in nodes:
            tables[place][id] = entry.id
            called[place] = by_node[place, id].name
            names[place][by_node[place, id].name] = entry.name
        entries.append(entry)
        origins.append(called)
    return JoinedEntries(entries, tables, names, origins)


def _refuse_two_of_one_set(labels: Sequence[str], members: Sequence[tuple[int, str]]) -> None:
    for place, label in enumerate(labels):
        own = [name for owner, name in members if owner == place]
        if len(own) > 1:
            others = ", ".join(f"'{n}' of {labels[o]}" for o, n in members if o != place)
            raise FlawsmithError(
                f"{' and '.join(repr(name) for name in own)} of {label} have names or aliases in "
                f"common{f' (with {others})' if others else ''}, so they would become one class; "
                "if they are one, make it so first: data relabel DATA --merge A,B=C; if not, "
                "remove the alias from dataset.toml"
            )


def _joined(members: Sequence[Entry], before: Sequence[Entry], titles: set[str]) -> Entry:
    """Return the entry that members become; its colour is one that no earlier entry has."""
    first = members[0]
    aliases: dict[str, str] = {}
    for alias in (a for member in members for a in (member.name, *member.aliases)):
        if alias.casefold() not in titles:
            aliases.setdefault(alias.casefold(), alias)
    used = {entry.colour.casefold() for entry in before}
    palette = DEFECT_COLOURS if isinstance(first, Defect) else BACKGROUND_COLOURS
    free = [first.colour, *palette]
    colour = next((c for c in free if c.casefold() not in used), first.colour)
    id = len(before) + (1 if isinstance(first, Defect) else 0)
    update = {"id": id, "aliases": list(aliases.values()), "colour": colour}
    return cast(Entry, first.model_copy(update=update))


@dataclass(frozen=True)
class JoinedParts:
    """Parts of several data sets as those of one.

    Attributes:
        names: for each set the new name by old name.
        notes: sentences on what was joined and renamed.
    """

    names: list[dict[str, str]]
    notes: list[str]


def join_parts(
    labels: Sequence[str], sets: Sequence[Sequence[ImageRecord]], *, same_parts: bool
) -> JoinedParts:
    """Give each physical piece one name; images with equal bytes show the same piece.

    Args:
        labels: a short name for each set.
        sets: their records.
        same_parts: equal names are the same piece in all sets.
    """
    unions = Unions((place, r.part) for place, records in enumerate(sets) for r in records)
    notes = [*_join_copies(labels, sets, unions)]
    by_name: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for nodes in unions.groups():
        for name in dict.fromkeys(part for _, part in nodes):
            by_name[name].append(nodes[0])
    clashes = [name for name, firsts in by_name.items() if len(firsts) > 1]
    if same_parts:
        for name in clashes:
            for node in by_name[name][1:]:
                unions.join(by_name[name][0], node)
        if clashes:
            notes.append(f"{len(clashes)} parts of the same name are joined (--same-parts)")
    elif clashes:
        notes.append(
            f"{len(clashes)} part names occur in several sets and count as different pieces, with "
            "the set's name in front; if they are the same pieces, use --same-parts"
        )
    return JoinedParts(_part_names(labels, len(sets), unions.groups()), notes)


def _join_copies(
    labels: Sequence[str], sets: Sequence[Sequence[ImageRecord]], unions: Unions[tuple[int, str]]
) -> list[str]:
    first: dict[str, tuple[int, ImageRecord]] = {}
    copies = []
    for place, records in enumerate(sets):
        for record in records:
            if record.source != "real":
                continue
            owner, twin = first.setdefault(record.sha256, (place, record))
            if owner != place:
                unions.join((owner, twin.part), (place, record.part))
                copies.append(f"{record.file_name} of {labels[place]}")
    if not copies:
        return []
    return [f"{len(copies)} images are in an earlier set byte for byte ({listed(copies)}); both "
            "stay, in one part"]  # fmt: skip


def _part_names(
    labels: Sequence[str], count: int, groups: list[list[tuple[int, str]]]
) -> list[dict[str, str]]:
    wanted = Counter(nodes[0][1] for nodes in groups)
    taken = {name for name, times in wanted.items() if times == 1}
    names: list[dict[str, str]] = [{} for _ in range(count)]
    for nodes in groups:
        place, part = nodes[0]
        name = part
        if wanted[part] > 1:
            base, number = f"{labels[place]}/{part}", 1
            name = base
            while name in taken:
                number += 1
                name = f"{base} ({number})"
            taken.add(name)
        for owner, old in nodes:
            names[owner][old] = name
    return names
