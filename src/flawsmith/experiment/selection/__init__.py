"""Selection of the synthetic images that a model trained on real ones alone recognises."""

from flawsmith.experiment.selection.page import write_selection
from flawsmith.experiment.selection.selecting import SelectionRequest, prepare, select

__all__ = ["SelectionRequest", "prepare", "select", "write_selection"]
