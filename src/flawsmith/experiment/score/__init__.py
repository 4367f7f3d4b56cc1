"""Scores of synthetic sets: how near their defects are to real ones that nobody had seen."""

from flawsmith.experiment.score.page import write_score
from flawsmith.experiment.score.request import ScoreRequest, prepare
from flawsmith.experiment.score.scoring import Scored, score

__all__ = ["ScoreRequest", "Scored", "prepare", "score", "write_score"]
