"""The benefit test: does adding synthetic images help, on held-out real parts, and by how much?"""

from flawsmith.experiment.benefit.plan import BenefitSettings
from flawsmith.experiment.benefit.runs import BenefitTest

__all__ = ["BenefitSettings", "BenefitTest"]
