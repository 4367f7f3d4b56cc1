"""Held-out real tiles, rebuilt by the synthesizer of a set: PSNR and SSIM.

A system that learned to make a real tile again from its label map and its style is asked to do so
for tiles it has never seen. Systems that learned nothing of the kind are left out, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawsmith.data.dataset import ImageRecord
from flawsmith.data.defect_removal import remove_defects
from flawsmith.data.images import to_unit
from flawsmith.data.schema import IGNORE
from flawsmith.data.tiles import Tile
from flawsmith.data.transforms import View, cut
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.runs import RUNS
from flawsmith.experiment.score.crops import Place, window_of
from flawsmith.experiment.score.facts import Reconstruction
from flawsmith.experiment.score.nearness import MARGIN, Compared, compare, summarise
from flawsmith.experiment.score.request import ScoreRequest
from flawsmith.experiment.synthesis import synthesis_records
from flawsmith.losses.reconstruction import defect_mask
from flawsmith.models.surface_painter import soft_neighbourhood
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import Batch, System, stack_tiles
from flawsmith.systems.dbs_gan import DbsGan
from flawsmith.systems.dbs_gan_exemplar import CONTRAST, ExemplarDbsGan
from flawsmith.systems.load import Synthesizer, load_config, load_synthesizer
from flawsmith.systems.style import style_of
from flawsmith.systems.surface_painting import SurfacePainting
from flawsmith.systems.surface_style import style_on_surface
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.loop import Advance

Floats = NDArray[np.float32]

BATCH = 16
EXAMPLES = 4
"""Tiles of a class that the page shows."""


@dataclass(frozen=True)
class Rebuilder:
    """A synthesizer that rebuilds, and the checkpoint it is from."""

    synthesizer: Synthesizer
    checkpoint: str


@dataclass(frozen=True)
class Example:
    """A rebuilt tile to show: H x W x C in [0, 1] each; ``before`` as in `Reconstruction`."""

    class_id: int
    file_name: str
    real: Floats
    before: Floats | None
    rebuilt: Floats


@dataclass(frozen=True)
class _RealTile:
    place: Place
    tile: Tile
    known: NDArray[np.bool_]


def find_rebuilder(request: ScoreRequest, run: Path | None) -> Rebuilder | str:
    """Return the set's synthesizer, or the reason why nothing is rebuilt.

    Args:
        request: names run and system, where the set has its ``synthesis.json``.
        run: its folder; by default looked for beside the set and among the runs.

    Raises:
        FlawsmithError: if the given run is none, did not make the set, was trained on since, or has
            seen a held-out part.
    """
    given = run is not None
    if run is None:
        if request.origin is None:
            return "the set does not say which run made it (no synthesis.json); give it with --run"
        run = _beside(request)
        if run is None:
            return (
                f"its run {request.origin.run} was not found beside the set or in {RUNS}; give it "
                "with --run"
            )
    try:
        return _fitting(request, run)
    except FlawsmithError as error:
        if given:
            raise
        return str(error)


def rebuild(
    request: ScoreRequest,
    rebuilder: Rebuilder,
    places: Sequence[Place],
    seed: int,
    advance: Advance | None = None,
) -> tuple[Reconstruction, list[Example]]:
    """Return how near the rebuilt tiles round held-out defects are to the real ones.

    Args:
        request: the data.
        rebuilder: see `find_rebuilder`.
        places: the held-out defects, one tile each.
        seed: of what is random: the noise, and which surface covers a removed defect.
        advance: told what is done.

    Raises:
        FlawsmithError: if an image or mask cannot be read.
    """
    synthesizer = rebuilder.synthesizer
    compared: list[Compared] = []
    examples: list[Example] = []
    shown: dict[int, int] = {}
    if advance:
        advance(0, note="rebuilding real tiles")
    records = {record.file_name: record for record in request.held_out}
    for start in range(0, len(places), BATCH):
        tiles = [
            _cut(request, records[place.file_name], place, synthesizer.tile_size, (seed, start + i))
            for i, place in enumerate(places[start : start + BATCH])
        ]
        rebuilt, before = _rebuilt(synthesizer, stack_tiles([t.tile for t in tiles]))
        for row, real in enumerate(tiles):
            made = _unit(rebuilt, row)
            old = None if before is None else _unit(before, row)
            place, labels = real.place, real.tile.label_map.defects
            near = labels == place.class_id
            compared.append(
                compare(place, near, real.known & (labels != IGNORE), real.tile.image, made, old)
            )
            shown[place.class_id] = shown.get(place.class_id, 0) + 1
            if shown[place.class_id] <= EXAMPLES:
                image = real.tile.image
                examples.append(Example(place.class_id, place.file_name, image, old, made))
    classes, overall = summarise(request.data.schema, compared, seed)
    told, begun = _words(synthesizer.system)
    result = Reconstruction(
        run=synthesizer.run,
        checkpoint=rebuilder.checkpoint,
        system=synthesizer.name,
        tile=synthesizer.tile_size,
        margin=MARGIN,
        shown=told,
        before=begun,
        classes=classes,
        overall=overall,
    )
    return result, examples


def _beside(request: ScoreRequest) -> Path | None:
    """Return the folder of the run that the set names, where it usually is."""
    assert request.origin is not None
    around = request.synthetic.root.resolve().parent
    for folder in (RUNS, around, around / RUNS, around.parent / RUNS):
        if (folder / request.origin.run / CONFIG_FILE).is_file():
            return folder / request.origin.run
    return None


def _fitting(request: ScoreRequest, run: Path) -> Rebuilder | str:
    config = load_config(run)
    origin = request.origin
    name = run.absolute().name
    if origin is not None and (origin.run, origin.system) != (name, config.system):
        raise FlawsmithError(
            f"{request.synthetic.root} was made by the run {origin.run} ({origin.system}), not by "
            f"{run} ({config.system}); give the run that made it, or leave --run out"
        )
    if not issubclass(SYSTEMS.get(config.system), DbsGan | SurfacePainting):
        return f"{config.system} does not learn to rebuild real images"
    records = synthesis_records(run, request.data, request.fold)
    seen = {r.file_name for r in records} & {r.file_name for r in request.held_out}
    if seen:
        raise FlawsmithError(
            f"{run} was trained on {min(seen)}, which is held out here; score against the parts "
            "that it has not seen (--against test)"
        )
    found = ckpt.checkpoints(run)
    if origin is not None and found and found[-1].name != origin.checkpoint:
        raise FlawsmithError(
            f"{run} is now at checkpoint {found[-1].name}, the set was made at "
            f"{origin.checkpoint}; synthesize the set again, or leave --run out"
        )
    return Rebuilder(load_synthesizer(run.absolute()), found[-1].name)


def _cut(
    request: ScoreRequest, record: ImageRecord, place: Place, size: int, seed: tuple[int, int]
) -> _RealTile:
    """Return the tile round a defect at native scale, and where it shows real pixels."""
    dataset = request.data
    rng = np.random.default_rng(seed)
    image, labels = to_unit(dataset.image(record), dataset.schema), dataset.label_map(record)
    clean = remove_defects(image, labels.defects, rng, donor=_donor(request, rng))
    window = window_of(place, image.shape[:2], size)
    starts = [
        start - (size - length) // 2
        for start, length in ((window.top, window.height), (window.left, window.width))
    ]
    middle = (size - 1) / 2
    view = View((starts[0] + middle, starts[1] + middle))
    both, cut_labels = cut(np.concatenate([image, clean], axis=2), labels, view, size)
    real, bare = np.split(both, 2, axis=2)
    rows, columns = (
        (np.arange(size) + start >= 0) & (np.arange(size) + start < length)
        for start, length in zip(starts, image.shape[:2], strict=True)
    )
    tile = Tile(real, cut_labels, place.class_id, int(rng.integers(1 << 53)), bare)
    return _RealTile(place, tile, rows[:, None] & columns[None, :])


def _donor(request: ScoreRequest, rng: np.random.Generator) -> Floats | None:
    """Return a good image whose surface covers defects that leave no room in their own."""
    if not request.good:
        return None
    record = request.good[int(rng.integers(len(request.good)))]
    return to_unit(request.data.image(record), request.data.schema)


@torch.inference_mode()
def _rebuilt(synthesizer: Synthesizer, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Return the rebuilt tiles and what was painted on, both on the CPU."""
    device = synthesizer.device
    moved = batch.to(device, synthesizer.precision.memory_format)
    with synthesizer.precision.autocast(device):
        images, before = _by_system(synthesizer.system, moved)
    return images.float().cpu(), None if before is None else before.float().cpu()


