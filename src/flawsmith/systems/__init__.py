"""Training procedures, one file per paper, filed in `SYSTEMS`."""
