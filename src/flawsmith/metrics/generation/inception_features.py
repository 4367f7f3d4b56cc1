"""Inception features from a file of weights that the user has: nothing is downloaded."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.generation.features import CropFeatures
from flawsmith.metrics.generation.inception_network import InceptionV3, resize_as_tensorflow

NAME = "inception_v3_fid_tf1_bilinear_299"
"""Network, its variant and how crops come to its size: part of every figure's name."""

PUBLISHED = "pt_inception-2015-12-05-6726825d.pth"
UNUSED = ".num_batches_tracked"
"""Counters that some files have and no figure needs."""

NAMES_SHOWN = 3
BATCH = 8
"""Images at a time: at 299 x 299 the first maps take 11 MB each."""


@dataclass(frozen=True)
class InceptionFeatures:
    """Maps crops to 2,048 pooled features and 1,008 class probabilities.

    Attributes:
        sha256: of the file of weights.
    """

    network: InceptionV3
    sha256: str

    @torch.inference_mode()
    def __call__(self, crops: Tensor, masks: Tensor) -> CropFeatures:
        """Return features of N x 3 x H x W crops in [-1, 1]; the masks do not matter to them."""
        pooled, probabilities = [], []
        for few in torch.split(crops, BATCH):
            features, logits = self.network(resize_as_tensorflow(published_range(few)))
            pooled.append(features)
            probabilities.append(logits.softmax(dim=1))
        return CropFeatures(
            pooled=torch.cat(pooled).numpy(), probabilities=torch.cat(probabilities).numpy()
        )


def published_range(crops: Tensor) -> Tensor:
    """Return crops of [-1, 1] as the network saw images: (8-bit value - 128) / 128."""
    return ((crops + 1.0) * 127.5 - 128.0) / 128.0


def load_inception(path: Path) -> InceptionFeatures:
    """Return the features of the network whose weights are in a ``.pth`` or ``.safetensors`` file.

    Raises:
        FlawsmithError: if there is no such file, it cannot be read without running what is in it,
            or it is not exactly this network's weights.
    """
    tensors = _read(path)
    network = InceptionV3()
    expected = {n: t for n, t in network.state_dict().items() if not n.endswith(UNUSED)}
    _require_fit(path, tensors, expected)
    network.load_state_dict({name: tensors[name] for name in expected}, strict=False)
    network.eval().requires_grad_(False)
    return InceptionFeatures(network, hashlib.sha256(path.read_bytes()).hexdigest())


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FlawsmithError(f"{path} {what}; give the file of Inception weights ({PUBLISHED})")
    try:
        if path.suffix == ".safetensors":
            found: object = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise FlawsmithError(
            f"{path} is no file of weights: it is damaged, or holds more than tensors; {_remedy()}"
        ) from None
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError,
            AttributeError) as error:  # fmt: skip
        raise FlawsmithError(
            f"{path} is no file of weights ({_first_line(error)}); {_remedy()}"
        ) from None
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise FlawsmithError(f"{path} holds {type(found).__name__}, not named tensors; {_remedy()}")
    return {str(n): t for n, t in found.items() if not str(n).endswith(UNUSED)}


def _require_fit(path: Path, given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    shapes = [
        f"{name} is {_size(given[name])}, expected {_size(tensor)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    not_finite = [n for n, t in given.items() if n in expected and not torch.isfinite(t).all()]
    wrong = [
        f"{len(names)} {what}: {', '.join(names[:NAMES_SHOWN])}"
        + (", ..." if len(names) > NAMES_SHOWN else "")
        for what, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("of another shape", shapes),
            ("not finite", not_finite),
        )
        if names
    ]
    if wrong:
        raise FlawsmithError(
            f"{path} does not fit the Inception network of FID ({'; '.join(wrong)}); {_remedy()}"
        )


def _remedy() -> str:
    return (
        f"give the weights that the FID literature uses, {PUBLISHED} (torch-fidelity: "
        "weights-inception-2015-12-05-6726825d.pth), not those of torchvision, or leave "
        "--inception out"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:100] if lines else type(error).__name__


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
