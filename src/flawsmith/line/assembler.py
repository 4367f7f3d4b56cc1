"""Parts whose views come one by one: complete, or given up when they have waited too long."""

import time
from collections.abc import Callable, Iterator

from flawsmith.line.inspector import Inspector, OpenPart
from flawsmith.line.part_images import PartImage
from flawsmith.line.store.part_record import PartRecord

VIEW_TIMEOUT_SECONDS = 30.0
"""How long a part waits for its views where neither the rules nor the user say it."""


class PartAssembler:
    """Inspects images as they come and concludes each part as soon as all its views are there.

    Args:
        inspector: inspects and stores.
        timeout_seconds: from a part's first image on; default: what the rules say.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        inspector: Inspector,
        *,
        timeout_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inspector = inspector
        self._expected = set(inspector.rules.expected_views)
        self._timeout = timeout_seconds or inspector.rules.timeout_seconds or VIEW_TIMEOUT_SECONDS
        self._clock = clock
        self._open: dict[str, tuple[float, OpenPart]] = {}

    def __len__(self) -> int:
        """Return how many parts wait for a view."""
        return len(self._open)

    def add(self, image: PartImage, *, alone: bool = False) -> tuple[OpenPart, PartRecord] | None:
        """Inspect an image; return its part if this was the last one that it waited for.

        Args:
            image: with the names of its part and view.
            alone: nothing else can belong to its part.
        """
        image = self._inspector.as_whole_part(image)
        since, part = self._open.setdefault(image.part, (self._clock(), OpenPart(image.part)))
        self._inspector.look(image, part)
        if not alone and not self._expected <= {view.view for view in part.views}:
            return None
        del self._open[image.part]
        waited = self._clock() - since if len(part.views) > 1 else None
        return part, self._inspector.conclude(part, waited_seconds=waited)

    def overdue(self, *, all_of_them: bool = False) -> Iterator[tuple[OpenPart, PartRecord]]:
        """Conclude the parts that have waited too long; no view can come for them any more.

        Args:
            all_of_them: the images have ended: conclude every part.
        """
        now = self._clock()
        for name, (since, part) in list(self._open.items()):
            if all_of_them or now - since >= self._timeout:
                del self._open[name]
                yield part, self._inspector.conclude(part)

    def holds(self, image: PartImage) -> bool:
        """Tell whether the same image, by name and content, already waits in an open part."""
        _, part = self._open.get(image.part, (0.0, None))
        return part is not None and any(
            (view.image, view.sha256) == (image.name, image.sha256) for view in part.views
        )
