"""The page of a score: verdict, table, random sheets, closest pairs, what each figure means."""

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import read_image
from flawsmith.data.templates import render as fill
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.facts import Picture
from flawsmith.experiment.report.pictures import Pixels, displayed, photo, square_window
from flawsmith.experiment.score import words
from flawsmith.experiment.score.crops import Place
from flawsmith.experiment.score.facts import PAGE_FILE, ClassScore, ClosestPair, Score
from flawsmith.experiment.score.feature_map import FeatureMap, feature_map
from flawsmith.experiment.score.figures import Sides
from flawsmith.experiment.score.rebuilding import Example, Floats
from flawsmith.experiment.score.request import ScoreRequest
from flawsmith.experiment.score.scoring import Scored, variants_of
from flawsmith.experiment.score.table import LIMIT
from flawsmith.storage import write_text

SHEET = 24
SHEET_COLUMNS = 8
SHEET_BOX = 112
PAIR_BOX = 150
REBUILT_BOX = 128
GAP = 4


@dataclass(frozen=True)
class Sheet:
    """Random defects of one class; None where there are none."""

    name: str
    colour: str
    synthetic: Picture | None
    real: Picture | None
    synthetic_shown: int
    real_shown: int


@dataclass(frozen=True)
class ShownPair:
    """A closest pair with its two pictures."""

    name: str
    pair: ClosestPair
    synthetic: Picture
    real: Picture


@dataclass(frozen=True)
class ShownRebuilt:
    """Rebuilt tiles of one class, one a column: real, what was painted on (if any), rebuilt."""

    name: str
    colour: str
    picture: Picture


