"""Trained synthesizers: from a run's folder to something that samples."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from flawsmith.config import validate
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import SampleRequest, Samples, System
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import RunConfig, saved_values
from flawsmith.training.precision import Precision, keep_freed_memory


@dataclass
class Synthesizer:
    """A trained system, ready to sample.

    Attributes:
        schema: of the data set that it was trained on.
        name: of the system, such as dbs_gan.
        run: folder name of its run.
        fold: the test fold that its training left out.
    """

    system: System
    schema: Schema
    tile_size: int
    name: str
    run: str
    fold: int | None
    device: torch.device
    precision: Precision

    @torch.inference_mode()
    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image for each label map, on the CPU."""
        with self.precision.autocast(self.device):
            samples = self.system.sample(request.to(self.device), seeds.to(self.device))
        layers = {name: layer.float().cpu() for name, layer in samples.layers.items()}
        tensors = {
            name: getattr(samples, name).cpu()
            for name in ("images", "defects", "backgrounds", "seeds")
        }
        return dataclasses.replace(samples, **tensors, layers=layers)


def load_config(run: Path) -> RunConfig:
    """Return the configuration of a synthesizer's run."""
    values = saved_values(run)
    system = SYSTEMS.get(str(values.get("system", "")))
    return validate(system.config_class, values, source=str(run / "config.toml"))


def load_synthesizer(run: Path) -> Synthesizer:
    """Load the newest checkpoint of a run; averaged weights where the run kept an average.

    Raises:
        FlawsmithError: if the folder is no synthesizer's run or has no checkpoint yet.
    """
    keep_freed_memory()
    config = load_config(run)
    found = ckpt.checkpoints(run)
    if not found:
        raise FlawsmithError(
            f"{run} has no checkpoint yet; train on with: flawsmith train --resume {run}"
        )
    schema = Schema.load(run)
    system = SYSTEMS.get(config.system)(config, schema)  # type: ignore[call-arg]
    state = ckpt.read_state(found[-1])
    tensors = ckpt.load_tensors(found[-1] / "networks.safetensors")
    if (found[-1] / "ema.safetensors").is_file():
        tensors |= ckpt.load_tensors(found[-1] / "ema.safetensors")
    networks = {name: system.networks()[name] for name in system.averaged()}
    ckpt.load_network_tensors(networks, tensors)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = Precision(**state["precision"])
    for network in networks.values():
        network.eval().to(device, memory_format=precision.memory_format)  # type: ignore[call-overload]
    return Synthesizer(
        system=system,
        schema=schema,
        tile_size=config.training.tile_size,
        name=config.system,
        run=run.name,
        fold=config.data.fold,
        device=device,
        precision=precision,
    )
