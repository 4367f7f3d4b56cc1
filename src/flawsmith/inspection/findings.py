"""What inspection finds in one image."""

from dataclasses import dataclass, field

from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.inspection.regions import Region


class Novelty(StrictModel):
    """How far an image is from everything that good parts look like.

    Attributes:
        score: 1 is the limit that was set on good validation parts; above it a person looks.
        box: x, y, width, height in whole pixels of the place that is farthest.
    """

    score: float = Field(ge=0.0)
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Findings:
    """What an exported model found in one image.

    Attributes:
        regions: highest score first, nothing left out.
        novelty: None where the model has no novelty score.
        warnings: what makes the answer doubtful although there is one (expired calibration).
        seconds: durations by stage: tiles, network (waiting for it), regions, novelty.
    """

    regions: list[Region]
    width: int
    height: int
    novelty: Novelty | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
