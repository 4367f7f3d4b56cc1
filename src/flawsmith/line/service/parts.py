"""Parts of the service: from posted images to stored verdicts; nothing accepted is forgotten."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from flawsmith.errors import FlawsmithError
from flawsmith.line.assembler import VIEW_TIMEOUT_SECONDS
from flawsmith.line.image_archive import ImageArchive
from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import Header, PartImage
from flawsmith.line.results import ImageInspection
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import PartRecord
from flawsmith.line.store.tables import PartRow
from flawsmith.line.store.waiting import keep_waiting, waiting_views

MAX_OPEN = 1000
"""Parts that wait for a view, or for a store that works again; more are not accepted."""

MAX_VIEWS = 100
"""Images of one part; it is concluded when it has so many."""

RETRY_SECONDS = 5.0
"""Between attempts to store a part after the store has failed."""

UNREADABLE, TOO_LARGE = "unreadable", "too large"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of an image.

    Attributes:
        record: of its part, as it is stored; None while views are missing.
        missing: those views.
        seen: what was found in this image; None if it was stored before.
        refusal: why it could not be inspected at all: `UNREADABLE`, `TOO_LARGE` or empty.
        repeated: the same image of the same part and view is stored already; this is that result.
    """

    record: PartRecord | None
    missing: tuple[str, ...] = ()
    seen: ImageInspection | None = None
    refusal: str = ""
    repeated: bool = False


@dataclass
class _Waiting:
    """A part that is not stored yet.

    Attributes:
        since: when its first image was taken up, on a monotonic clock.
        last: when its last one was.
        refusals: sha256 -> refusal, of those that have one.
        kept: how many of its views the store keeps until it has the part.
        not_before: after a store that failed: when to try again.
    """

    part: OpenPart
    since: float
    last: float
    refusals: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    not_before: float | None = None


class ServiceParts:
    """Collects the views of parts, and keeps each part until the store has it.

    Unlike `PartAssembler`, which reads images that are still there after a stop, it keeps the views
    that wait in the store, outlives a store that fails, and knows an image that a client sends
    again. One thread uses it.

    Args:
        inspector: inspects, decides and stores.
        max_pixels: of an image; a larger one is stored as not inspected.
        archive: keeps the images, so that they can be reviewed and replayed.
        stored: called with each part that is stored.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        inspector: Inspector,
        *,
        max_pixels: int,
        archive: ImageArchive | None = None,
        stored: Callable[[PartRecord], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inspector = inspector
        self._max_pixels = max_pixels
        self._archive = archive
        self._announce = stored
        self._clock = clock
        self._open: dict[str, _Waiting] = {}
        self.expected = inspector.rules.expected_views
        self.timeout = inspector.rules.timeout_seconds or VIEW_TIMEOUT_SECONDS

    def __len__(self) -> int:
        """Return how many parts are not stored yet."""
        return len(self._open)

    def add(self, image: PartImage) -> Outcome:
        """Inspect an image, and conclude its part if nothing is missing any more.

        Raises:
            FlawsmithError: if the image could not be kept, and is not inspected; or if the view or
                its part could not be stored: it stays, and is tried again.
        """
        number = self._inspector.find_copy(image)
        if number is not None:
            return Outcome(self._inspector.store.get(number), repeated=True)
        if self._archive is not None:
            image = self._archive.keep(image)
        image = self._inspector.as_whole_part(image)
        now = self._clock()
        if image.part not in self._open:
            self._open[image.part] = _Waiting(OpenPart(image.part), now, now)
        waiting = self._open[image.part]
        seen = self._look(image, waiting)
        refusal = waiting.refusals.get(image.sha256, "")
        names = {view.view for view in waiting.part.views}
        missing = tuple(view for view in self.expected if view not in names)
        if missing and len(waiting.part.views) < MAX_VIEWS:
            self._keep(waiting)
            return Outcome(None, missing, seen, refusal)
        return Outcome(self._conclude(waiting), (), seen, refusal)

    def restore(self) -> None:
        """Take up the parts that an earlier process of the same name was waiting for.

        They wait once more as long: nobody could send the other views meanwhile.

        Raises:
            FlawsmithError: if the store cannot be read.
        """
        if self._inspector.holder is None:
            return
        now = self._clock()
        for view in waiting_views(self._inspector.store, self._inspector.holder):
            found = view.inspection
            if found.part not in self._open:
                part = OpenPart(found.part, started_at=view.received_at)
                self._open[found.part] = _Waiting(part, now, now)
            waiting = self._open[found.part]
            if any((v.view, v.sha256) == (found.view, found.sha256) for v in waiting.part.views):
                continue  # kept twice, where the answer to the first attempt was lost
            waiting.part.views.append(found)
            waiting.part.pixels.append(None)
            waiting.part.busy += sum(found.seconds.values())
            waiting.kept += 1
            if view.refusal:
                waiting.refusals[found.sha256] = view.refusal

    def settle(self, *, everything: bool = False) -> list[str]:
        """Conclude the parts that have waited too long, or could not be stored before.

        Args:
            everything: no more images will come.

        Returns:
            Names of parts that could not be stored.
        """
        failed = []
        for name, waiting in list(self._open.items()):
            now = self._clock()
            if waiting.not_before is not None:
                due = now >= waiting.not_before
            else:
                due = now - waiting.since >= self.timeout
            if due or everything:
                try:
                    self._conclude(waiting)
                except FlawsmithError as error:
                    _log.error("part %s is not stored: %s", name, error)
                    failed.append(name)
                    if not everything:
                        break  # the others would fail as slowly
        return failed

    def _keep(self, waiting: _Waiting) -> None:
        """Store the views of a part that waits, before anyone is told that they were taken."""
        store, holder = self._inspector.store, self._inspector.holder
        if holder is None:
            return
        for view in waiting.part.views[waiting.kept :]:
            keep_waiting(store, holder, view, waiting.refusals.get(view.sha256, ""))
            waiting.kept += 1

    def _look(self, image: PartImage, waiting: _Waiting) -> ImageInspection:
        for view in waiting.part.views:
            if (view.view, view.sha256) == (image.view, image.sha256):  # sent again
                return view
        waiting.last = self._clock()
        refusal, image = self._read(image)
        if refusal:
            waiting.refusals[image.sha256] = refusal
        return self._inspector.look(image, waiting.part)

    def _read(self, image: PartImage) -> tuple[str, PartImage]:
        """Decode an image whose header claims an allowed size; return why not, and the image."""
        header = Header.read(image.data)
        if header is not None and math.prod(header.size) > self._max_pixels:
            width, height = header.size
            text = (
                f"{image.name} claims {width} x {height} pixels; this service inspects at most "
                f"{self._max_pixels:,}"
            )
            return TOO_LARGE, replace(image, data=b"", problem=text)
        image = image.decoded()
        return UNREADABLE if image.problem else "", image

    def _conclude(self, waiting: _Waiting) -> PartRecord:
        part = waiting.part
        waited = waiting.last - waiting.since if len(part.views) > 1 else None
        try:
            record = self._inspector.conclude(part, waited_seconds=waited)
        except FlawsmithError:
            waiting.not_before = self._clock() + RETRY_SECONDS
            raise
        del self._open[part.part]
        self._announce(record)
        return record


def newest_number(store: Store, part: str) -> int | None:
    """Return the sequence number of a part's last verdict, None if there is none."""
    with store.reading() as session:
        return session.scalar(sa.select(sa.func.max(PartRow.id)).where(PartRow.part == part))
