"""What a test result means for a line: from rates of parts to parts a year and minutes a shift."""

import math

from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.metrics.evaluation import Rate


class PlantAssumptions(StrictModel):
    """What is assumed of the line; none of it is measured.

    Attributes:
        volume: parts a year.
        defect_ppm: defective parts in a million parts made.
        review_seconds: time of a person for a second look at one rejected part.
        shifts_per_year: three shifts on 250 days are 750.
    """

    volume: int = Field(default=1_000_000, gt=0)
    defect_ppm: float = Field(default=5000.0, ge=0.0, le=1e6)
    review_seconds: float = Field(default=20.0, ge=0.0)
    shifts_per_year: float = Field(default=750.0, gt=0.0)

    @property
    def defective_parts(self) -> float:
        """Defective parts a year."""
        return self.volume * self.defect_ppm / 1e6

    @property
    def good_parts(self) -> float:
        """Good parts a year."""
        return self.volume - self.defective_parts


class Estimate(StrictModel):
    """A figure with the range that follows from the 95 % intervals of the rates behind it."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Estimate":
        """Return the estimate times a factor that is not negative."""
        return Estimate(value=self.value * factor, low=self.low * factor, high=self.high * factor)


class PlantFigures(StrictModel):
    """What follows for the line; None where the test had no parts to tell.

    Attributes:
        escapes_per_year: defective parts passed.
        false_rejects_per_shift: good parts rejected.
        review_minutes_per_shift: second looks at all rejected parts, rightly rejected or not. Its
            range takes both rates at their ends together, so it is on the wide side.
    """

    escapes_per_year: Estimate | None
    false_rejects_per_shift: Estimate | None
    review_minutes_per_shift: Estimate | None


def share(rate: Rate) -> Estimate:
    """Return a rate as a share of 1 with its interval."""
    return Estimate(value=rate.count / rate.total, low=rate.low, high=rate.high)


def plant_figures(
    escape: Rate | None, overkill: Rate | None, assumptions: PlantAssumptions
) -> PlantFigures:
    """Return what the rates mean for the line.

    Escapes a year = escape x defective parts; false rejects a shift = overkill x good parts /
    shifts; review minutes a shift = (overkill x good + (1 - escape) x defective) / shifts x
    seconds / 60.
    """
    escapes = share(escape).scaled(assumptions.defective_parts) if escape else None
    false_rejects = share(overkill).scaled(assumptions.good_parts) if overkill else None
    per_shift = 1.0 / assumptions.shifts_per_year
    minutes = None
    if escapes and false_rejects:
        defective = assumptions.defective_parts
        rejected = Estimate(
            value=false_rejects.value + defective - escapes.value,
            low=false_rejects.low + defective - escapes.high,
            high=false_rejects.high + defective - escapes.low,
        )
        minutes = rejected.scaled(per_shift * assumptions.review_seconds / 60.0)
    return PlantFigures(
        escapes_per_year=escapes,
        false_rejects_per_shift=false_rejects.scaled(per_shift) if false_rejects else None,
        review_minutes_per_shift=minutes,
    )


def best_provable_share(parts: int) -> float:
    """Return the upper end of the exact 95 % interval for 0 of ``parts``: 1 - 0.025^(1/parts).

    No test of this size can show a smaller share (Clopper and Pearson, 1934).
    """
    return float(1.0 - 0.025 ** (1.0 / parts))


def parts_to_show(limit: float) -> int:
    """Return how many parts without a single miss it takes to show a share below ``limit``."""
    return math.ceil(math.log(0.025) / math.log(1.0 - limit))
