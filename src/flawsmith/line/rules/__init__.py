"""Acceptance rules: from what was found in the views of a part to its verdict."""

from flawsmith.line.rules.acceptance import AcceptanceRules

__all__ = ["AcceptanceRules"]
