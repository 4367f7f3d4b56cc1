"""The configuration that every run shares. A system adds its own tables to it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from flawsmith.config import StrictModel, load_toml, to_toml
from flawsmith.data.tiles import DataConfig
from flawsmith.data.transforms import AugmentationConfig
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text

CONFIG_FILE = "config.toml"


class TrainingConfig(StrictModel):
    """How long, how large, how precise. Progress is counted in images, not in steps.

    Attributes:
        batch_size: over all processes; each of n processes takes the n-th part of it.
        accumulate: micro-batches a step, to fit a large batch into little memory.
        precision: auto times fp32 and bf16 for a moment at the start and takes the faster.
        ema_halflife_images: the averaged weights forget half in so many images; None: no average.
        schedule: how the learning rate falls over the run.
        warmup_images: the learning rate rises linearly over the first images.
    """

    tile_size: int = Field(ge=16)
    batch_size: int = Field(ge=1)
    total_images: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: Literal["auto", "yes", "no"] = "auto"
    checkpoint_every_images: int = Field(default=4000, ge=1)
    sample_every_images: int = Field(default=4000, ge=1)
    validate_every_images: int = Field(default=8000, ge=1)
    ema_halflife_images: int | None = Field(default=None, ge=1)
    schedule: Literal["constant", "cosine", "poly"] = "constant"
    warmup_images: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of accumulate")
        return self


class RunConfig(StrictModel):
    """Everything that reproduces a run; written to ``config.toml`` of its folder."""

    system: str
    preset: str
    data: DataConfig
    training: TrainingConfig
    augmentation: AugmentationConfig = AugmentationConfig()

    def save(self, run: Path) -> None:
        """Write ``config.toml`` into the run's folder."""
        write_text(run / CONFIG_FILE, to_toml(self))


def saved_values(run: Path) -> dict[str, object]:
    """Return the plain values of a run's ``config.toml``.

    Raises:
        FlawsmithError: if the folder is no run.
    """
    if not (run / CONFIG_FILE).is_file():
        raise FlawsmithError(f"{run} is no run folder (it has no {CONFIG_FILE})")
    return load_toml(run / CONFIG_FILE)
