"""A folder into which images come: each is inspected once, also across a crash.

By looking again and again, not by notices of the operating system: those do not come from a
network share. Whether an image has been handled is what the results store says, and nothing else,
so that a process that was killed goes on where the store ends.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flawsmith.data.images import is_image_file
from flawsmith.errors import FlawsmithError
from flawsmith.line.assembler import PartAssembler
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage, printable
from flawsmith.line.part_pattern import PartPattern
from flawsmith.line.store.part_record import PartRecord

POLL_SECONDS = 0.25
SETTLE_SECONDS = 0.5
PATIENCE_SECONDS = 10.0


@dataclass
class _Seen:
    """A file as it was when the folder was last looked at.

    Attributes:
        version: size and time of the last change; only compared for equality, so that no clock
            matters, neither this machine's nor the server's.
        since: monotonic time since when it has had this version.
        next_try: monotonic time before which it is not read.
        done: it needs no further look with this version.
    """

    version: tuple[int, int]
    since: float
    next_try: float
    done: bool = False


class FolderWatch:
    """Images of one folder, without its subfolders' unless the pattern has folders.

    A file is taken up once size and time of change have stayed the same for a while and it can be
    decoded; one that stays undecodable for longer is taken for damaged, which is REVIEW.

    Args:
        folder: to look into.
        inspector: with ``once``, so that a second process on the same folder is noticed.
        pattern: part and view from the path; an image that it does not fit is REVIEW.
        settle_seconds: how long a file has to stay the same.
        patience_seconds: how long it may stay undecodable after its last change.
        view_timeout_seconds: how long a part waits for its views.
        clock: monotonic seconds.
        on_copy: told of an image that is a copy of one that its part has already.

    Attributes:
        problem: why the folder could not be looked into the last time; None if it could.

    Raises:
        FlawsmithError: if there is no such folder, or nobody says which views a part has.
    """

    def __init__(
        self,
        folder: Path,
        inspector: Inspector,
        pattern: PartPattern,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        view_timeout_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_copy: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not folder.is_dir():
            raise FlawsmithError(f"there is no folder {folder} to watch")
        if pattern.has_view and not inspector.rules.expected_views:
            raise FlawsmithError(
                f"--part-pattern '{pattern.text}' tells views apart, but nobody says which views "
                "a part has: name them in the rules, as views = ['...', '...'] under [part]"
            )
        self._folder = folder
        self._inspector = inspector
        self._pattern = pattern
        self._settle = settle_seconds
        self._patience = patience_seconds
        self._clock = clock
        self._on_copy = on_copy
        self._assembler = PartAssembler(
            inspector, timeout_seconds=view_timeout_seconds, clock=clock
        )
        self._seen: dict[Path, _Seen] = {}
        self.problem: str | None = None

    @property
    def waiting(self) -> int:
        """Files that are not settled, and parts that wait for a view."""
        return sum(not seen.done for seen in self._seen.values()) + len(self._assembler)

    def poll(
        self, go_on: Callable[[], bool] = lambda: True
    ) -> Iterator[tuple[OpenPart, PartRecord]]:
        """Look into the folder once; yield each part that is complete, or has waited too long.

        Args:
            go_on: asked before each file; after a False the rest waits for the next look.

        Raises:
            FlawsmithError: if the store cannot keep a verdict.
        """
        for path in self._settled():
            if not go_on():
                return
            found = self._take_up(path)
            if found is not None:
                yield found
        yield from self._assembler.overdue()

    def _settled(self) -> list[Path]:
        """Return the files that may be read now, the oldest change first."""
        now = self._clock()
        try:
            versions = dict(self._list(self._folder, self._pattern.depth))
        except OSError as error:  # a share that is away comes back
            self.problem = f"cannot look into {self._folder}: {error.strerror or error}"
            return []
        self.problem = None
        for path in self._seen.keys() - versions.keys():
            del self._seen[path]
        for path, version in versions.items():
            seen = self._seen.get(path)
            if seen is None or seen.version != version:
                self._seen[path] = _Seen(version, now, now + self._settle)
        ready = [p for p, s in self._seen.items() if not s.done and now >= s.next_try]
        return sorted(ready, key=lambda path: (self._seen[path].version[1], path))

    def _list(self, folder: Path, depth: int) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Yield the image files of a folder, ``depth`` levels below it, with their version."""
        with os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                if depth and entry.is_dir(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # gone since
                        yield from self._list(path, depth - 1)
                elif not depth and is_image_file(path):
                    with suppress(FileNotFoundError):  # gone since, or a link to nowhere
                        found = entry.stat()
                        yield path, (found.st_size, found.st_mtime_ns)

    def _take_up(self, path: Path) -> tuple[OpenPart, PartRecord] | None:
        seen = self._seen[path]
        names = self._pattern.names(path)
        part, view = names or (printable(path), "")
        image = PartImage.from_file(path, part=part, view=view)
        try:
            found = path.stat()
        except OSError:  # gone since; the next look tells
            return None
        if (found.st_size, found.st_mtime_ns) != seen.version:
            return None
        if self._assembler.holds(image) or self._is_stored(image):
            seen.done = True
            return None
        image = image.decoded()
        now = self._clock()
        if image.problem and now - seen.since < self._patience:
            # It may have its full size already while its content is still on the way.
            seen.next_try = now + self._settle
            return None
        seen.done = True
        if names is None:
            problem = f"its name does not fit --part-pattern '{self._pattern.text}'"
            return self._assembler.add(image.with_problem(problem), alone=True)
        return self._assembler.add(image)

    def _is_stored(self, image: PartImage) -> bool:
        store = self._inspector.store
        if store.handled(image.name, image.sha256):
            return True
        number = store.find_copy(image.part, image.view, image.sha256)
        if number is not None:
            self._on_copy(f"{image.name} is a copy of an image of result {number}; left out")
        return number is not None