def _by_system(system: System, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Return what the system makes of real tiles as it does in training, without updating it."""
    if isinstance(system, SurfacePainting):
        assert batch.clean is not None  # `_cut` removes the defects
        style = style_on_surface(batch.images, batch.clean, batch.defects)
        shown = system.shown(batch)
        inside, reach = defect_mask(batch.defects), system.config.network
        weight = soft_neighbourhood(inside, reach=reach.reach, fall=reach.fall)
        before, _ = system.on_canvas(batch.clean, shown, inside, weight)
        return system.paint(batch.clean, batch.defects, style, batch.seeds, shown), before
    assert isinstance(system, DbsGan)  # `_fitting` lets no other through
    style = style_of(batch, system.schema.num_backgrounds)
    image, _, _ = system.generate(batch.defects, batch.backgrounds, batch.seeds, style)
    return image, None


def _words(system: System) -> tuple[str, str]:
    """Return what a system is told of the real tile, and what it paints on."""
    if isinstance(system, ExemplarDbsGan):
        return (
            "the real surface with the defect removed, the label map, tone and grain of the "
            "defect, and the real defect itself with its contrast changed by up to "
            f"{CONTRAST:.0%}, as in training",
            "the surface with that disturbed defect pasted in",
        )
    if isinstance(system, SurfacePainting):
        return (
            "the real surface with the defect removed, the label map, and tone and grain of the "
            "defect",
            "the surface with the defect removed",
        )
    styled = isinstance(system, DbsGan) and system.config.network.style
    return "the label map" + (", and tone and contrast of the tile" if styled else ""), ""


def _unit(images: Tensor, row: int) -> Floats:
    """Return image ``row`` as H x W x C in [0, 1]."""
    image = images[row].clamp(-1.0, 1.0).permute(1, 2, 0).numpy()
    return np.asarray((image + 1.0) / 2.0, np.float32)
