"""What systems share that turn a good surface into a defective one and back again.

Every batch holds two domains, normal and defect, half of each. Good crops are normal; where they
are too few (`data.good_share` below one half, or a data set without a good image) so many tiles
with a defect are shown without it (`Batch.clean`) that half of the tiles are normal all the same.
Where labels are for whole images nothing can be removed: normal are the good images alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from flawsmith.config import StrictModel
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.nn.counter import ImageCounter
from flawsmith.systems.base import Batch, SampleRequest, System, multiscale_noise
from flawsmith.training.config import RunConfig

NORMAL = 0
"""Domain of a good surface; k is the k-th defect."""

NORMAL_SHARE = 0.5
"""Of the tiles, at least."""

TILES_PER_CLASS = 32
"""Tiles that are looked at before the first step, to learn which classes there are."""

NOISE_SCALES = (4, 16)
"""Pixels over which noise beside a surface varies: it decides where and how, not on texture."""

NOISE_STRENGTH = 0.1
"""Its standard deviation, about the contrast of a surface: at 1 an early image is nothing else."""

NO_GOOD_IMAGE = (
    "this system turns good images into defective ones and back; labels of whole images do not "
    "say where a defect is, so none can be removed: import good images and give data.good_share, "
    "such as 0.5"
)

_TURNS, _TARGETS = 11, 12
"""Added to a tile's seed, so that two draws of one tile are independent."""


class TranslationOptimizer(StrictModel):
    """Adam for generators and discriminators.

    Attributes:
        decay_from: share of the run after which the rate falls linearly to 0; 1: never.
    """

    learning_rate: float = Field(default=2e-4, gt=0)
    discriminator_rate: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    decay_from: float = Field(default=1.0, ge=0, le=1)


class TranslationConfig(RunConfig):
    """Configuration of a run that translates between normal and defect."""

    optimizer: TranslationOptimizer = TranslationOptimizer()


class TranslationSystem(System):
    """Generators that paint into real surfaces, and discriminators.

    Attributes:
        classes: the defects that the training images show, from 1.
        normal_share: share of the tiles that are normal.
        turned: share of the tiles with a defect that are shown without it.
        whole: labels are for whole images.
    """

    needs = frozenset({"background_images"})
    trains_on_clean = True
    image_labels = True

    def __init__(self, config: TranslationConfig, schema: Schema) -> None:
        super().__init__()
        self.settings = config
        self.schema = schema
        self.seen = ImageCounter()
        self.progress = 0.0
        self.classes = list(range(1, schema.num_defects + 1))
        self.whole = config.data.labels == "image"
        self._expect_good(config.data.good_share)
        self._optimizers: dict[str, torch.optim.Optimizer] = {}

    def optimize(self, *, generators: nn.Module, discriminators: nn.Module) -> None:
        """Give all generators one Adam, and all discriminators another."""
        adam = self.settings.optimizer
        rates = {
            "generators": (generators, adam.learning_rate),
            "discriminators": (discriminators, adam.discriminator_rate),
        }
        self._optimizers = {
            name: torch.optim.Adam(networks.parameters(), rate, (adam.beta1, adam.beta2))
            for name, (networks, rate) in rates.items()
        }

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return one Adam for what generates and one for what judges."""
        return self._optimizers

    def prepare(self, tiles: Callable[[int], Batch]) -> None:
        """Learn which classes there are, and whether there are good crops."""
        self.look_at(tiles(TILES_PER_CLASS * (self.schema.num_defects + 1)))

    def look_at(self, batch: Batch) -> None:
        """Take classes and the share of good crops from real tiles.

        Raises:
            FlawsmithError: if labels are for whole images and none is good.
        """
        self.classes = sorted(set(batch.labels.tolist()) - {NORMAL})
        good = bool((batch.labels == NORMAL).any())
        if self.whole and not good:
            raise FlawsmithError(NO_GOOD_IMAGE)
        self._expect_good(self.settings.data.good_share if good else 0.0)

    def _expect_good(self, share: float) -> None:
        self.normal_share = share if self.whole else max(share, NORMAL_SHARE)
        self.turned = (self.normal_share - share) / (1.0 - share)

    def begin(self, batch: Batch) -> Batch:
        """Count the batch, let the rates fall, and return it with half of it normal."""
        training = self.settings.training
        self.progress = min(int(self.seen) / training.total_images, 1.0)
        self.seen.add(training.batch_size)
        factor = linear_decay(self.progress, self.settings.optimizer.decay_from)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] *= factor  # the loop sets it anew before each step
        return batch if self.whole else with_normal_tiles(batch, self.turned)

    def targets(self, seeds: Tensor, domains: Sequence[int]) -> Tensor:
        """Return for each seed one of ``domains``, all equally often.

        A permutation of the batch's own labels would mostly ask for the commonest class.
        """
        share = uniform(seeds + _TARGETS)
        index = (share * len(domains)).long().clamp(max=len(domains) - 1)
        return torch.tensor(domains, device=seeds.device)[index]


def surface_of(request: SampleRequest) -> Tensor:
    """Return the real surfaces of a request.

    Raises:
        FlawsmithError: if it has none.
    """
    if request.background_images is None:
        raise FlawsmithError(
            "this system turns real good surfaces into defective ones; the request has none: give "
            "a good image to start from"
        )
    return request.background_images


def surface_noise(seeds: Tensor, channels: int, size: torch.Size) -> Tensor:
    """Return N x channels x H x W noise to show beside a surface; row i follows from seed i."""
    return NOISE_STRENGTH * multiscale_noise(seeds, channels, size, NOISE_SCALES)


def linear_decay(progress: float, start: float) -> float:
    """Return the factor of a learning rate that falls to 0 over the run from ``start`` on."""
    return 1.0 if progress <= start else (1.0 - progress) / (1.0 - start)


def uniform(seeds: Tensor) -> Tensor:
    """Return N numbers from U(0, 1); number i follows from seed i alone."""
    draws = [torch.rand((), generator=torch.Generator().manual_seed(int(s))) for s in seeds]
    return torch.stack(draws).to(seeds.device)


def with_normal_tiles(batch: Batch, turned: float) -> Batch:
    """Return the batch with a share of its defects removed: those tiles become normal ones.

    A tile from which nothing could be removed (no mask tells where) stays what it is.

    Raises:
        FlawsmithError: if the batch does not carry the surfaces without defects.
    """
    if batch.clean is None:
        raise FlawsmithError("this system trains on surfaces without their defects; none given")
    removed = (batch.clean != batch.images).flatten(1).any(dim=1)
    turn = removed & (batch.labels != NORMAL) & (uniform(batch.seeds + _TURNS) < turned)
    return replace(
        batch,
        images=torch.where(turn[:, None, None, None], batch.clean, batch.images),
        labels=torch.where(turn, NORMAL, batch.labels),
        defects=torch.where(turn[:, None, None], NORMAL, batch.defects),
    )


def planes(classes: Tensor, count: int, size: Sequence[int], *, first: int) -> Tensor:
    """Return N x count x H x W: 1 all over the plane of the own class, 0 on the others.

    Args:
        classes: N.
        count: of the classes.
        size: H, W.
        first: the lowest class.
    """
    one_hot = F.one_hot(classes - first, count).float()
    return one_hot[:, :, None, None].expand(-1, -1, *size)
