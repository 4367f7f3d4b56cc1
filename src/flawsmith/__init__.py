"""Flawsmith: make labelled defect images, prove that they help, inspect with the result."""

__version__ = "0.1.0"
