"""The three ways in which images come: from files, a watched folder, a stream; until a stop."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from types import FrameType
from typing import BinaryIO

from flawsmith.errors import FlawsmithError
from flawsmith.line.assembler import PartAssembler
from flawsmith.line.frames import read_frames
from flawsmith.line.heartbeat import Heartbeat
from flawsmith.line.image_archive import ImageArchive
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage, printable, printable_text
from flawsmith.line.part_pattern import PartPattern
from flawsmith.line.store.part_record import PartRecord
from flawsmith.line.watch import POLL_SECONDS, FolderWatch

MAX_WAITING_FRAMES = 2
"""Frames read ahead; the sender of more is held up, so that memory stays what it is."""


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or a termination signal sets; a second one interrupts at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class PartFiles:
    """The files of one part.

    Attributes:
        files: path and view of each.
        problem: why they cannot be inspected; None if they can.
    """

    part: str
    files: list[tuple[Path, str]] = field(default_factory=list)
    problem: str | None = None


def group_files(paths: Sequence[Path], pattern: PartPattern | None) -> list[PartFiles]:
    """Return the parts of these files in the order of their first ones.

    Without a pattern every file is a part, named as the file is.
    """
    if pattern is None:
        return [PartFiles(printable_text(path.stem), [(path, "")]) for path in paths]
    parts: dict[str, PartFiles] = {}
    for path in paths:
        names = pattern.names(path)
        if names is None:
            name = printable(path)
            problem = f"its name does not fit --part-pattern '{pattern.text}'"
            parts[name] = PartFiles(name, [(path, "")], problem)
        else:
            part = parts.setdefault(names[0], PartFiles(names[0]))
            part.files.append((path, names[1]))
    return list(parts.values())


class LineRun:
    """Inspects what comes and tells of every part, until there is no more or a stop is asked for.

    Args:
        inspector: inspects and stores.
        tell: told of each part, after it is stored.
        heartbeat: shows that the loop turns.
        stop: set when the part that is being inspected is to be the last.
    """

    def __init__(
        self,
        inspector: Inspector,
        tell: Callable[[OpenPart, PartRecord], None],
        heartbeat: Heartbeat,
        stop: threading.Event,
    ) -> None:
        self._inspector = inspector
        self._tell = tell
        self._heartbeat = heartbeat
        self._stop = stop

    def files(self, parts: Sequence[PartFiles]) -> int:
        """Inspect files; return how many parts were concluded before a stop."""
        for done, files in enumerate(parts):
            if self._stop.is_set():
                return done
            self._heartbeat.beat(waiting=len(parts) - done)
            part = OpenPart(files.part)
            for path, view in files.files:
                image = PartImage.from_file(path, part=files.part, view=view)
                if files.problem:
                    image = image.with_problem(files.problem)
                self._inspector.look(image, part)
            self._done(part, self._inspector.conclude(part))
        return len(parts)

    def folder(self, watch: FolderWatch, *, warn: Callable[[str], None]) -> None:
        """Inspect what comes into a folder.

        Args:
            watch: the folder; parts that wait for a view at a stop are taken up again by the next
                run, as their files are still there.
            warn: told when the folder cannot be looked into, once.
        """

        def go_on() -> bool:
            self._heartbeat.beat(waiting=watch.waiting, problem=watch.problem)
            return not self._stop.is_set()

        problem = None
        while not self._stop.is_set():
            for part, record in watch.poll(go_on):
                self._done(part, record)
            if watch.problem and watch.problem != problem:
                warn(watch.problem)
            problem = watch.problem
            go_on()
            self._stop.wait(POLL_SECONDS)

    def stream(
        self, stream: BinaryIO, assembler: PartAssembler, archive: ImageArchive | None = None
    ) -> None:
        """Inspect the frames of a stream; at its end, or a stop, no part is left without verdict.

        Args:
            stream: of frames.
            assembler: makes parts of them.
            archive: keeps them, so that they can be reviewed and replayed.

        Raises:
            FlawsmithError: if the stream is no longer one of frames, or one cannot be kept; parts
                that were open by then are concluded first.
        """
        frames: Queue[PartImage | FlawsmithError | None] = Queue(MAX_WAITING_FRAMES)
        reading = (stream, frames, archive, self._stop)
        threading.Thread(target=_read_into, args=reading, daemon=True).start()
        taken: PartImage | FlawsmithError | None = None
        while True:
            stopping = self._stop.is_set()
            try:
                taken = frames.get(timeout=POLL_SECONDS)
            except Empty:
                if stopping:
                    break
            else:
                if not isinstance(taken, PartImage):
                    break
                # Also after a stop: what was taken from the stream, nobody will send again.
                self._conclude(assembler.add(taken))
            for found in assembler.overdue():
                self._conclude(found)
            self._heartbeat.beat(waiting=len(assembler))
        for found in assembler.overdue(all_of_them=True):
            self._conclude(found)
        if isinstance(taken, FlawsmithError):
            raise taken

    def _conclude(self, found: tuple[OpenPart, PartRecord] | None) -> None:
        if found is not None:
            self._done(*found)

    def _done(self, part: OpenPart, record: PartRecord) -> None:
        self._tell(part, record)
        self._heartbeat.part_done(record.id)


def _read_into(
    stream: BinaryIO,
    frames: Queue[PartImage | FlawsmithError | None],
    archive: ImageArchive | None,
    stop: threading.Event,
) -> None:
    """Put frames into a queue, then None or what went wrong; after a stop only the one in hand."""
    try:
        for image in read_frames(stream):
            frames.put(archive.keep(image) if archive is not None else image)
            if stop.is_set():
                break
        frames.put(None)
    except FlawsmithError as error:
        frames.put(error)
    except (OSError, ValueError, MemoryError) as error:  # ValueError: closed meanwhile
        frames.put(FlawsmithError(f"the stream of frames cannot be read: {error}"))
