"""The results store: every verdict with what made it, on SQLite or PostgreSQL."""

from flawsmith.line.store.store import Query, Store

__all__ = ["Query", "Store"]
