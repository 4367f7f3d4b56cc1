"""Zip archives, which are hostile until they are unpacked."""

import posixpath
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flawsmith.data.formats.text import decode_text, printable
from flawsmith.errors import FlawsmithError

MAX_MEMBERS = 1_000_000
MAX_RATIO = 250
"""Unpacked bytes for each packed one beyond `FREE_BYTES`; images pack by 1 to 30, bombs by 1000."""

FREE_BYTES = 64 << 20
RESERVED_BYTES = 256 << 20
"""Left free on the disk."""

_DAMAGE = (
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    IndexError,
    OverflowError,
    NotImplementedError,
)
"""What reading the directory of a damaged archive raises."""

_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class ArchiveMember:
    """A file of an archive: its name in it, and where it was unpacked."""

    name: str
    path: Path


Report = Callable[[str, str, str], None]
"""Called with kind, file and message of something odd."""


def is_archive(path: Path) -> bool:
    """Tell whether the file is a zip archive by its suffix."""
    return path.suffix.lower() == ".zip"


def unpack(
    archive: Path, folder: Path, add: Callable[[ArchiveMember], None], report: Report
) -> None:
    """Unpack the files of a zip archive into ``folder`` under numbers, whatever they are called.

    Links, names that lead out, encrypted files and archives in the archive are reported and left
    out. Names that are not in UTF-8 are decoded by what their bytes suggest.

    Raises:
        FlawsmithError: if it is no zip archive, a bomb, or the disk is too small for it.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [m for m in content.infolist() if not m.filename.endswith("/")]
            _require_sane(archive, members, folder)
            folder.mkdir(parents=True, exist_ok=True)
            for number, member in enumerate(members):
                name = _safe_name(archive, member, report)
                if name is None:
                    continue
                path = folder / f"{number:06d}{posixpath.splitext(name)[1][:12]}"
                if _unpack_member(archive, content, member, path, report):
                    add(ArchiveMember(name, path))
    except _DAMAGE as error:
        raise FlawsmithError(
            f"{printable(str(archive))} is no readable zip archive: {printable(str(error))}; "
            "repair it, or take it out of the folder"
        ) from None


def _require_sane(archive: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    total = sum(member.file_size for member in members)
    packed = archive.stat().st_size
    if len(members) > MAX_MEMBERS:
        raise FlawsmithError(
            f"{archive} has {len(members):,} files; at most {MAX_MEMBERS:,} are unpacked"
        )
    if total > FREE_BYTES + MAX_RATIO * packed:
        raise FlawsmithError(
            f"{archive} claims to unpack {packed:,} bytes to {total:,}, as a zip bomb does; "
            "unpack it yourself if you trust it, and import the folder"
        )
    free = shutil.disk_usage(_existing(folder)).free - RESERVED_BYTES
    if total > free:
        raise FlawsmithError(
            f"{archive} needs {total:,} bytes unpacked, {max(free, 0):,} are free beside "
            f"{folder.parent}; free some space or choose another place"
        )


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _safe_name(archive: Path, member: zipfile.ZipInfo, report: Report) -> str | None:
    """Return the member's path inside the archive, or None if it is left out."""
    raw = member.filename
    if not member.flag_bits & _UTF8_NAME:
        raw = decode_text(raw.encode("cp437", errors="replace"))
    name = posixpath.normpath(printable(raw).replace("\\", "/"))
    where = f"{printable(archive.name)}/{name}"
    if not raw:
        report("file without a name", where, "the archive gives it none; not unpacked")
        return None
    if name.startswith("/") or name.split("/")[0] in ("..", "") or name[1:2] == ":":
        report("path outside the archive", where, "it leads out of the archive; not unpacked")
        return None
    if stat.S_ISLNK(member.external_attr >> 16):
        report("link in an archive", where, "it is a link; not unpacked")
        return None
    if any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")):
        return None
    if member.flag_bits & _ENCRYPTED:
        report("encrypted file", where, "it needs a password; unpack the archive yourself")
        return None
    if is_archive(Path(name)):
        report("archive in an archive", where, "not unpacked; unpack the outer one yourself")
        return None
    return name


def _unpack_member(
    archive: Path, content: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, report: Report
) -> bool:
    """Write one member, at most as many bytes as it claims; tell whether it is whole."""
    left = member.file_size
    try:
        with content.open(member) as source, path.open("wb") as target:
            while chunk := source.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise zipfile.BadZipFile("it is larger than it claims")
                target.write(chunk)
        if left:
            raise zipfile.BadZipFile("it is shorter than it claims")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        where = f"{printable(archive.name)}/{printable(member.filename)}"
        report("damaged file", where, f"{printable(str(error))}; not unpacked")
        return False
    return True
