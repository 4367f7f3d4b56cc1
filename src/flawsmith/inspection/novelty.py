"""How far is an image from everything that good parts look like? PatchCore without torch.

An inspection model finds the defects that it has learned. Beside it this finds what nobody has
shown it: an OpenVINO graph takes tiles as the camera gives them to the distances of their patches
from the nearest patch of good parts, the rest is `HeatStream`. The limit was set on good
validation parts at export (experiment/export_novelty.py).
"""

import io
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import cv2
import numpy as np
from pydantic import Field

from flawsmith.config import StrictModel, validate
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import MODEL_FILE, ExportedModel
from flawsmith.inspection.findings import Novelty
from flawsmith.inspection.heat_stream import HeatStream
from flawsmith.inspection.moving_grid import as_camera_gives
from flawsmith.inspection.patchcore import BANDS, Floats

GRAPH_FILE = "novelty.xml"
WEIGHTS_FILE = "novelty.bin"
ARRAYS_FILE = "novelty.npz"

REACH = 256
"""Pixels around the farthest place in which its box is looked for: memory stays bounded."""
BOX_SHARE = 0.5
"""The box holds what is connected to the farthest place and scores this share of it."""

ROWS = 1024
"""Rows of an image that are looked at together."""

Distances = Callable[[ImageArray], Floats]
"""N tiles x tile x tile x C pixels to N x h x w distances."""
ReadFile = Callable[[str], bytes]
"""Name of a file of the model to its content."""


class NoveltySettings(StrictModel):
    """The settings in ``model.json`` that say what the files ``novelty.*`` are.

    Attributes:
        tile: side of the graph's input in pixels.
        overlap: pixels that neighbouring tiles share at least.
        smoothing: standard deviation in pixels of the blur over the distances.
        limit: the excess over good parts that scores 1.
        review_rate: share of good parts that the limit was set to send to a person.
        good_parts: validation parts that set it.
        source: SHA-256 of the memory bank that was exported.
    """

    tile: int = Field(ge=32, le=4096)
    overlap: int = Field(ge=0)
    smoothing: float = Field(gt=0, le=64)
    limit: float = Field(gt=0, allow_inf_nan=False)
    review_rate: float = Field(gt=0, lt=1)
    good_parts: int = Field(ge=1)
    source: str = ""


class NoveltyDetector:
    """Scores images by their place that is farthest from good parts.

    Args:
        distances: of tiles; `load` gives those of a graph.
        settings: of the exported model.
        expected: 2 x BANDS**2: mean and deviation of good images by cell.
        schema: what pixels are.
    """

    def __init__(
        self, distances: Distances, settings: NoveltySettings, expected: Floats, schema: Schema
    ) -> None:
        self.settings, self._schema = settings, schema
        self._distances = distances
        self._expected = np.stack([expected[0], expected[1] * np.float32(settings.limit)])

    @classmethod
    def load(
        cls, exported: ExportedModel, *, device: str = "CPU", threads: int | None = None
    ) -> Self:
        """Load the detector of an exported model, hashes checked.

        Args:
            exported: with settings of novelty.
            device: an OpenVINO device, such as CPU or GPU.
            threads: of the processor; None for all.

        Raises:
            FlawsmithError: if the model has none, or a file is damaged or does not fit.
        """
        path = exported.folder / MODEL_FILE
        if exported.card.novelty is None:
            raise FlawsmithError(
                f"{path} has no novelty score; export again with --novelty PATCHCORE_RUN"
            )
        source = f"table 'novelty' of {path}"
        settings = validate(NoveltySettings, exported.card.novelty, source=source)
        return cls.from_files(
            exported.read, settings, exported.schema, device=device, threads=threads
        )

    @classmethod
    def from_files(
        cls,
        read: ReadFile,
        settings: NoveltySettings,
        schema: Schema,
        *,
        device: str = "CPU",
        threads: int | None = None,
    ) -> Self:
        """Return the detector that the files ``novelty.*`` make.

        Raises:
            FlawsmithError: if one is damaged or does not fit settings and schema.
        """
        expected = parse_expected(read(ARRAYS_FILE))
        graph = _Graph(
            read(GRAPH_FILE), read(WEIGHTS_FILE), settings, schema, device=device, threads=threads
        )
        return cls(graph, settings, expected, schema)

    def inspect(self, image: ImageArray) -> Novelty:
        """Return the score of a whole image and its farthest place.

        Args:
            image: H x W or H x W x 3 as the camera gives it, of any size.

        Raises:
            FlawsmithError: for pixels that the model does not take, or scores that are no numbers.
        """
        stream = self.stream()
        for y in range(0, len(image), ROWS):
            stream.add(image[y : y + ROWS])
        return stream.finish()

    def stream(self) -> "NoveltyStream":
        """Return what does the same for an image that comes in blocks of rows."""
        return NoveltyStream(self._heat_stream(), self._schema)

    def heat_map(self, image: ImageArray) -> Floats:
        """Return H x W scores, at least 0; 1 is the limit."""
        stream = self._heat_stream()
        rows = stream.add(as_camera_gives(image, self._schema))
        return np.concatenate([rows, stream.finish()])

    def _heat_stream(self) -> HeatStream:
        settings = self.settings
        return HeatStream(
            self._tile_heat, tile=settings.tile, overlap=settings.overlap,
            smoothing=settings.smoothing, expected=self._expected,
        )  # fmt: skip

    def _tile_heat(self, tiles: ImageArray) -> Floats:
        size = (self.settings.tile, self.settings.tile)
        return np.stack([cv2.resize(plane, size)[None] for plane in self._distances(tiles)])


