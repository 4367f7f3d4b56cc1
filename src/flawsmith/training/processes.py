"""One or many processes: Lightning Fabric launches and averages, nothing else of it is used.

``torchrun --nproc_per_node 2 -m flawsmith train ...`` runs on two processes. The batch size is
that of the whole step, so the number of processes changes the speed and not the result.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flawsmith.errors import FlawsmithError


@dataclass(frozen=True)
class Processes:
    """This process among all that train together."""

    rank: int
    count: int
    device: torch.device
    all_reduce_mean: Callable[[Tensor], Tensor] | None

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """Return the images of a batch that fall to each process.

        Raises:
            FlawsmithError: if the batch cannot be shared out evenly.
        """
        if batch_size % self.count:
            raise FlawsmithError(
                f"a batch of {batch_size} cannot be shared by {self.count} processes; "
                "set training.batch_size to a multiple"
            )
        return batch_size // self.count

    def agree(self, choice: int) -> int:
        """Return the first process's choice, on every process."""
        if self.all_reduce_mean is None:
            return choice
        own = torch.tensor(float(choice if self.first else 0), device=self.device)
        return round(float(self.all_reduce_mean(own)) * self.count)


def start_processes() -> Processes:
    """Join the processes that ``torchrun`` started, or stay alone; use a GPU if there is one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if count == 1:
        return Processes(0, 1, torch.device(accelerator), None)
    from lightning.fabric import Fabric

    local = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    fabric = Fabric(
        accelerator=accelerator, strategy="ddp", devices=local, num_nodes=count // local
    )
    fabric.launch()

    def mean(values: Tensor) -> Tensor:
        reduced: Tensor = fabric.all_reduce(values, reduce_op="mean")
        return reduced

    return Processes(fabric.global_rank, fabric.world_size, fabric.device, mean)


def is_first_process() -> bool:
    """Whether this process is the one that prints, known before any process has started."""
    return int(os.environ.get("RANK", "0")) == 0
