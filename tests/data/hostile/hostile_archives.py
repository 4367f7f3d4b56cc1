"""Zip archives that want out, are too large, or are damaged."""

import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from fuzz_files import picture
from hostile_registry import imported, put, refused

GOOD = {"OK/a.png": picture(0), "dent/b.png": picture(1)}


def zipped(files: Mapping[str, bytes], *, packed: bool = True) -> bytes:
    """Return an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if packed else 0) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED if packed else 0)
    return stream.getvalue()


@imported("zip slip", {"path outside the archive": 3}, images=2)
def slip(folder: Path) -> None:
    names = ("../evil.png", "/tmp/evil.png", "C:\\evil.png")
    put(folder, {"lot.zip": zipped({**GOOD, **{name: picture(3) for name in names}})})


@refused("zip bomb", "zip bomb", "lot.zip", "unpack it yourself")
def bomb(folder: Path) -> None:
    put(folder, {"lot.zip": zipped({f"{i}.png": bytes(40 << 20) for i in range(3)})})


@refused("archive that claims too little", "has no files", "lot.zip/a.png", "not unpacked")
def liar(folder: Path) -> None:
    data = bytearray(zipped({"a.png": bytes(5000)}))
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (10).to_bytes(4, "little")
    put(folder, {"lot.zip": bytes(data)})


@imported("file without a name in an archive", {"file without a name": 1}, images=2)
def nameless(folder: Path) -> None:
    data = zipped({**GOOD, "qz": picture(2)})
    put(folder, {"lot.zip": data.replace(b"qz", b"\0z")})


@refused("archive of a later version", "no readable zip archive", "zip file version 25.5")
def later(folder: Path) -> None:
    data = bytearray(zipped(GOOD))
    data[data.find(b"PK\x01\x02") + 6] = 255
    put(folder, {"lot.zip": bytes(data)})


@imported("nested archive", {"archive in an archive": 1}, images=2)
def nested(folder: Path) -> None:
    put(folder, {"lot.zip": zipped({**GOOD, "in.zip": zipped(GOOD)})})


@imported("encrypted file in an archive", {"encrypted file": 1}, images=1,
          options={"format": "class_folders"})  # fmt: skip
def encrypted(folder: Path) -> None:
    data = bytearray(zipped(GOOD))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + offset] |= 1
    put(folder, {"lot.zip": bytes(data)})


@refused("truncated archive", "lot.zip", "no readable zip archive", "repair it")
def truncated(folder: Path) -> None:
    put(folder, {**GOOD, "lot.zip": zipped(GOOD)[:-30]})


@refused("archive of zero bytes", "lot.zip", "no readable zip archive", "repair it")
def empty(folder: Path) -> None:
    put(folder, {**GOOD, "lot.zip": b""})


@imported("damaged file in an archive", {"damaged file": 1}, images=1,
          options={"format": "class_folders"})  # fmt: skip
def damaged(folder: Path) -> None:
    data = bytearray(zipped(GOOD, packed=False))
    data[60] ^= 255
    put(folder, {"lot.zip": bytes(data)})


@imported("link in an archive", {"link in an archive": 1}, images=2)
def link(folder: Path) -> None:
    stream = io.BytesIO(zipped(GOOD))
    with zipfile.ZipFile(stream, "a") as archive:
        entry = zipfile.ZipInfo("dent/passwd.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    put(folder, {"lot.zip": stream.getvalue()})


@imported("two files of one name in an archive", {"listed twice": 1}, images=2)
def twice(folder: Path) -> None:
    stream = io.BytesIO(zipped({"OK/a.png": b"x", "dent/b.png": picture(1)}))
    with zipfile.ZipFile(stream, "a") as archive:
        entry = zipfile.ZipInfo("OK/../OK/a.png")
        archive.writestr(entry, picture(0))
    put(folder, {"lot.zip": stream.getvalue()})


@imported("archive as the source", {}, images=2)
def source(folder: Path) -> Path:
    put(folder, {"lot.zip": zipped(GOOD)})
    return folder / "lot.zip"


@refused("text called .zip as the source", "lot.zip", "no readable zip archive")
def text(folder: Path) -> Path:
    put(folder, {"lot.zip": b"I am no archive"})
    return folder / "lot.zip"


@imported("names with control characters in an archive", {}, images=2)
def controls(folder: Path) -> None:
    put(folder, {"lot.zip": zipped({"OK/a\n\x1b[2J.png": picture(0), "dent/b.png": picture(1)})})
