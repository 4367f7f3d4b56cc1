"""Systems compared at one resolution and one budget: the seed paper's Tables 3 to 9 on own data."""

from flawsmith.experiment.compare.plan import CompareSettings
from flawsmith.experiment.compare.runs import SystemComparison

__all__ = ["CompareSettings", "SystemComparison"]
