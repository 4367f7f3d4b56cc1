"""One file for each schema, the oldest first."""
