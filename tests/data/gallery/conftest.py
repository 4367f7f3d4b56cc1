"""A small data set to show, what its page holds, and a browser to look at it."""

import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flawsmith.data.dataset import DefectDataset


@pytest.fixture
def pouch(pouch_folder: Path, tmp_path: Path) -> DefectDataset:
    """A copy that a test may change: 9 good and 36 defective images in three folds."""
    shutil.copytree(pouch_folder, tmp_path / "pouch")
    return DefectDataset.open(tmp_path / "pouch")


@pytest.fixture
def read_data() -> Callable[[Path], dict]:
    def read(page: Path) -> dict:
        text = (page.parent / "data.js").read_text("ascii")
        start, end = "window.GALLERY = ", ";\n"
        assert text.startswith(start)
        assert text.endswith(end)
        return json.loads(text[len(start) : -len(end)])

    return read


VOID = {"input", "img", "link", "meta", "br"}


class Dom(HTMLParser):
    """The elements of a page: tag, attributes and the text directly inside."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[list[str]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.elements[-1][2])

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].append(data)

    @property
    def root(self) -> dict[str, str | None]:
        """Attributes of the html element."""
        return next(attributes for tag, attributes, _ in self.elements if tag == "html")

    def text(self, name: str) -> str:
        """Text of the element with this id."""
        [found] = [own for _, attributes, own in self.elements if attributes.get("id") == name]
        return "".join(found)

    def having(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of this class."""
        return [a for _, a, _ in self.elements if name in (a.get("class") or "").split()]

    def texts(self, name: str) -> list[str]:
        """Texts of the elements of this class."""
        found = [(a.get("class") or "", own) for _, a, own in self.elements]
        return ["".join(own) for given, own in found if name in given.split()]


@pytest.fixture
def browse(chromium: Callable[..., str]) -> Callable[..., Dom]:
    """Load a page in Chromium; return its document after its scripts ran without a complaint."""

    def load(page: Path, words: str = "", *, screenshot: Path | None = None) -> Dom:
        output = "--dump-dom" if screenshot is None else f"--screenshot={screenshot}"
        return Dom(chromium(page, "--window-size=1366,900", output, fragment=f"#{words}"))

    return load
