"""The second stage: what persons say of parts, what follows from it, and drift of the line."""
