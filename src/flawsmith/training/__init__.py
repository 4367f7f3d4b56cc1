"""The one training loop and what it needs: precision, checkpoints, logs, run folders."""
