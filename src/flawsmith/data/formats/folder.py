"""The folder that is imported: what is in it, and which of it a label file may name."""

import hashlib
import json
import os
import posixpath
import re
import stat
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from flawsmith.data.formats.archives import ArchiveMember, is_archive, unpack
from flawsmith.data.formats.text import decode_name, decode_text, parse_json
from flawsmith.data.images import is_image_file
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.errors import FlawsmithError, listed

MAX_LABEL_BYTES = 256 << 20
"""Larger label files are refused: no annotation tool writes them, and they fill the memory."""

GOOD_NAMES = frozenset(
    "good ok okay io normal free none pass nodefect nodefects defectfree nondefective "
    "nondefect flawless".split()
)


def is_good_name(name: str) -> bool:
    """Tell whether a folder or label such as ``good``, ``OK`` or ``defect-free`` says no defect."""
    return re.sub(r"[^a-z]", "", name.casefold()) in GOOD_NAMES


def require_source(root: Path, *, archives: bool = True) -> None:
    """Raise a `FlawsmithError` unless ``root`` is a folder to import, or an archive of one."""
    try:
        root.stat()
    except (OSError, ValueError):  # also a name that no file can have
        raise FlawsmithError(f"there is no folder {root}") from None
    if not root.is_dir() and not (archives and is_archive(root)):
        raise FlawsmithError(
            f"{root} is a file; give the folder with images and labels, or a zip archive of it"
        )
    if (root / SCHEMA_FILE).is_file():
        raise FlawsmithError(
            f"{root} is a defect data set already; use it as it is: flawsmith data check {root}"
        )


class OutsideSourceError(FlawsmithError):
    """A label file names a path outside the imported folder."""


