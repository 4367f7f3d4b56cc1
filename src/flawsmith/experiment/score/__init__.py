"""Scores of synthetic sets: how near their defects are to real ones that nobody had seen."""

from flawsmith.experiment.score.page import write_score
from flawsmith.experiment.score.scoring import ScoreRequest, prepare, score

__all__ = ["ScoreRequest", "prepare", "score", "write_score"]
