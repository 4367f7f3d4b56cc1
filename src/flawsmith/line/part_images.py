"""Images on their way to inspection: read once, hashed, decoded; an error becomes a problem."""

import hashlib
import io
import os
import stat
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from flawsmith.data.images import MAX_BYTES, ImageArray, decode_image
from flawsmith.errors import FlawsmithError
from flawsmith.line.results import ImageInspection


@dataclass(frozen=True)
class PartImage:
    """One image of a part, as far as it has come.

    Attributes:
        name: path or name, printable; what the results store knows it by.
        sha256: of ``data``; empty if there was nothing to read.
        data: encoded bytes; empty after decoding, so that memory holds an image once.
        pixels: None before decoding, or with a problem.
        problem: why it cannot be inspected.
        seconds: durations by stage, of a monotonic clock.
    """

    name: str
    part: str
    view: str = ""
    sha256: str = ""
    data: bytes = b""
    pixels: ImageArray | None = None
    problem: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str, part: str, view: str = "") -> "PartImage":
        """Return an image that came over a wire."""
        return cls(name, part, view, hashlib.sha256(data).hexdigest(), data)

    @classmethod
    def from_file(cls, path: Path, *, part: str, view: str = "") -> "PartImage":
        """Read a file; one that cannot be read is an image with a problem."""
        began = time.perf_counter()
        name = printable(path)
        try:
            data = _read_file(path)
        except OSError as error:
            problem = f"{name} cannot be read: {error.strerror or error}"
            return cls(name, part, view, problem=problem)
        except FlawsmithError as error:
            return cls(name, part, view, problem=str(error))
        image = cls.from_bytes(data, name=name, part=part, view=view)
        return replace(image, seconds={"read": time.perf_counter() - began})

    def decoded(self) -> "PartImage":
        """Return the image with its pixels, or with the reason why it has none."""
        if self.problem or self.pixels is not None:
            return self
        began = time.perf_counter()
        try:
            pixels = decode_image(self.data, self.name)
        except FlawsmithError as error:
            return self.with_problem(str(error))
        except MemoryError:
            return self.with_problem(f"{self.name} needs more memory than there is")
        seconds = {**self.seconds, "decode": time.perf_counter() - began}
        return replace(self.with_pixels(pixels), seconds=seconds)

    def with_pixels(self, pixels: ImageArray) -> "PartImage":
        """Return the image with pixels that need no decoding."""
        return replace(self, data=b"", pixels=pixels)

    def with_problem(self, problem: str) -> "PartImage":
        """Return the image as one that cannot be inspected."""
        return replace(self, data=b"", pixels=None, problem=problem)

    def failed(self, problem: str, model: str) -> ImageInspection:
        """Return the inspection of an image that could not be inspected."""
        height, width = self.pixels.shape[:2] if self.pixels is not None else (0, 0)
        return ImageInspection(
            image=self.name, sha256=self.sha256, part=self.part, view=self.view, model=model,
            width=width, height=height, problem=problem, seconds=self.seconds,
        )  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What an encoded image says of itself, before anything is decoded.

    Attributes:
        format: as Pillow calls it, such as ``PNG``.
        size: width and height that it claims.
    """

    format: str
    size: tuple[int, int]

    @classmethod
    def read(cls, data: bytes) -> "Header | None":
        """Return the header of an encoded image; None if there is no readable one."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image.open(io.BytesIO(data))
                return cls(image.format or "", image.size)
        except Exception:  # Pillow raises nearly every type on damaged files; decoding says which
            return None


def printable(path: Path) -> str:
    """Return the absolute path as text that every database and terminal can take."""
    return printable_text(str(path.absolute()))


def printable_text(name: str) -> str:
    """Return a name with everything escaped that is no character, or controls a terminal."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _read_file(path: Path) -> bytes:
    """Return the content of a regular file; a pipe or a device could wait or go on for ever."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise FlawsmithError(f"{printable(path)} is no file")
        if found.st_size > MAX_BYTES:
            raise FlawsmithError(
                f"{printable(path)} has {found.st_size:,} bytes; at most {MAX_BYTES:,} are read"
            )
        return stream.read(found.st_size)
