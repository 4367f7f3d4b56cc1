"""One generic registry: systems, networks, formats and sinks are found by name through it."""

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from flawsmith.errors import FlawsmithError

T = TypeVar("T")


def nearest_name(name: str, names: list[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest of ``names``, or an empty string."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


class Registry(Generic[T]):
    """A named collection that rejects duplicate names and suggests the nearest one for a typo."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under ``name``."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises:
            FlawsmithError: if there is none; the message lists the known names.
        """
        if name not in self._entries:
            known = self.names()
            raise FlawsmithError(
                f"there is no {self.kind} '{name}'{nearest_name(name, known)} "
                f"(known: {', '.join(known)})"
            )
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(sorted(self._entries.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._entries