def write_score(request: ScoreRequest, scored: Scored, out: Path) -> Path:
    """Write ``score.json`` and the self-contained ``score.html`` into a folder; return the page.

    Raises:
        FlawsmithError: if they cannot be written, or an image is gone.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawsmithError(f"cannot make {out}: {error.strerror or error}") from error
    result, sides, examples = scored
    pictures = _Pictures(request, result)
    shown = [score for score in result.classes if score.synthetic]
    sheets = [pictures.sheet(score, sides) for score in shown]
    pairs = [
        pictures.pair(score.name, pair)
        for score in shown
        for pair in (score.memorisation.closest if score.memorisation else [])
    ]
    page = out / PAGE_FILE
    rebuilt = _shown_rebuilt(request, examples)
    plan = feature_map(sides, request.data.schema, result.seed)
    write_text(page, _render(result, sheets, pairs, rebuilt, plan))
    result.save(out)
    return page


class _Pictures:
    """Windows of one side for all: synthetic and real defects are seen at the same scale.

    Where labels are for whole images these are shown, all at the side of the synthetic ones.
    """

    def __init__(self, request: ScoreRequest, result: Score) -> None:
        self.request = request
        self.side = result.tile
        self.is_image = result.level == "image"
        self.seed = result.seed

    def sheet(self, score: ClassScore, sides: Sides) -> Sheet:
        """Return random defects: real ones from all parts that the score looks at."""
        own = sides.of_class(self.request.data.schema.defect(score.name).id)
        made = self._drawn(own.synthetic.places)
        real = self._drawn(own.training.places + own.held_out.places)
        return Sheet(
            score.name,
            score.colour,
            self._grid(self.request.synthetic, made),
            self._grid(self.request.data, real),
            len(made),
            len(real),
        )

    def pair(self, name: str, pair: ClosestPair) -> ShownPair:
        """Return the two defects of a pair."""
        made = self._crop(self.request.synthetic, pair.synthetic, pair.synthetic_centre)
        real = self._crop(self.request.data, pair.real, pair.real_centre)
        return ShownPair(name, pair, photo(_boxed(made, PAIR_BOX)), photo(_boxed(real, PAIR_BOX)))

    def _drawn(self, places: list[Place]) -> list[Place]:
        ordered = sorted(places, key=lambda place: (place.file_name, place.centre))
        return random.Random(self.seed).sample(ordered, min(SHEET, len(ordered)))

    def _grid(self, dataset: DefectDataset, places: list[Place]) -> Picture | None:
        if not places:
            return None
        step = SHEET_BOX + GAP
        rows = -(-len(places) // SHEET_COLUMNS)
        canvas = np.full((rows * step - GAP, SHEET_COLUMNS * step - GAP, 3), 255, np.uint8)
        for i, place in enumerate(places):
            crop = _boxed(self._crop(dataset, place.file_name, place.centre), SHEET_BOX)
            top, left = i // SHEET_COLUMNS * step, i % SHEET_COLUMNS * step
            canvas[top : top + SHEET_BOX, left : left + SHEET_BOX] = crop
        return photo(canvas)

    def _crop(self, dataset: DefectDataset, file_name: str, centre: tuple[float, float]) -> Pixels:
        pixels = read_image(dataset.path(file_name))
        image = displayed(pixels, dataset.schema)
        if self.is_image:
            small = max(image.shape[:2]) <= self.side
            method = cv2.INTER_LINEAR if small else cv2.INTER_AREA
            return cast(Pixels, cv2.resize(image, (self.side, self.side), interpolation=method))
        return square_window(centre, self.side, image.shape).of(image)


def _shown_rebuilt(request: ScoreRequest, examples: Sequence[Example]) -> list[ShownRebuilt]:
    shown = []
    for defect in request.data.schema.defects:
        own = [e for e in examples if e.class_id == defect.id]
        if own:
            columns = np.concatenate([_column(example) for example in own], axis=1)
            shown.append(ShownRebuilt(defect.name, defect.colour, photo(columns[:, :-GAP])))
    return shown


def _column(example: Example) -> Pixels:
    """Return the pictures of one tile under each other, a gap to the right."""
    rows = [example.real, example.before, example.rebuilt]
    boxes = [_boxed(_bytes(row), REBUILT_BOX) for row in rows if row is not None]
    column = np.full((len(boxes) * (REBUILT_BOX + GAP) - GAP, REBUILT_BOX + GAP, 3), 255, np.uint8)
    for i, box in enumerate(boxes):
        top = i * (REBUILT_BOX + GAP)
        column[top : top + REBUILT_BOX, :REBUILT_BOX] = box
    return column


def _bytes(image: Floats) -> Pixels:
    grey = np.rint(image * 255.0).astype(np.uint8)
    return grey if grey.shape[2] == 3 else np.repeat(grey, 3, axis=2)


def _boxed(pixels: Pixels, box: int) -> Pixels:
    """Return a square picture; where the image is smaller than its window the rest is white."""
    side = max(pixels.shape[:2])
    padded = np.full((side, side, 3), 255, np.uint8)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    method = cv2.INTER_AREA if side > box else cv2.INTER_LINEAR
    return cast(Pixels, cv2.resize(padded, (box, box), interpolation=method))


def _render(
    result: Score,
    sheets: list[Sheet],
    pairs: list[ShownPair],
    rebuilt: list[ShownRebuilt],
    plan: FeatureMap | None,
) -> str:
    command = ["flawsmith", "score", result.synthetic, "--data", result.data]
    if result.against != "test":
        command += ["--against", result.against]
    if result.limit != LIMIT:
        command += ["--limit", str(result.limit)]
    if result.seed:
        command += ["--seed", str(result.seed)]
    if result.inception:
        command += ["--inception", result.inception.file]
    networks = [(result.features, variants_of(result.level))]
    if result.inception:
        networks.append((result.inception.name, variants_of(result.level, masks=False)))
    return fill(
        "flawsmith.experiment.report",
        "score.html.j2",
        page=result,
        sheets=sheets,
        pairs=pairs,
        rebuilt=rebuilt,
        words=words,
        networks=networks,
        plan=plan,
        command=shlex.join(command),
        verdict=words.verdict(result),
    )
