"""Everything that runs on the line; nothing here imports torch."""
