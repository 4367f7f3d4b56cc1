"""Compiled networks: OpenVINO, or ONNX Runtime, behind one small interface.

A network gets windows N x rows x columns x C as the camera gives them and the D pixel thresholds;
it returns the class index and the confidence of every pixel, and the scores behind them, of which
only those are read that lie under several windows.
"""

import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import ExportedModel

if TYPE_CHECKING:
    import onnxruntime
    import openvino

INPUTS = ("image", "limits")
OUTPUTS = ("index", "confidence", "scores")
NVIDIA = ("CUDA", "NVIDIA")
ONNX_TYPES = {
    "tensor(uint8)": "u8",
    "tensor(uint16)": "u16",
    "tensor(float)": "f32",
}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """What a network says of N windows; all may be overwritten by the thread's next call.

    Attributes:
        index: N x rows x columns: 0 = no defect, k = k-th defect.
        confidence: the same shape: score in [0, 1] of the defect class with the highest ratio of
            score to threshold, also where it stays below and the index is 0.
        scores: N x D x rows x columns: of each defect class, in [0, 1].
    """

    index: LabelArray
    confidence: Floats
    scores: Floats


class Network(Protocol):
    """A compiled network; several threads may call it at once.

    Attributes:
        requests: how many calls at once make the device busy.
        description: backend, device and arithmetic, for people and logs.
    """

    requests: int
    description: str

    def infer(self, windows: ImageArray, limits: Floats) -> Answer:
        """Return what the network says of N x rows x columns x C windows."""


def compile_network(
    exported: ExportedModel, *, device: str = "CPU", threads: int | None = None
) -> Network:
    """Return the network of an exported model, ready to run.

    Args:
        exported: its files are hashed again as they are read.
        device: CPU; GPU, GPU.1, NPU, AUTO (OpenVINO); CUDA (ONNX Runtime).
        threads: of a CPU; default: all cores.

    Raises:
        FlawsmithError: if the device or the backend is not there, or the files are no network with
            these inputs and outputs.
    """
    if threads is not None and threads < 1:
        raise FlawsmithError(f"{threads} threads; expected at least 1")
    if exported.card.backend == "onnx":
        return OnnxNetwork(exported, device, threads)
    return OpenVinoNetwork(exported, device, threads)