class NoveltyStream:
    """The novelty of one image that comes in blocks of rows, in constant memory."""

    def __init__(self, heat: HeatStream, schema: Schema) -> None:
        self._heat, self._schema = heat, schema
        self._tracker = NoveltyTracker()

    def add(self, rows: ImageArray) -> None:
        """Take n x W (x 3) more rows as the camera gives them.

        Raises:
            FlawsmithError: as `NoveltyDetector.inspect`.
        """
        self._tracker.add(self._heat.add(as_camera_gives(rows, self._schema)))

    def watch(self, blocks: Iterable[ImageArray]) -> Iterator[ImageArray]:
        """Yield the blocks as they are, after a look at each: for `Runtime.inspect_rows`."""
        for block in blocks:
            self.add(block)
            yield block

    def finish(self) -> Novelty:
        """Return the novelty of all rows that were added.

        Raises:
            FlawsmithError: if there was none: nothing was seen, and that is not good.
        """
        self._tracker.add(self._heat.finish())
        return self._tracker.finish()


class NoveltyTracker:
    """Finds the farthest place in rows of scores, keeping `REACH` rows around it and no more."""

    def __init__(self) -> None:
        self._row = 0
        self._recent = np.empty((0, 0), np.float32)
        self._around = self._recent
        self._peak, self._place = 0.0, (0, 0)

    def add(self, scores: Floats) -> None:
        """Take n x W more rows of a heat map.

        Raises:
            FlawsmithError: if a score is no number, which never counts as good.
        """
        if not np.isfinite(scores).all():
            raise FlawsmithError(
                "the novelty scores are not finite: the model is damaged, or was exported from a "
                "damaged run; export it again"
            )
        if not scores.size:
            return
        first = self._row - len(self._recent)
        self._recent = np.concatenate([self._recent.reshape(-1, scores.shape[1]), scores])
        place = int(scores.argmax())
        highest = float(scores.flat[place])
        if highest > self._peak:
            y, x = divmod(place, scores.shape[1])
            self._peak, self._place = highest, (self._row + y, x)
            self._around = self._recent[max(self._row + y - REACH - first, 0) :]
        elif self._peak and len(self._around) <= 2 * REACH:
            self._around = np.concatenate([self._around, scores])
        self._row += len(scores)
        self._recent = self._recent[-REACH:]

    def finish(self) -> Novelty:
        """Return the score and the box of the farthest place.

        Of several places with the same score it is the first, from above and from the left.
        """
        if not self._peak:
            return Novelty(score=0.0)
        y, x = self._place
        above, left = max(y - REACH, 0), max(x - REACH, 0)
        around = self._around[: y + REACH + 1 - above, left : x + REACH + 1]
        mask = (around >= self._peak * BOX_SHARE).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        column, row, width, height, _ = stats[labels[y - above, x - left]].tolist()
        return Novelty(score=self._peak, box=(left + column, above + row, width, height))


def farthest(heat: Floats) -> Novelty:
    """Return the highest score of an H x W heat map and the box of its place."""
    tracker = NoveltyTracker()
    tracker.add(heat)
    return tracker.finish()


def parse_expected(data: bytes) -> Floats:
    """Return 2 x BANDS**2: mean and deviation that good images have in each cell.

    Raises:
        FlawsmithError: if the file is damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            expected = np.asarray(archive["expected"], np.float32)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(ARRAYS_FILE, str(error)) from None
    if expected.shape != (2, BANDS**2) or not np.isfinite(expected).all():
        raise _damaged(ARRAYS_FILE, f"its table has the shape {expected.shape}")
    if (expected[1] <= 0).any():
        raise _damaged(ARRAYS_FILE, "a deviation in it is not above 0")
    return expected


class _Graph:
    """The OpenVINO graph, one tile a request, as many requests at once as the device suggests."""

    def __init__(
        self,
        structure: bytes,
        weights: bytes,
        settings: NoveltySettings,
        schema: Schema,
        *,
        device: str,
        threads: int | None,
    ) -> None:
        import openvino

        # In bf16, the default where there is AMX, distances are off by up to 1 %.
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if threads is not None and device == "CPU":
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            model = core.read_model(structure, weights)
            shape, kind = list(model.input(0).shape), model.input(0).element_type.to_dtype()
            compiled = core.compile_model(model, device, options)
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[-300:]
            raise _damaged(GRAPH_FILE, f"OpenVINO says on device {device}: {reason}") from None
        expected = [1, settings.tile, settings.tile, schema.channels]
        if shape != expected or kind != (np.uint8 if schema.bit_depth == 8 else np.uint16):
            raise _damaged(
                GRAPH_FILE, f"it takes {kind} {shape}, and {MODEL_FILE} says {expected} of "
                f"{schema.bit_depth} bit"
            )  # fmt: skip
        self._lock = threading.Lock()
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._keep)
        self._found: dict[int, Floats] = {}

    def _keep(self, request: Any, number: int) -> None:  # noqa: ANN401 - openvino has no types
        self._found[number] = np.array(request.get_output_tensor(0).data[0], np.float32)

    def __call__(self, tiles: ImageArray) -> Floats:
        """Return N x h x w distances."""
        with self._lock:
            self._found = {}
            try:
                for number, tile in enumerate(tiles):
                    self._queue.start_async({0: np.ascontiguousarray(tile[None])}, number)
                self._queue.wait_all()
            except RuntimeError as error:
                reason = " ".join(str(error).split())[-300:]
                raise FlawsmithError(f"the novelty graph failed on a tile: {reason}") from None
            return np.stack([self._found[number] for number in range(len(tiles))])


def _damaged(name: str, reason: str) -> FlawsmithError:
    return FlawsmithError(
        f"{name} cannot be used as novelty detector ({reason}); export the model again"
    )
