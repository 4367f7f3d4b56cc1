"""A random sample of a stream, below a limit of memory."""

import heapq
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")


@dataclass
class Reservoir(Generic[Item]):
    """A uniform random sample of a stream that stays below a number of bytes."""

    limit: int
    rng: np.random.Generator
    _heap: list[tuple[float, int, int, Item]] = field(default_factory=list)
    _bytes: int = 0
    _count: int = 0

    def add(self, item: Item, size: int) -> None:
        """Keep the item if its random key is among the highest that fit; the last one stays."""
        self._count += 1
        heapq.heappush(self._heap, (float(self.rng.random()), self._count, size, item))
        self._bytes += size
        while self._bytes > self.limit and len(self._heap) > 1:
            self._bytes -= heapq.heappop(self._heap)[2]

    def items(self) -> list[Item]:
        """Return what was kept, in the order of arrival."""
        return [entry[3] for entry in sorted(self._heap, key=lambda entry: entry[1])]
