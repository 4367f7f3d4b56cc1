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

from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.exported import ExportedModel
from flawsmith.inspection.findings import Findings
from flawsmith.inspection.moving_grid import (
    Grid,
    RowBuffer,
    cuts,
    middle_cut,
    padded,
    row_starts,
)
from flawsmith.inspection.network import Network, compile_network
from flawsmith.inspection.novelty import NoveltyDetector
from flawsmith.inspection.region_tracker import RegionTracker
from flawsmith.inspection.regions import Region
from flawsmith.inspection.thresholds import Thresholds

PIXELS_A_REQUEST = 1 << 18
"""Small windows share a request up to so many pixels; beyond that a batch gains nothing."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Decided:
    """Rows of an image on which nothing that follows has an influence.

    Attributes:
        index: rows x width: 0 = no defect, k = k-th defect.
        confidence: rows x width: see `network.Answer`.
    """

    index: LabelArray
    confidence: Floats


@dataclass
class _Band:
    """Windows side by side, and what is known of their rows by now."""

    start: int
    index: LabelArray
    confidence: Floats
    waiting: int
    stop: int | None = None  # row of the image at which the next band takes over


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
    others are cut and regions are measured. Memory depends on the width of an image, not on its
    height.
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
        if calibration is not None and calibration.has_expired(today):
            return [
                f"the calibration of {calibration.date} was valid until {calibration.valid_until}; "
                "millimetres are doubtful: calibrate and export again"
            ]
        return []

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
        bands: deque[_Band] = deque()
        running: deque[tuple[_Band, Future[None]]] = deque()
        done = 0  # rows that were yielded
        try:
            for band, work in self._work(buffer, bands):
                stages.end("tiles")
                running.append((band, self._threads.submit(self._infer, band, work)))
                while running and (
                    running[0][1].done() or len(running) > self.network.requests + 1
                ):
                    _settle(running)
                stages.end("network")
                while bands[0].stop is not None and not bands[0].waiting:
                    done, rows = _take(bands, done)
                    yield rows
            while running:
                _settle(running)
            stages.end("network")
        finally:
            for _, future in running:
                future.cancel()
        bands[-1].stop = buffer.received
        while bands:
            done, rows = _take(bands, done)
            yield rows

    def _work(self, buffer: RowBuffer, bands: deque[_Band]) -> Iterator[tuple[_Band, "_Request"]]:
        """Yield the requests of band after band; a new band tells where the one before it ends."""
        endless = buffer.reach(self._grid.window[0] + 1)
        if not buffer.received or not buffer.width:
            raise FlawsmithError(
                f"an image of {buffer.width} x {buffer.received} pixels cannot be inspected"
            )
        rows = self._grid.rows(None if endless else buffer.received)
        columns, starts = self._grid.columns(buffer.width)
        parts = cuts(starts, columns, buffer.width)
        batch = max(PIXELS_A_REQUEST // (rows * columns), 1)
        for start in row_starts(buffer, rows, self._grid.overlap):
            pixels = padded(buffer.rows(start, start + rows), rows, columns)
            height = min(rows, buffer.received - start)
            shape = (height, buffer.width)
            requests = [
                _Request(pixels, columns, starts[i : i + batch], parts[i : i + batch])
                for i in range(0, len(starts), batch)
            ]
            if bands:
                bands[-1].stop = middle_cut(bands[-1].start, start, rows)
            band = _Band(
                start, np.empty(shape, np.uint8), np.empty(shape, np.float32), len(requests)
            )
            bands.append(band)
            for request in requests:
                yield band, request

    def _infer(self, band: _Band, request: "_Request") -> None:
        """Run the network and write what each window decides into its band; in a thread."""
        windows = [request.pixels[:, start : start + request.columns] for start in request.starts]
        stacked = cast(ImageArray, windows[0][None] if len(windows) == 1 else np.stack(windows))
        found = self.network.infer(stacked, self._limits)
        _require_sound(found.index, found.confidence, stacked, self.exported)
        height = len(band.index)
        for index, confidence, start, (low, high) in zip(
            found.index, found.confidence, request.starts, request.parts, strict=True
        ):
            inside = slice(low - start, high - start)
            band.index[:, low:high] = index[:height, inside]
            band.confidence[:, low:high] = confidence[:height, inside]


@dataclass(frozen=True)
class _Request:
    """Windows of one band that go through the network together.

    Attributes:
        pixels: rows x width x C of the band.
        columns: width of a window.
        starts: first column of each window.
        parts: columns of the image that each decides, from and to.
    """

    pixels: ImageArray
    columns: int
    starts: list[int]
    parts: list[tuple[int, int]]


def _settle(running: deque[tuple[_Band, Future[None]]]) -> None:
    """Wait for the oldest request and count it; raise what it raised."""
    band, future = running.popleft()
    future.result()
    band.waiting -= 1


def _take(bands: deque[_Band], done: int) -> tuple[int, Decided]:
    """Return the rows that the oldest band decides, and how many rows are done then."""
    band = bands.popleft()
    if band.stop is None:
        raise ValueError("the band is not closed")
    inside = slice(done - band.start, band.stop - band.start)
    return band.stop, Decided(band.index[inside], band.confidence[inside])


def _require_sound(
    index: LabelArray, confidence: Floats, windows: ImageArray, exported: ExportedModel
) -> None:
    """Raise a `FlawsmithError` for an answer that cannot be; NaN would otherwise pass as good."""
    if index.shape != windows.shape[:3] or confidence.shape != windows.shape[:3]:
        raise FlawsmithError(
            f"the network of {exported.folder} answers {index.shape} and {confidence.shape} to "
            f"windows of {windows.shape}; export again"
        )
    low, high = float(confidence.min()), float(confidence.max())
    if not (low >= 0.0 and high <= 1.0 + 1e-3) or int(index.max()) > exported.schema.num_defects:
        raise FlawsmithError(
            f"the network of {exported.folder} gives confidences from {low} to {high} and classes "
            f"to {index.max()}; expected 0 to 1 and {exported.schema.num_defects}: its training "
            "has diverged or the file is damaged; test the run and export again"
        )
