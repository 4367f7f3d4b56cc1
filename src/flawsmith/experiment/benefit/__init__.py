"""The benefit test: does adding synthetic images help, on held-out real parts, and by how much?"""

from flawsmith.experiment.benefit.runs import BenefitTest
from flawsmith.experiment.benefit.settings import BenefitSettings

__all__ = ["BenefitSettings", "BenefitTest"]
