"""Figures of merit: pure functions first, results as plain data."""
