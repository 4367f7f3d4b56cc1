"""A data set that a test may damage, and what its page holds."""

import base64
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from flawsmith.data.check_page import build_check_page
from flawsmith.data.check_report import CheckReport, Finding
from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset

VOID = {"img", "link", "meta", "br", "input", "path", "rect"}


class Page(HTMLParser):
    """The elements of a page, its words, and what stands in each section."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.source = path.read_text("utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, list[str]] = {}
        self.pictures: dict[str, list[np.ndarray]] = {}
        self.cards: dict[str, int] = {}
        self._open: list[str] = []
        self._section = ""
        self._words: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section" and attributes.get("id"):
            self._section = attributes["id"] or ""
        if tag == "figure":
            self.cards[self._section] = self.cards.get(self._section, 0) + 1
        if tag == "img":
            data = base64.b64decode((attributes["src"] or "").split(",", 1)[1])
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
            self.pictures.setdefault(self._section, []).append(picture)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self._words.append(data)
            self.sections.setdefault(self._section, []).append(data)

    @property
    def text(self) -> str:
        """All words, single spaces between them."""
        return " ".join(" ".join(self._words).split())

    def section(self, name: str) -> str:
        """The words of one section."""
        return " ".join(" ".join(self.sections[name]).split())

    def ids(self) -> list[str]:
        """All ids of elements."""
        return [a["id"] or "" for _, a in self.tags if "id" in a]


@pytest.fixture
def pouch(pouch_folder: Path, tmp_path: Path) -> DefectDataset:
    """A copy that a test may change: 9 good and 36 defective images."""
    shutil.copytree(pouch_folder, tmp_path / "pouch")
    return DefectDataset.open(tmp_path / "pouch")


@pytest.fixture
def build() -> Callable[..., Page]:
    """Check a data set, add findings, and return its page."""

    def make(dataset: DefectDataset, *findings: Finding, report: CheckReport | None = None) -> Page:
        report = report or check(dataset)
        everything = report.model_copy(update={"findings": [*report.findings, *findings]})
        return Page(build_check_page(dataset, everything, dataset.root / "check.html"))

    return make
