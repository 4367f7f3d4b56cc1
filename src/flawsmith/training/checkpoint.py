"""Checkpoints: tensors in safetensors, everything else in plain JSON, no pickle anywhere.

A checkpoint is a folder ``checkpoints/<images>/`` that appears whole by one rename. Tensors are
made contiguous on save; the loop restores the memory format on load.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from flawsmith.errors import FlawsmithError
from flawsmith.storage import new_folder, write_bytes, write_text

FOLDER = "checkpoints"
STATE_FILE = "state.json"
Tensors = dict[str, Tensor]


def network_tensors(networks: dict[str, nn.Module]) -> Tensors:
    """Return all weights and buffers, named ``<network>.<weight>``."""
    return {
        f"{name}.{key}": value.detach()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def load_network_tensors(networks: dict[str, nn.Module], tensors: Tensors) -> None:
    """Load what `network_tensors` returned; names and shapes must agree exactly."""
    for name, network in networks.items():
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise FlawsmithError(f"the checkpoint does not fit network '{name}': {error}") from None


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """Return an optimiser's state as tensors and as plain values."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                scalars[f"{index}.{key}"] = value
    return tensors, {"scalars": scalars, "groups": state["param_groups"]}


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: Tensors, plain: dict[str, Any]
) -> None:
    """Load what `optimizer_state` returned."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **plain["scalars"]}.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": plain["groups"]})


def save_tensors(path: Path, tensors: Tensors) -> None:
    """Write a safetensors file, whole or not at all."""
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_bytes(path, save(own))


def load_tensors(path: Path) -> Tensors:
    """Read a safetensors file.

    Raises:
        FlawsmithError: if it is missing or damaged.
    """
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise FlawsmithError(f"there is no {path}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise FlawsmithError(f"{path} is damaged ({error}); use an earlier checkpoint") from None


def write_checkpoint(
    run: Path, images: int, files: dict[str, Tensors], state: dict[str, Any], *, keep: int = 2
) -> Path:
    """Write the checkpoint of ``images`` and remove all but the ``keep`` newest."""
    path = run / FOLDER / f"{images:010d}"
    if not path.exists():
        with new_folder(path, what="checkpoint") as folder:
            for name, tensors in files.items():
                save_tensors(folder / f"{name}.safetensors", tensors)
            write_text(folder / STATE_FILE, json.dumps(state, indent=1))
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return path


def checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.isdigit() and (p / STATE_FILE).is_file())


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Return the plain state of a checkpoint."""
    try:
        state: dict[str, Any] = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FlawsmithError(f"{checkpoint / STATE_FILE} is damaged: {error}") from None
    return state
