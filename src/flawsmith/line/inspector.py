"""The one place where an image becomes findings, a verdict and a record in the results store."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Protocol

from flawsmith.data.images import ImageArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.findings import Findings
from flawsmith.line.brightness import brightness
from flawsmith.line.part_images import PartImage
from flawsmith.line.results import ImageInspection, PartVerdict
from flawsmith.line.store import Store
from flawsmith.line.store.part_record import PartRecord
from flawsmith.line.store.same_images import first_with_image


class Model(Protocol):
    """What inspects the pixels of an image; `Runtime` is the one of production."""

    def inspect(self, image: ImageArray) -> Findings:
        """Return what is in the image, or raise a `FlawsmithError`."""
        ...


class PartRules(Protocol):
    """What decides a part; `AcceptanceRules` is the one of production."""

    @property
    def identity(self) -> str:
        """What tells these rules from others; every verdict carries it."""
        ...

    @property
    def expected_views(self) -> tuple[str, ...]:
        """Names of the views of every part; empty where they differ."""
        ...

    @property
    def timeout_seconds(self) -> float | None:
        """How long a part waits for its views after the first."""
        ...

    def decide(
        self,
        part: str,
        views: Sequence[ImageInspection],
        *,
        missing_ok: bool = False,
        waited_seconds: float | None = None,
    ) -> PartVerdict:
        """Return the verdict of a part."""
        ...


RECENT_IMAGES = 1024
"""Of which the content is remembered: those of parts that wait for a view are not stored yet."""

Looked = tuple[PartImage, ImageInspection]
"""An image, decoded, and what was found in it."""

AuditDraw = Callable[[PartVerdict, Sequence[ImageInspection]], float | None]
"""The share of passed parts that are audited if the lot falls on this part, else None."""


@dataclass
class OpenPart:
    """A part whose images are being inspected.

    Attributes:
        began: monotonic time at which its first image was taken up.
        busy: seconds that its images have taken, without the waiting for other views.
        pixels: of each inspected image, where an overlay is to be drawn of it.
    """

    part: str
    began: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    busy: float = 0.0
    views: list[ImageInspection] = field(default_factory=list)
    pixels: list[ImageArray | None] = field(default_factory=list)


class Inspector:
    """Inspects images of parts, decides the parts, and stores them before anyone is told.

    Args:
        model: finds regions.
        identity: of the exported model.
        rules: decide.
        store: keeps everything.
        deadline_seconds: what the images of one part may take together, by a monotonic clock; one
            that is not ready by then has the problem "timed out". None waits for ever.
        sinks: names of those that are told of each verdict.
        audit: draws passed parts for review.
        once: an image whose path and content are stored already is refused, see `Store.record`.
        holder: name of the service that waits for views, see `store.waiting`; None waits in memory.
        keep_pixels: for overlays.
    """

    def __init__(
        self,
        model: Model,
        identity: str,
        rules: PartRules,
        store: Store,
        *,
        deadline_seconds: float | None = None,
        sinks: Sequence[str] = (),
        audit: AuditDraw | None = None,
        once: bool = False,
        holder: str | None = None,
        keep_pixels: bool = False,
    ) -> None:
        self.model = model
        self.identity = identity
        self.rules = rules
        self.store = store
        self.holder = holder
        self._deadline = deadline_seconds
        self._sinks = sinks
        self._audit = audit
        self._once = once
        self._keep_pixels = keep_pixels
        self._recent: dict[str, tuple[str, str]] = {}
        self._worker = _Worker() if deadline_seconds is not None else None

    def look(
        self, image: PartImage, part: OpenPart, *, before: int | None = None
    ) -> ImageInspection:
        """Inspect one image and add the answer to its part; whatever goes wrong is in the answer.

        Args:
            image: decoded or not; what reading has taken counts for the deadline.
            part: that it belongs to.
            before: number of its result where it is inspected again; None: it is new.
        """
        began = time.monotonic()
        part.busy += sum(image.seconds.values())
        if image.problem:
            found = image.failed(image.problem, self.identity)
        elif self._worker is None or self._deadline is None:
            image, found = self._inspected(image)
        else:
            task = self._worker.submit(lambda: self._inspected(image))
            ready = task.wait(self._deadline - part.busy)
            if ready is None:
                text = f"timed out: the part was not inspected within {self._deadline:g} s"
                found = image.failed(text, self.identity)
            else:
                image, found = ready
        warnings = [*found.warnings, *self._same_image(image, before)]
        found = found.model_copy(update={"warnings": warnings})
        part.busy += time.monotonic() - began
        part.views.append(found)
        part.pixels.append(image.pixels if self._keep_pixels else None)
        return found

    def conclude(self, part: OpenPart, *, waited_seconds: float | None = None) -> PartRecord:
        """Decide a part and store it; return what is stored, which is what may be announced.

        Args:
            part: with all images that there are.
            waited_seconds: from its first to its last image, where images come one by one.

        Raises:
            FlawsmithError: if it could not be stored.
        """
        began = time.monotonic()
        verdict = self.rules.decide(part.part, part.views, waited_seconds=waited_seconds)
        number = self.store.record(
            verdict,
            part.views,
            started_at=part.started_at,
            seconds=part.busy + (time.monotonic() - began),
            audit_rate=self._audit(verdict, part.views) if self._audit else None,
            sinks=self._sinks,
            once=self._once,
            holder=self.holder,
        )
        return self.store.get(number)

    def find_copy(self, image: PartImage) -> int | None:
        """Return the result in which this image was judged by the same model and rules."""
        judges = self.identity, self.rules.identity
        return self.store.find_copy(image.part, image.view, image.sha256, judges)

    def as_whole_part(self, image: PartImage) -> PartImage:
        """Return an image that is to be judged alone, as the rules name no views.

        It has a problem if another view of its part was judged already: verdicts of single views
        are none of the part, and the last one would stand for all.
        """
        if self.rules.expected_views or not image.view or image.problem:
            return image
        other = self.store.find_other_view(image.part, image.view)
        if other is None:
            return image
        number, view = other
        return image.with_problem(
            f"view {image.view} of a part whose view {view} was judged alone (result {number}): "
            "the rules name no views, so that none is waited for; name them, as views = "
            "['...', '...'] under [part]"
        )

    def _same_image(self, image: PartImage, before: int | None) -> Iterator[str]:
        """Yield a warning if another part had this very image: noise makes no two alike.

        A camera that stands still would pass part after part by one picture of a good one.
        """
        if not image.sha256:
            return
        first = first_with_image(self.store, image.sha256, before=before)
        if before is None:
            recent = self._recent.setdefault(image.sha256, (image.part, image.view))
            first = first or recent
            if len(self._recent) > RECENT_IMAGES:
                del self._recent[next(iter(self._recent))]
        if first is not None and first[0] != image.part:
            part, view = first
            yield (
                f"the same image, byte for byte, as {f'view {view} ' if view else ''}of part "
                f"{part}; a camera that stands still gives such images"
            )

    def inspect_part(self, name: str, images: Sequence[PartImage]) -> PartRecord:
        """Inspect all images of a part, decide and store it.

        Raises:
            FlawsmithError: if it could not be stored; of what is wrong with an image the verdict
                tells.
        """
        part = OpenPart(name)
        for image in images:
            self.look(image, part)
        return self.conclude(part)

    def _inspected(self, image: PartImage) -> Looked:
        image = image.decoded()
        if image.problem or image.pixels is None:
            return image, image.failed(image.problem or "it has no pixels", self.identity)
        try:
            findings = self.model.inspect(image.pixels)
        except FlawsmithError as error:
            return image, image.failed(str(error), self.identity)
        except Exception as error:  # whatever a library raises, the line goes on and nothing passes
            logging.getLogger(__name__).exception("inspection of %s", image.name)
            text = f"the inspection failed: {type(error).__name__}: {error}"
            return image, image.failed(text, self.identity)
        mean, spread = brightness(image.pixels)
        return image, ImageInspection(
            image=image.name, sha256=image.sha256, part=image.part, view=image.view,
            model=self.identity, width=findings.width, height=findings.height,
            regions=findings.regions, novelty=findings.novelty, warnings=findings.warnings,
            mean=mean, spread=spread, seconds={**image.seconds, **findings.seconds},
        )  # fmt: skip


class _Task:
    """One image for another thread, and a wait for it that ends."""

    def __init__(self, work: Callable[[], Looked]) -> None:
        self._work = work
        self._ready = threading.Event()
        self._answer: Looked | None = None
        self._abandoned = False

    def run(self) -> None:
        """Do the work, unless nobody waits for it any more."""
        if not self._abandoned:
            self._answer = self._work()
            self._ready.set()

    def wait(self, seconds: float) -> Looked | None:
        """Return the answer, or None if it is not there in time."""
        if self._ready.wait(max(seconds, 0.0)):
            return self._answer
        self._abandoned = True
        return None


class _Worker:
    """A thread that does one task after the other; it never keeps the process alive."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_Task] = SimpleQueue()
        threading.Thread(target=self._run, name="inspection", daemon=True).start()

    def submit(self, work: Callable[[], Looked]) -> _Task:
        task = _Task(work)
        self._tasks.put(task)
        return task

    def _run(self) -> None:
        while True:
            self._tasks.get().run()
