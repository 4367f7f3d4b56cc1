"""Training of a synthesizer, from a configuration to a run folder with sample sheets."""

import dataclasses
from pathlib import Path

import torch

from flawsmith.config import apply_overrides, load_preset, validate
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.data.tiles import Tile, TileSource
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.sample_gallery import write_gallery
from flawsmith.experiment.training_data import tile_source, training_datasets
from flawsmith.experiment.untrained_run import finish_untrained
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import Batch, SampleRequest, System, stack_tiles
from flawsmith.systems.load import load_config
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.config import RunConfig
from flawsmith.training.loop import Fit, Hooks, Progress
from flawsmith.training.sheets import label_picture, to_picture, write_sheet

SHEET_SEED = 1 << 40
"""First number of the tiles on the sample sheets: far from any that training will reach."""


STYLE_SEED = 1 << 41
"""First number of the tiles that a system may look at before its first step."""


def configure(
    system: str, preset: str, data: Path, *, fold: int | None, overrides: list[str]
) -> RunConfig:
    """Return the complete configuration of a run.

    Raises:
        FlawsmithError: for an unknown system, preset or key, or a wrong value.
    """
    config_class = SYSTEMS.get(system).config_class
    values = load_preset(system, preset)
    values |= {"system": system, "preset": preset}
    given = {"path": str(data.absolute()), "labels": kind_of_labels(data)}
    values["data"] = given | values.get("data", {})
    if fold is not None:
        values["data"]["fold"] = fold
    values = apply_overrides(values, overrides)
    config = validate(config_class, values, source=f"{system} {preset}")
    _require_tile_size(config)
    return config


def build_system(config: RunConfig, schema: Schema) -> System:
    """Return a fresh system with untrained networks."""
    return SYSTEMS.get(config.system)(config, schema)  # type: ignore[call-arg]


def _require_tile_size(config: RunConfig) -> None:
    multiple = SYSTEMS.get(config.system).size_multiple
    if config.training.tile_size % multiple:
        raise FlawsmithError(
            f"training.tile_size = {config.training.tile_size}: {config.system} needs a multiple "
            f"of {multiple}"
        )


def train_synthesizer(config: RunConfig, run: Path, hooks: Hooks, *, resume: bool) -> Progress:
    """Train a system into ``run``, or go on with the run that is there.

    A system that learns nothing gets a complete run folder at once.
    """
    if resume:
        config = load_config(run)
    if issubclass(SYSTEMS.get(config.system), UntrainedSystem):
        return finish_untrained(config, run, hooks, resume=resume)
    datasets, _ = training_datasets(config.data)
    clean = SYSTEMS.get(config.system).trains_on_clean
    source, schema = tile_source(datasets, config, clean=clean), datasets[0].schema
    if not resume:
        create_run(run, config, schema)
    sheet_tiles = _sheet_tiles(source)
    hooks = dataclasses.replace(
        hooks, sample=lambda system, images: _draw_sheet(system, images, sheet_tiles, schema, run)
    )

    def make_batch(first: int, count: int) -> Batch:
        return stack_tiles([source[first + i] for i in range(count)])

    def build() -> System:
        system = build_system(config, schema)
        system.prepare(lambda count: make_batch(STYLE_SEED, count))
        return system

    fit = Fit(
        build=build,
        make_batch=make_batch,
        config=config,
        run=run,
        hooks=hooks,
    )
    return fit()


def _sheet_tiles(source: TileSource) -> list[Tile]:
    """Return one tile of every class and a few more, always the same ones."""
    tiles: list[Tile] = []
    number = SHEET_SEED
    wanted = set(source.classes)
    while wanted:
        tile = source[number]
        if tile.label in wanted:
            wanted.remove(tile.label)
            tiles.append(tile)
        number += 1
    return sorted(tiles, key=lambda tile: tile.label)


@torch.inference_mode()
def _draw_sheet(system: System, images: int, tiles: list[Tile], schema: Schema, run: Path) -> None:
    """Write ``samples/<images>.png``: label, layers, synthetic, real; one row a class."""
    batch: Batch = stack_tiles(tiles)
    device, precision = system.engine.device, system.engine.precision
    defects = torch.where(batch.defects == IGNORE, 0, batch.defects)
    request = SampleRequest(
        defects,
        batch.backgrounds,
        background_images=batch.clean,
        exemplars=batch.images,
        exemplar_known=defects > 0,
    ).to(device)
    with precision.autocast(device):
        samples = system.sample(request, batch.seeds.to(device))
    columns = ["label", *samples.layers, "synthetic", "real"]
    rows = []
    for i, tile in enumerate(tiles):
        layers = [layer[i] for layer in samples.layers.values()]
        pictures = [label_picture(tile.label_map.defects, tile.label_map.backgrounds, schema)]
        pictures += [
            to_picture(image.float().cpu().numpy())
            for image in (*layers, samples.images[i], batch.images[i])
        ]
        name = schema.defects[tile.label - 1].name
        rows.append((name, pictures))
        write_gallery(run / "samples" / "gallery" / name, samples, i, schema)
    write_sheet(run / "samples" / f"{images:010d}.png", columns, rows)
