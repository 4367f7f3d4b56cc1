"""Inspection of whole images, and of strips without an end, by an exported model; without torch."""

import datetime
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import ImageArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.bands import Band, BandJoiner, Columns, Decided
from flawsmith.inspection.exported import ExportedModel
from flawsmith.inspection.findings import Findings
from flawsmith.inspection.moving_grid import Grid, RowBuffer, padded, row_starts
from flawsmith.inspection.network import Answer, Network, compile_network
from flawsmith.inspection.novelty import NoveltyDetector
from flawsmith.inspection.region_tracker import RegionTracker
from flawsmith.inspection.regions import Region
from flawsmith.inspection.thresholds import Thresholds

PIXELS_A_REQUEST = 1 << 18
"""Small windows share a request up to so many pixels; beyond that a batch gains nothing."""

Floats = NDArray[np.float32]


@dataclass
class _Stages:
    """Seconds of the thread that feeds the network, by stage."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("tiles", "network", "regions"), 0.0)
    )
    _since: float = field(default_factory=time.perf_counter)

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


class Runtime:
    """An exported model, ready for images.

    Windows of an image go to the network from several threads, so that all cores are busy while
    others are cut and regions are measured. Memory depends on the width of an image and the
    number of classes, not on its height.
    """

    def __init__(
        self,
        exported: ExportedModel,
        *,
        device: str = "CPU",
        threads: int | None = None,
        thresholds: Thresholds | None = None,
        network: Network | None = None,
    ) -> None:
        """Compile the network.

        Args:
            exported: the model folder.
            device: see `compile_network`.
            threads: of a CPU; default: all cores.
            thresholds: others than those of the export.
            network: one that is compiled already, instead of the folder's.

        Raises:
            FlawsmithError: if the model cannot run on the device, or the thresholds do not fit.
        """
        self.exported = exported
        self.thresholds = thresholds or exported.thresholds
        if len(self.thresholds.pixel) != exported.schema.num_defects:
            raise FlawsmithError(
                f"{len(self.thresholds.pixel)} pixel thresholds for the "
                f"{exported.schema.num_defects} defect classes of {exported.name}; give one each"
            )
        limits = np.asarray(self.thresholds.pixel, np.float32)
        self._limits = np.maximum(limits, np.float32(1e-6))
        card = exported.card
        self._grid = Grid(card.tile, card.overlap, card.window, card.multiple)
        self.network = network or compile_network(exported, device=device, threads=threads)
        self._threads = ThreadPoolExecutor(self.network.requests, "network")
        self.novelty: NoveltyDetector | None = None
        if card.novelty is not None:
            where = device if card.backend == "openvino" else "CPU"
            self.novelty = NoveltyDetector.load(exported, device=where, threads=threads)

    def inspect(self, image: ImageArray) -> Findings:
        """Return everything that the model finds in an image of any size.

        Args:
            image: H x W (grey) or H x W x 3 (RGB), as deep as the schema says.

        Raises:
            FlawsmithError: for a wrong mode, depth or size, or if the network fails; an image with
                an error has not been inspected and never passes.
        """
        stages = _Stages()
        regions = list(self._regions(iter([image]), stages))
        regions.sort(key=lambda r: (-r.score, r.class_id, r.box[1], r.box[0]))
        novelty = None
        if self.novelty is not None:
            novelty = self.novelty.inspect(image)
            stages.end("novelty")
        return Findings(
            regions=regions,
            novelty=novelty,
            width=image.shape[1],
            height=image.shape[0],
            warnings=self.warnings(),
            seconds=stages.seconds,
        )

    def inspect_rows(self, rows: Iterable[ImageArray]) -> Iterator[Region]:
        """Yield the regions of an image that comes in blocks of rows, each as soon as it ended.

        The same regions as `inspect` finds in the whole, in memory that does not grow with the
        number of rows. Novelty is beside it: give ``stream.watch(rows)``, with ``stream`` from
        ``self.novelty.stream()``, and ask ``stream.finish()`` when the regions have ended.

        Args:
            rows: blocks of any height and one width.

        Raises:
            FlawsmithError: as `inspect`; what was yielded before stays true.
        """
        yield from self._regions(iter(rows), _Stages())

    def maps(self, image: ImageArray) -> Decided:
        """Return class index and confidence of every pixel of an image.

        Raises:
            FlawsmithError: as `inspect`.
        """
        bands = list(self._decided(iter([image]), _Stages()))
        return Decided(
            np.concatenate([band.index for band in bands]),
            np.concatenate([band.confidence for band in bands]),
        )

    def warnings(self) -> list[str]:
        """Return what makes every answer of today doubtful."""
        calibration = self.exported.calibration
        today = datetime.datetime.now(datetime.UTC).date()
        if calibration is None or calibration.holds(today):
            return []
        if today < calibration.date:
            return [
                f"the calibration is of {calibration.date}, and this machine's clock says {today}; "
                "nobody knows whether it has expired: set the clock"
            ]
        return [
            f"the calibration of {calibration.date} was valid until {calibration.valid_until}; "
            "millimetres are doubtful: calibrate and export again"
        ]

    def _regions(self, blocks: Iterator[ImageArray], stages: _Stages) -> Iterator[Region]:
        calibration = self.exported.calibration
        uncertainty = calibration.relative_uncertainty if calibration else None
        tracker = RegionTracker(self.exported.schema, relative_uncertainty=uncertainty)
        for decided in self._decided(blocks, stages):
            closed = tracker.add(decided.index, decided.confidence)
            stages.end("regions")
            yield from closed
        yield from tracker.finish()
        stages.end("regions")

    def _decided(self, blocks: Iterator[ImageArray], stages: _Stages) -> Iterator[Decided]:
        """Yield the rows of an image from top to bottom."""
        buffer = RowBuffer(blocks, self.exported.schema)
        endless = buffer.reach(self._grid.window[0] + 1)
        if not buffer.received or not buffer.width:
            raise FlawsmithError(
                f"an image of {buffer.width} x {buffer.received} pixels cannot be inspected"
            )
        overlap = self._grid.overlap
        rows = self._grid.rows(None if endless else buffer.received)
        side, starts = self._grid.columns(buffer.width)
        columns = Columns(starts, side, buffer.width, overlap)
        joiner = BandJoiner(columns, rows, overlap, self._limits)
        bands: deque[Band] = deque()
        running: deque[tuple[Band, Future[None]]] = deque()
        try:
            for request in self._requests(buffer, rows, columns, bands):
                stages.end("tiles")
                running.append((request.band, self._threads.submit(self._infer, request)))
                while running and (
                    running[0][1].done() or len(running) > self.network.requests + 1
                ):
                    _settle(running)
                stages.end("network")
                while bands[0].stop is not None and not bands[0].waiting:
                    yield joiner.join(bands.popleft())
            while running:
                _settle(running)
            stages.end("network")
        finally:
            for _, future in running:
                future.cancel()
        bands[-1].stop = buffer.received
        while bands:
            yield joiner.join(bands.popleft())

    def _requests(
        self, buffer: RowBuffer, rows: int, columns: Columns, bands: deque[Band]
    ) -> Iterator["_Request"]:
        """Yield the requests of band after band; a new band tells where the one before it ends."""
        windows = range(len(columns.starts))
        batch = max(PIXELS_A_REQUEST // (rows * columns.side), 1)
        for start in row_starts(buffer, rows, self._grid.overlap):
            pixels = padded(buffer.rows(start, start + rows), rows, columns.side)
            height = min(rows, buffer.received - start)
            together = [windows[first : first + batch] for first in windows[::batch]]
            if bands:
                bands[-1].stop = start
            bands.append(Band(start, height, columns, waiting=len(together)))
            for chosen in together:
                yield _Request(bands[-1], pixels, chosen)

    def _infer(self, request: "_Request") -> None:
        """Run the network and put the answers into the band; in a thread."""
        band, side = request.band, request.band.columns.side
        starts = [band.columns.starts[window] for window in request.windows]
        cut = [request.pixels[:, start : start + side] for start in starts]
        stacked = cast(ImageArray, cut[0][None] if len(cut) == 1 else np.stack(cut))
        answer = self.network.infer(stacked, self._limits)
        _require_sound(answer, stacked, self.exported)
        for place, window in enumerate(request.windows):
            band.put(window, answer, place)


@dataclass(frozen=True)
class _Request:
    """Windows of one band that go through the network together.

    Attributes:
        band: takes the answers.
        pixels: rows x width x C of the band.
        windows: of the band, from left to right.
    """

    band: Band
    pixels: ImageArray
    windows: range


def _settle(running: deque[tuple[Band, Future[None]]]) -> None:
    """Wait for the oldest request and count it; raise what it raised."""
    band, future = running.popleft()
    future.result()
    band.waiting -= 1


def _require_sound(answer: Answer, windows: ImageArray, exported: ExportedModel) -> None:
    """Raise a `FlawsmithError` for an answer that cannot be; NaN would otherwise pass as good."""
    count, rows, columns, _ = windows.shape
    classes = exported.schema.num_defects
    shapes = answer.index.shape, answer.confidence.shape, answer.scores.shape
    if shapes != ((count, rows, columns),) * 2 + ((count, classes, rows, columns),):
        raise FlawsmithError(
            f"the network of {exported.folder} answers {shapes[0]}, {shapes[1]} and {shapes[2]} to "
            f"windows of {windows.shape}; export again"
        )
    # NumPy's own pass NaN on, unlike Python's.
    low = float(np.minimum(answer.confidence.min(), answer.scores.min()))
    high = float(np.maximum(answer.confidence.max(), answer.scores.max()))
    if not (low >= 0.0 and high <= 1.0 + 1e-3) or int(answer.index.max()) > classes:
        raise FlawsmithError(
            f"the network of {exported.folder} gives confidences from {low} to {high} and classes "
            f"to {answer.index.max()}; expected 0 to 1 and {classes}: its training has diverged or "
            "the file is damaged; test the run and export again"
        )