class SourceFolder:
    """The files below a folder and in its zip archives, as sorted POSIX paths relative to it.

    A file ``a.png`` in the archive ``lot.zip`` is called ``lot/a.png``. Hidden files and folders
    (macOS ``._*`` among them) and data sets of our own are left out.

    Attributes:
        files: all of them.
        images: those that are images by their suffix.
        jsons: those that are JSON files by their suffix.
        odd: (kind, file, message) of what was left out or looks wrong.
    """

    def __init__(self, root: Path, unpack_to: Path | None = None) -> None:
        self.root = root
        self.odd: list[tuple[str, str, str]] = []
        self._elsewhere: dict[str, Path] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._archives: dict[str, tuple[int, int] | None] = {}
        if root.is_file():
            self._read_archive("", root, unpack_to)
        else:
            self._walk(unpack_to)
        self.files = sorted({*self._stamps, *self._elsewhere})
        self.images = [name for name in self.files if is_image_file(Path(name))]
        self.jsons = self.with_suffix(".json")

    @classmethod
    def scan(cls, root: Path, unpack_to: Path | None = None) -> "SourceFolder":
        """Read the listing of ``root``.

        Args:
            root: a folder, or a zip archive.
            unpack_to: where archives are unpacked; without it they are plain files.

        Raises:
            FlawsmithError: if it is missing, no folder, already a defect data set or empty.
        """
        require_source(root, archives=unpack_to is not None)
        folder = cls(root, unpack_to)
        if not folder.files:
            reasons = "".join(f"; {file}: {message}" for _, file, message in folder.odd[:3])
            raise FlawsmithError(
                f"{root} has no files{reasons}; give the folder with images and labels"
            )
        return folder

    @cached_property
    def names(self) -> frozenset[str]:
        """All files, for membership."""
        return frozenset(self.files)

    @cached_property
    def image_names(self) -> frozenset[str]:
        """All images, for membership."""
        return frozenset(self.images)

    @cached_property
    def by_basename(self) -> dict[str, list[str]]:
        """Images by file name without folder."""
        found: dict[str, list[str]] = {}
        for name in self.images:
            found.setdefault(posixpath.basename(name), []).append(name)
        return found

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Return the files that end so, in any case, such as ``.xml``."""
        return [name for name in self.files if name.lower().endswith(suffixes)]

    def path(self, name: str) -> Path:
        """Return where a listed file is."""
        return self._elsewhere.get(name) or self.root / name

    def is_unpacked(self, name: str) -> bool:
        """Tell whether a listed file was unpacked from an archive."""
        return name not in self._stamps

    def changed(self) -> list[str]:
        """Return the files that have another size or time than when the folder was listed."""
        return [name for name, stamp in self._stamps.items() if _stamp(self.path(name)) != stamp]

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of all files and archives."""
        listing = [str(self.root), self.files, self._stamps, self._archives]
        text = json.dumps(listing, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def locate(self, label_file: str, name: str) -> str | None:
        """Return the listed file that ``label_file`` names relative to itself, or None.

        Raises:
            OutsideSourceError: if the name is absolute or leads out of the imported folder.
        """
        plain = name.replace("\\", "/")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(label_file), plain))
        absolute = plain.startswith("/") or re.match(r"[A-Za-z]:|\w+://", plain)
        if absolute or path.split("/")[0] == "..":
            raise OutsideSourceError(
                f"names '{name}', which leads out of the imported folder; not followed"
            )
        return path if path in self.names else None

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a label file.

        Raises:
            FlawsmithError: if it cannot be read or is larger than 256 MB.
        """
        path = self.path(name)
        try:
            if path.stat().st_size > MAX_LABEL_BYTES:
                raise FlawsmithError(
                    f"{name} is larger than {MAX_LABEL_BYTES >> 20} MB; split it into several files"
                )
            return path.read_bytes()
        except OSError as error:
            raise FlawsmithError(f"{name} cannot be read: {error.strerror or error}") from None

    def read_text(self, name: str) -> str:
        """Return a text file, in UTF-8 or else the encoding that its bytes suggest."""
        return decode_text(self.read_bytes(name))

    def read_json(self, name: str) -> Any:  # noqa: ANN401 - JSON has any type
        """Return the content of a JSON file.

        Raises:
            FlawsmithError: if it is larger than 256 MB, nested too deeply or not JSON.
        """
        try:
            return parse_json(self.read_text(name))
        except (ValueError, RecursionError) as error:
            raise FlawsmithError(f"{name} is not readable JSON: {error}") from None

    def read_xml(self, name: str) -> Element:
        """Return the root of an XML file; entities and external references are refused.

        Raises:
            FlawsmithError: if it is larger than 256 MB, not XML or refers to anything outside.
        """
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import fromstring

        try:
            root: Element = fromstring(self.read_bytes(name), forbid_dtd=False)
        except DefusedXmlException as error:
            raise FlawsmithError(
                f"{name} defines or uses XML entities ({error}); remove them"
            ) from None
        except (ParseError, ValueError, LookupError, RecursionError) as error:
            raise FlawsmithError(f"{name} is not readable XML: {error}") from None
        return root

    def mentions(self, name: str, *keys: str) -> bool:
        """Tell whether a readable file contains every one of the quoted ``keys``."""
        try:
            data = self.read_bytes(name)
        except FlawsmithError:
            return False
        return all(f'"{key}"'.encode() in data for key in keys)

    def describe(self) -> str:
        """Return what is in the folder in one line, for messages."""
        suffixes = Counter(
            posixpath.splitext(name)[1].lower() or "no suffix" for name in self.files
        )
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5))
        folders = sorted({posixpath.dirname(name) or "." for name in self.files})
        return f"{kinds} in {listed(folders, 6)}"

    def _walk(self, unpack_to: Path | None) -> None:
        seen: set[str] = set()
        for parent, folders, names in os.walk(
            self.root, followlinks=True, onerror=self._note_unreadable
        ):
            here = decode_name(Path(parent).relative_to(self.root).as_posix())
            real = os.path.realpath(parent)
            if real in seen:
                self._odd("linked twice", here, "the folder is reached by a link; listed once")
                folders.clear()
                continue
            seen.add(real)
            if SCHEMA_FILE in names:
                self._odd("data set inside", here, "this defect data set was not imported again")
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            prefix = "" if here == "." else f"{here}/"
            for name in sorted(n for n in names if not n.startswith(".")):
                self._list(f"{prefix}{decode_name(name)}", Path(parent, name), unpack_to)

    def _list(self, name: str, path: Path, unpack_to: Path | None) -> None:
        """List a file, or the files in an archive; a pipe or a device would be waited for."""
        stamp = _stamp(path)
        if stamp is None:
            self._odd("no file", name, "a broken link, a pipe or a device; left out")
            return
        if unpack_to is not None and is_archive(path):
            self._read_archive(f"{name.rsplit('.', 1)[0]}/", path, unpack_to)
            return
        self._stamps[name] = stamp
        if os.fsencode(self.root / name) != os.fsencode(path):  # the name was in another encoding
            self._elsewhere[name] = path

    def _read_archive(self, prefix: str, path: Path, unpack_to: Path | None) -> None:
        def add(member: ArchiveMember) -> None:
            if f"{prefix}{member.name}" in self._elsewhere:
                self._odd("listed twice", f"{prefix}{member.name}", "the later file counts")
            self._elsewhere[f"{prefix}{member.name}"] = member.path

        if unpack_to is not None:
            self._archives[prefix] = _stamp(path)
            unpack(path, unpack_to / f"{len(self._elsewhere)}", add, self._odd)

    def _note_unreadable(self, error: OSError) -> None:
        where = os.path.relpath(error.filename, self.root) if error.filename else "."
        self._odd("unreadable folder", decode_name(where), f"{error.strerror}; left out")

    def _odd(self, kind: str, file: str, message: str) -> None:
        self.odd.append((kind, file, message))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return bytes and time of change of a regular file, None of anything else."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
