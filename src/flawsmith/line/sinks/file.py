"""``file:results.jsonl``: one JSON object a line, on the disk before it counts as delivered."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flawsmith.errors import FlawsmithError
from flawsmith.line.sinks.base import SINKS, Message, Sink
from flawsmith.storage import sync_folder


@SINKS.register("file")
class FileSink(Sink):
    """Appends lines; a file that is moved away is made anew.

    After a crash the last line may be incomplete: it is closed with a line break, and its message
    comes again.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path or parts.path.endswith("/"):
            raise FlawsmithError(
                f"no file in the sink {url}; expected file:results.jsonl or "
                "file:///var/lib/line/results.jsonl"
            )
        self._path = Path(unquote(parts.path)).absolute()
        if not self._path.parent.is_dir():
            raise FlawsmithError(f"there is no folder {self._path.parent} for the sink {url}")
        self.name = f"file://{self._path}"

    def deliver(self, message: Message) -> None:
        """Append the line; what could be written only in part is taken back."""
        new = not self._path.exists()
        with self._path.open("ab+", buffering=0) as stream:
            end = stream.seek(0, os.SEEK_END)
            line = message.body + b"\n"
            if end:
                stream.seek(end - 1)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            try:
                written = stream.write(line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes could be written")
                os.fsync(stream.fileno())
            except OSError:
                with suppress(OSError):  # the first error says more
                    os.ftruncate(stream.fileno(), end)
                raise
        if new:
            sync_folder(self._path.parent)