class OpenVinoNetwork:
    """A network compiled by OpenVINO for throughput: one request a stream, streams on all cores."""

    def __init__(self, exported: ExportedModel, device: str, threads: int | None) -> None:
        import openvino

        core = openvino.Core()
        device = device.upper()
        _require_device(device, core.available_devices, "openvino")
        precision = self._precision(core, device, exported)
        settings: dict[str, object] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
        }
        if threads is not None and device == "CPU":
            settings |= {"INFERENCE_NUM_THREADS": threads}
        structure, weights = (exported.read(name) for name in ("network.xml", "network.bin"))
        try:
            model = core.read_model(structure, weights)
            _require_interface(exported, _openvino_ports(model))
            self._compiled = core.compile_model(model, device, settings)
            self.requests = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        except RuntimeError as error:
            raise _not_compiled(exported, error) from None
        self.description = f"OpenVINO {openvino.__version__.split('-')[0]} {device} {precision}"
        self._own = threading.local()
        # All before the first inference: making one holds Python's lock, and can wait for one that
        # runs and needs that lock to let its inputs go.
        self._spare: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(self.requests):
            self._spare.put(self._compiled.create_infer_request())

    @staticmethod
    def _precision(core: "openvino.Core", device: str, exported: ExportedModel) -> str:
        """Return bf16 where the model was compared in it and the device has it, otherwise f32."""
        if exported.card.precision != "bf16" or device.split(".")[0] not in ("CPU", "GPU", "NPU"):
            return "f32"
        able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        return "bf16" if "BF16" in able else "f32"

    def _new_request(self) -> "openvino.InferRequest":
        """Return a request that no other thread has."""
        try:
            return self._spare.get_nowait()
        except queue.Empty:
            return self._compiled.create_infer_request()

    def infer(self, windows: ImageArray, limits: Floats) -> Answer:
        """Return what the network says of N x rows x columns x C windows."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._new_request()
        inputs = dict(zip(INPUTS, (np.ascontiguousarray(windows), limits), strict=True))
        try:
            found = request.infer(inputs, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise _failed(windows, error) from None
        return Answer(*(found[name] for name in OUTPUTS))


class OnnxNetwork:
    """A network run by ONNX Runtime: one thread a call and calls on all cores, or CUDA."""

    def __init__(self, exported: ExportedModel, device: str, threads: int | None) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise FlawsmithError(
                f"{exported.folder} is an ONNX model, and ONNX Runtime is not installed; install "
                "it with: pip install 'flawsmith[onnx]', or export again with --to openvino"
            ) from None
        device = "CUDA" if device.upper() in NVIDIA else device.upper()
        able = [name.removesuffix("ExecutionProvider") for name in
                onnxruntime.get_available_providers()]  # fmt: skip
        _require_device(device, [n for n in able if n in ("CPU", "CUDA")], "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                exported.read("network.onnx"), options, providers=[f"{device}ExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no other base
            if isinstance(error, FlawsmithError):
                raise
            raise _not_compiled(exported, error) from None
        _require_interface(exported, _onnx_ports(self._session))
        # Calls on several cores beat one call that is spread over them: no barriers.
        self.requests = threads or os.cpu_count() or 1 if device == "CPU" else 2
        self.description = f"ONNX Runtime {onnxruntime.__version__} {device} fp32"

    def infer(self, windows: ImageArray, limits: Floats) -> Answer:
        """Return what the network says of N x rows x columns x C windows."""
        try:
            found = self._session.run(OUTPUTS, dict(zip(INPUTS, (windows, limits), strict=True)))
        except Exception as error:  # its exceptions share no other base
            raise _failed(windows, error) from None
        return Answer(*found)


def _require_device(device: str, able: Sequence[str], backend: str) -> None:
    names = {name.split(".")[0] for name in able} | set(able)
    if device in names or (backend == "openvino" and device == "AUTO"):
        return
    hint = ""
    if device in NVIDIA:
        hint = (
            "; for NVIDIA export with --to onnx"
            if backend == "openvino"
            else "; for NVIDIA install onnxruntime-gpu instead of onnxruntime"
        )
    raise FlawsmithError(
        f"there is no device {device} for a model exported to {backend} (there is: "
        f"{', '.join(sorted(able))}){hint}"
    )


Ports = dict[str, tuple[str, int]]
"""Name of an input or output: element type and number of axes."""


def _require_interface(exported: ExportedModel, ports: Ports) -> None:
    """Raise a `FlawsmithError` unless a network has the inputs and outputs of every export."""
    pixels = "u8" if exported.schema.bit_depth == 8 else "u16"
    expected = {
        "image": (pixels, 4),
        "limits": ("f32", 1),
        "index": ("u8", 3),
        "confidence": ("f32", 3),
        "scores": ("f32", 4),
    }
    if ports != expected:
        raise FlawsmithError(
            f"the network of {exported.folder} has the inputs and outputs {ports}; expected "
            f"{expected} (type and axes): export again"
        )


def _openvino_ports(model: "openvino.Model") -> Ports:
    ports = (*model.inputs, *model.outputs)
    return {
        port.get_any_name(): (
            port.element_type.get_type_name(),
            port.partial_shape.rank.get_length(),
        )
        for port in ports
    }


def _onnx_ports(session: "onnxruntime.InferenceSession") -> Ports:
    ports = (*session.get_inputs(), *session.get_outputs())
    return {port.name: (ONNX_TYPES.get(port.type, port.type), len(port.shape)) for port in ports}


def _not_compiled(exported: ExportedModel, error: Exception) -> FlawsmithError:
    return FlawsmithError(
        f"the network of {exported.folder} cannot be read or compiled: {_short(error)}; export "
        "again with this version"
    )


def _failed(windows: ImageArray, error: Exception) -> FlawsmithError:
    return FlawsmithError(f"the network failed on windows of {windows.shape}: {_short(error)}")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]
