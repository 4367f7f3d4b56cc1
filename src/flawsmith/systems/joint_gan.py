"""What systems share that make image and masks together from noise, of one size, with batch norm.

Batch norm takes its statistics from the images that pass together: a micro-batch in accumulation,
a process's share under torchrun. The step is then not that of the whole batch. Sampling takes the
running statistics, so an image follows from its seed alone; of several processes those of the
first are kept.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.nn.fixed_size import require_size, size_of_base
from flawsmith.systems.base import Batch, SampleRequest, Samples, System
from flawsmith.systems.joint_masks import join, mask_channels, sample_joint, sample_unmasked
from flawsmith.training.config import RunConfig


class JointNetwork(StrictModel):
    """What the networks of these systems have in common.

    Attributes:
        stages: doublings, and halvings of the discriminator; the base is tile_size / 2^stages.
    """

    latent_size: int = Field(default=128, ge=1)
    stages: int = Field(default=4, ge=1)


class JointConfig(RunConfig):
    """A run whose networks have batch norm, which one image alone would switch off, and a base."""

    network: JointNetwork = JointNetwork()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        size_of_base(self.training.tile_size, self.network.stages)
        if self.training.batch_size // self.training.accumulate < 2:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} in {self.training.accumulate} "
                "parts leaves one image a step; batch norm needs two: raise batch_size"
            )
        return self


class JointGan(System):
    """Makes image and masks from noise; of a request it takes the class alone, or nothing.

    Where labels are for whole images it makes the image alone, with the published networks.

    Attributes:
        fixed_size: its dense layers fit ``training.tile_size`` and no other size.
        batch_statistics: a step depends on which images pass through it together.
        generator: what samples, with `joint_channels` channels.
    """

    fixed_size: ClassVar[bool] = True
    batch_statistics: ClassVar[bool] = True
    image_labels: ClassVar[bool] = True
    config: RunConfig
    schema: Schema
    generator: nn.Module

    @property
    def joint_channels(self) -> int:
        """Channels of the image and of its masks, one for each defect if there are masks."""
        return self.schema.channels + mask_channels(self.config, self.schema)

    def joint(self, batch: Batch) -> Tensor:
        """Return the real images with their masks, if there are masks.

        Raises:
            FlawsmithError: if they have another size than the networks.
        """
        require_size(batch.images, self.config.training.tile_size)
        return join(batch.images, batch.defects, mask_channels(self.config, self.schema))

    def averaged(self) -> list[str]:
        """Return what samples."""
        return ["generator"]

    @abstractmethod
    def make(self, seeds: Tensor, classes: Tensor) -> Tensor:
        """Return N x `joint_channels` x H x W; row i follows from seed i and class i alone.

        Args:
            seeds: N.
            classes: N, 0 for good; on the CPU.
        """

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image for each label map of the request, with the masks that came with it.

        Without masks of its own it is what was asked for, and nobody knows where.
        """
        require_size(request.defects.unsqueeze(1), self.config.training.tile_size)
        with evaluating(self.generator):
            if not mask_channels(self.config, self.schema):
                return sample_unmasked(self.make, request, seeds)
            return sample_joint(self.make, request, seeds, self.schema.channels)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Return a context in which batch norm uses its running statistics."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
