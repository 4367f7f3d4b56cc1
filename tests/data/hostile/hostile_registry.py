"""The registry of hostile folders: each case has a name, makes a source, and says what must happen.

The cases are in ``hostile_*.py``; `all_cases` loads them. Folders are tiny and made anew.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOPICS = ("shapes", "labels", "pictures", "archives", "names", "places")

Make = Callable[[Path], Path | None]
"""Fills an empty folder; returns the source to import if that is another path."""


@dataclass(frozen=True)
class Case:
    """One hostile or broken input.

    Attributes:
        name: what is wrong, in words.
        refused: what the one message must contain; empty where the folder is imported.
        findings: kinds and counts of all findings of an import.
        images: number of imported images.
        excluded: how many of them are excluded.
        labels: of the image whose path comes first.
        options: of `import_folder`.
        out: place of the data set relative to the folder around the source.
    """

    name: str
    make: Make
    refused: tuple[str, ...] = ()
    findings: Mapping[str, int] = field(default_factory=dict)
    images: int = 1
    excluded: int = 0
    labels: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    out: str = "out"


CASES: dict[str, Case] = {}


def add(case: Case) -> None:
    """Register a case; names are unique."""
    assert case.name not in CASES, case.name
    assert not (case.refused and case.findings), case.name
    CASES[case.name] = case


def refused(name: str, *words: str, **more: Any) -> Callable[[Make], Make]:
    """Register the decorated function as a case that must be refused with these words."""

    def register(make: Make) -> Make:
        add(Case(name, make, refused=words, **more))
        return make

    return register


def imported(name: str, findings: Mapping[str, int], **more: Any) -> Callable[[Make], Make]:
    """Register the decorated function as a case that is imported with these findings."""

    def register(make: Make) -> Make:
        add(Case(name, make, findings=findings, **more))
        return make

    return register


def all_cases() -> dict[str, Case]:
    """Return all cases by name."""
    for topic in TOPICS:
        importlib.import_module(f"hostile_{topic}")
    return CASES


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
