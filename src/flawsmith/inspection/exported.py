"""An exported inspection model: the folder that a line PC needs, and nothing in it is believed.

``model.json`` says everything about the model and has the SHA-256 of every other file; its own is
the model's identity. Only files that it names are read, and each is compared with its hash before
it is parsed.
"""

import datetime
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from flawsmith.config import StrictModel, validate
from flawsmith.data.schema import PixelSize, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.storage import sync_files, write_text

MODEL_FILE = "model.json"
FORMAT_VERSION = 1
MAX_JSON_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 32

NETWORK_FILES = {"openvino": ("network.xml", "network.bin"), "onnx": ("network.onnx",)}
FILE_NAME = re.compile(r"(network|novelty)\.[a-z0-9]{1,8}")

Backend = Literal["openvino", "onnx"]
Arithmetic = Literal["fp32", "bf16", "int8"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=16, le=16384)]


class Calibration(StrictModel):
    """How large a pixel is, how sure that is, and for how long.

    Attributes:
        mm_per_pixel: across and along the line scan.
        relative_uncertainty: of both, expanded (k = 2): 0.01 means 1 % at about 95 %.
        date: when it was measured.
        valid_until: last day on which millimetres may decide anything.
    """

    mm_per_pixel: PixelSize
    relative_uncertainty: float = Field(ge=0.0, lt=1.0)
    date: datetime.date
    valid_until: datetime.date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_until < self.date:
            raise ValueError("valid_until is before the date of the calibration")
        return self

    def holds(self, today: datetime.date) -> bool:
        """Tell whether ``today`` (UTC) is a valid day; before the first one a clock is wrong."""
        return self.date <= today <= self.valid_until


class RunIdentity(StrictModel):
    """Which trained model this was made of.

    Attributes:
        name: of the run's folder.
        network: as in ``flawsmith info``.
        config_sha256: of the run's ``config.toml``.
        weights_sha256: of the weights that were exported.
        data_fingerprint: of the data set that it was trained on.
    """

    name: str
    network: str
    config_sha256: Sha256
    weights_sha256: Sha256
    data_fingerprint: str


class ExportCheck(StrictModel):
    """How the exported model compares with the trained one on inner validation parts.

    Attributes:
        flipped: parts with another verdict, a verdict being: any region reaches
            ``thresholds.region``.
        allowed: how many might flip.
        macro_iou_before: of the trained model; None where no image shows a labelled defect.
        macro_iou_after: of the exported one.
    """

    images: int
    parts: int
    flipped: list[str]
    allowed: int
    macro_iou_before: float | None
    macro_iou_after: float | None


