"""How much worse an inspection model gets when images change: the robustness table."""

from flawsmith.experiment.robustness.disturbances import DISTURBANCES
from flawsmith.experiment.robustness.page import write_robustness
from flawsmith.experiment.robustness.request import RobustnessRequest, prepare
from flawsmith.experiment.robustness.testing import estimate_seconds, run_tests

__all__ = [
    "DISTURBANCES",
    "RobustnessRequest",
    "estimate_seconds",
    "prepare",
    "run_tests",
    "write_robustness",
]
