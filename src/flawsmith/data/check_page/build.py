"""Building the page of a check: one file with everything in it, whatever the size of the set."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flawsmith.data.check_page.kinds import ordered, text_of
from flawsmith.data.check_page.pictures import Card, PictureSource
from flawsmith.data.check_page.sizes import size_histograms
from flawsmith.data.check_report import SMALL_REGION_PX, CheckReport, Finding, Kind
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.templates import render as fill
from flawsmith.storage import write_bytes

PAGE_FILE = "check.html"

CARDS_A_KIND = 40
FINDING_BYTES = 13 << 20
"""Embedded pictures of all findings together."""

EXAMPLES_A_CLASS = 8
EXAMPLES = 320
EXAMPLE_BYTES = 3 << 20

NAMES = 8_000
"""Findings that are listed by name, of all kinds together; a finding may take up to 1 kB."""

Progress = Callable[[], object]


@dataclass
class KindSection:
    """All findings of a kind: sentences about the whole set, pictures, names of the rest."""

    kind: Kind
    title: str
    advice: str
    is_problem: bool
    count: int
    sentences: list[str] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    names: list[Finding] = field(default_factory=list)
    unlisted: int = 0


@dataclass(frozen=True)
class Examples:
    """Images of a class, each of another part."""

    title: str
    colour: str
    parts: int
    cards: list[Card]


def build_check_page(
    dataset: DefectDataset, report: CheckReport, path: Path, progress: Progress | None = None
) -> Path:
    """Write the report of a check as one HTML file without scripts and return its path.

    Pictures are embedded, at most `CARDS_A_KIND` a kind and within a fixed number of bytes; further
    findings are listed by name. Files that cannot be read are replaced by the reason.

    Args:
        dataset: what was checked; is not changed.
        report: the outcome.
        path: the file to write, whole or not at all; file names link to the files from there.
        progress: called after each finding or example is drawn.

    Raises:
        FlawsmithError: if the file cannot be written.
    """
    source = PictureSource(dataset, path.parent)
    note = progress or (lambda: None)
    examples = _examples(source, note)
    sections = _sections(report.findings, source, note)
    html = _render(dataset, report, sections, examples)
    # A name may hold half of a UTF-16 pair, which UTF-8 cannot.
    write_bytes(path, html.encode("utf-8", "replace"))
    return path


def _sections(
    findings: Sequence[Finding], source: PictureSource, progress: Progress
) -> list[KindSection]:
    sections = []
    kinds = ordered({finding.kind for finding in findings})
    pictures, names = FINDING_BYTES, NAMES
    for place, kind in enumerate(kinds):
        left = len(kinds) - place
        same = [finding for finding in findings if finding.kind == kind]
        section = _section(kind, same, source, progress, pictures // left, names // left)
        pictures -= sum(card.size for card in section.cards)
        names -= len(section.names) + len(section.sentences)
        sections.append(section)
    return sections


def _section(
    kind: Kind,
    findings: Sequence[Finding],
    source: PictureSource,
    progress: Progress,
    most_bytes: int,
    most_names: int,
) -> KindSection:
    """Return one kind; its cards are taken at even distances, so that they stand for all."""
    text = text_of(kind)
    whole = [finding for finding in findings if not finding.file]
    placed = [finding for finding in findings if finding.file]
    count = min(CARDS_A_KIND, len(placed))
    chosen = [step * len(placed) // count for step in range(count)] if count else []
    cards: list[Card] = []
    drawn: set[int] = set()
    for place in chosen:
        card = source.card(placed[place])
        progress()
        if card.size + sum(made.size for made in cards) > most_bytes:
            break
        cards.append(card)
        drawn.add(place)
    rest = [finding for place, finding in enumerate(placed) if place not in drawn]
    sentences = [finding.message for finding in whole[:most_names]]
    return KindSection(
        kind=kind,
        title=text.title,
        advice=text.advice,
        is_problem=findings[0].is_problem,
        count=len(findings),
        sentences=sentences,
        cards=cards,
        names=rest[: most_names - len(sentences)],
        unlisted=len(rest) + len(whole) - min(most_names, len(rest) + len(whole)),
    )


def _examples(source: PictureSource, progress: Progress) -> list[Examples]:
    """Return some images of good parts and of each class, drawn at random but always the same."""
    schema = source.dataset.schema
    used = source.dataset.usable().records
    groups: list[tuple[str, str, int | None, list[ImageRecord]]] = [
        (defect.name, defect.colour, defect.id, [r for r in used if defect.name in r.labels])
        for defect in schema.defects
    ]
    groups.append(("no defect", "", None, [record for record in used if record.is_good]))
    groups = [group for group in groups if group[3]]
    each = max(1, min(EXAMPLES_A_CLASS, EXAMPLES // max(len(groups), 1)))
    rng = random.Random(0)
    shown, left = [], EXAMPLE_BYTES
    for place, (title, colour, class_id, records) in enumerate(groups):
        most = left // (len(groups) - place)
        by_part = {record.part: record for record in rng.sample(records, len(records))}
        cards: list[Card] = []
        for record in list(by_part.values())[:each]:
            card = source.example(record, class_id)
            progress()
            if card.size + sum(made.size for made in cards) > most:
                break
            cards.append(card)
        left -= sum(card.size for card in cards)
        shown.append(Examples(title, colour, len(by_part), cards))
    return shown


def _render(
    dataset: DefectDataset,
    report: CheckReport,
    sections: Sequence[KindSection],
    examples: Sequence[Examples],
) -> str:
    return fill(
        "flawsmith.data.check_page",
        "check.html.j2",
        report=report,
        colours={defect.name: defect.colour for defect in dataset.schema.defects},
        problems=[section for section in sections if section.is_problem],
        information=[section for section in sections if not section.is_problem],
        examples=examples,
        histograms=size_histograms(dataset),
        small_px=SMALL_REGION_PX,
    )