class ModelCard(StrictModel):
    """The content of ``model.json``.

    Attributes:
        precision: lowest arithmetic that may be used; bf16 is used where the processor has it.
        thresholds: the pixel thresholds are an input of the network, so that they can be changed.
        tile: side in pixels of the tiles that the model was trained and validated on.
        overlap: pixels that neighbouring windows share at least.
        window: most rows and columns that go through the network at once.
        multiple: sides of a window are multiples of this.
        novelty: settings of the novelty score; None without one.
        code_version: of the program that exported it.
        files: SHA-256 of every other file of the folder, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format_version: int = FORMAT_VERSION
    name: str = Field(min_length=1, max_length=200)
    backend: Backend
    precision: Arithmetic
    defect_schema: Schema = Field(alias="schema")
    thresholds: Thresholds
    tile: Side
    overlap: int = Field(ge=32, le=4096)
    window: tuple[Side, Side]
    multiple: int = Field(ge=1, le=1024)
    calibration: Calibration | None = None
    novelty: dict[str, Any] | None = None
    run: RunIdentity | None = None
    check: ExportCheck | None = None
    code_version: str
    files: dict[str, Sha256] = Field(default={}, max_length=16)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        classes = self.defect_schema.num_defects
        if not classes:
            raise ValueError("the schema has no defect class")
        if len(self.thresholds.pixel) != classes:
            raise ValueError(
                f"{len(self.thresholds.pixel)} pixel thresholds for {classes} defect classes"
            )
        if not all(math.isfinite(v) and 0.0 < v <= 1.0 for v in self.thresholds.pixel):
            raise ValueError("a pixel threshold is not in (0, 1]")
        if any(s % self.multiple or s < self.tile for s in (self.tile, *self.window)):
            raise ValueError(
                "tile and window must be multiples of 'multiple', the window no smaller than a tile"
            )
        if 2 * self.overlap > self.tile:
            raise ValueError(f"an overlap of {self.overlap} px needs tiles of twice that at least")
        if self.calibration and self.calibration.mm_per_pixel != self.defect_schema.pixel_size_mm:
            raise ValueError("calibration and schema give different sizes of a pixel")
        if wrong := [name for name in self.files if not FILE_NAME.fullmatch(name)]:
            raise ValueError(f"'{wrong[0]}' is no file of a model")
        return self


@dataclass(frozen=True)
class ExportedModel:
    """A model folder whose files are what its ``model.json`` says.

    Attributes:
        identity: SHA-256 of ``model.json``, and through its hashes of everything.
    """

    folder: Path
    card: ModelCard
    identity: str

    @property
    def name(self) -> str:
        """Name for people; `identity` is what tells models apart."""
        return self.card.name

    @property
    def schema(self) -> Schema:
        """Classes, size of a pixel, bit depth, black and white level."""
        return self.card.defect_schema

    @property
    def thresholds(self) -> Thresholds:
        """Operating thresholds that the model was exported with."""
        return self.card.thresholds

    @property
    def calibration(self) -> Calibration | None:
        """Calibration record; None without one."""
        return self.card.calibration

    def read(self, name: str) -> bytes:
        """Return the content of a file of the model.

        Raises:
            FlawsmithError: if ``model.json`` does not name it, or it is not what that says.
        """
        if name not in self.card.files:
            raise FlawsmithError(f"{self.folder / MODEL_FILE} names no file '{name}'; export again")
        data = _read_bytes(self.folder / name, MAX_FILE_BYTES)
        found = hashlib.sha256(data).hexdigest()
        if found != self.card.files[name]:
            raise FlawsmithError(
                f"{self.folder / name} has been changed or damaged (SHA-256 {found[:12]}..., "
                f"expected {self.card.files[name][:12]}...); copy the folder again, or export again"
            )
        return data

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model folder and check every hash.

        Raises:
            FlawsmithError: if it is no model folder, or a file is missing, changed or damaged.
        """
        path = folder / MODEL_FILE
        if not path.exists():
            raise FlawsmithError(
                f"{folder} is no exported model (it has no {MODEL_FILE}); make one with: "
                "flawsmith export RUN --to openvino"
            )
        text = _read_bytes(path, MAX_JSON_BYTES)
        card = _parse(text, path)
        exported = cls(folder, card, hashlib.sha256(text).hexdigest())
        missing = [n for n in NETWORK_FILES[card.backend] if n not in card.files]
        if missing:
            raise FlawsmithError(f"{path} names no {missing[0]}, which {card.backend} needs")
        for name in card.files:
            exported.read(name)
        return exported

    @classmethod
    def write(cls, folder: Path, card: ModelCard) -> Self:
        """Write ``model.json`` beside the files of a model, with their hashes, and load it.

        Raises:
            FlawsmithError: if the folder holds a file that no model has, or cannot be written.
        """
        paths = sorted(path for path in folder.iterdir() if path.name != MODEL_FILE)
        strangers = [path.name for path in paths if not FILE_NAME.fullmatch(path.name)]
        if strangers:
            raise FlawsmithError(f"{folder} holds '{strangers[0]}', which is no file of a model")
        files = {p.name: hashlib.sha256(_read_bytes(p, MAX_FILE_BYTES)).hexdigest() for p in paths}
        card = card.model_copy(update={"files": files})
        sync_files(paths)
        write_text(folder / MODEL_FILE, card.model_dump_json(indent=1, by_alias=True))
        return cls.load(folder)


def _parse(data: bytes, path: Path) -> ModelCard:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FlawsmithError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise FlawsmithError(f"{path} is no description of a model; export again")
    if values.get("format_version") != FORMAT_VERSION:
        raise FlawsmithError(
            f"{path} has the format {values.get('format_version')!r:.40}; this program reads "
            f"{FORMAT_VERSION}: export again with this version, or install the other"
        )
    try:
        return validate(ModelCard, values, source=str(path))
    except FlawsmithError as error:  # may quote all that was given
        text = str(error)
        kept = text if len(text) <= 600 else f"{text[:300]} ... {text[-300:]}"
        raise FlawsmithError(kept) from None


def _read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of a regular file; a pipe or a device could wait or go on for ever."""
    try:
        if not path.is_file():
            raise FlawsmithError(f"{path} is missing or no file; copy the folder again")
        size = path.stat().st_size
        if size > limit:
            raise FlawsmithError(f"{path} has {size:,} bytes; at most {limit:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise FlawsmithError(f"cannot read {path}: {error.strerror or error}") from None
