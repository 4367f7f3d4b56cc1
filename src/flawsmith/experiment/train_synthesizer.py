"""Training of a synthesizer, from a configuration to a run folder with sample sheets."""

import dataclasses
from pathlib import Path

from flawsmith.config import apply_overrides, load_preset, validate
from flawsmith.data.schema import Schema
from flawsmith.data.tiles import TileSource
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.sample_sheet import SampleSheet
from flawsmith.experiment.training_data import tile_source, training_datasets
from flawsmith.experiment.untrained_run import finish_untrained
from flawsmith.experiment.whole_image_synthesis import unlabelled
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import Batch, System, stack_tiles
from flawsmith.systems.load import load_config
from flawsmith.systems.translation import NO_GOOD_IMAGE
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.config import RunConfig
from flawsmith.training.loop import Fit, Hooks, Progress

STYLE_SEED = 1 << 41
"""First number of the tiles that a system may look at before its first step."""


def configure(
    system: str, preset: str, data: Path, *, fold: int | None, overrides: list[str]
) -> RunConfig:
    """Return the complete configuration of a run.

    Raises:
        FlawsmithError: for an unknown system, preset or key, a wrong value, or a system that needs
            masks where there are none.
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
    _require_labels(config)
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


def _require_labels(config: RunConfig) -> None:
    if config.data.labels == "pixel" or SYSTEMS.get(config.system).image_labels:
        return
    others = ", ".join(name for name, system in SYSTEMS if system.image_labels)
    path = Path(config.data.path)
    what = "has labels for whole images only"
    if kind_of_labels(path) == "pixel":
        what = "is read with data.labels = image"
    raise FlawsmithError(
        f"{config.system} needs to know where defects are; {path} {what}: take {others}, or label "
        "masks"
    )


def synthesizer_tiles(config: RunConfig) -> tuple[TileSource, Schema]:
    """Return what a run trains on.

    Raises:
        FlawsmithError: if the system needs good images and gets none.
    """
    datasets, _ = training_datasets(config.data)
    system, whole = SYSTEMS.get(config.system), config.data.labels == "image"
    source = tile_source(datasets, config, clean=system.trains_on_clean and not whole)
    good = config.data.good_share > 0 and "good" in source.composition()["real"]
    if whole and "background_images" in system.needs and not good:
        raise FlawsmithError(f"{config.system}: {NO_GOOD_IMAGE}")
    return source, datasets[0].schema


def note_on_labels(config: RunConfig) -> str | None:
    """Return what to know before a run whose images nobody will be able to label."""
    if config.data.labels == "pixel":
        return None
    dataset = training_datasets(config.data)[0][0]
    return unlabelled(config, dataset.schema, dataset.records)


def train_synthesizer(config: RunConfig, run: Path, hooks: Hooks, *, resume: bool) -> Progress:
    """Train a system into ``run``, or go on with the run that is there.

    A system that learns nothing gets a complete run folder at once.
    """
    if resume:
        config = load_config(run)
    if issubclass(SYSTEMS.get(config.system), UntrainedSystem):
        return finish_untrained(config, run, hooks, resume=resume)
    source, schema = synthesizer_tiles(config)
    note = note_on_labels(config)
    if note is not None:
        hooks.report(f"note: {note}")

    def make_batch(first: int, count: int) -> Batch:
        return stack_tiles([source[first + i] for i in range(count)])

    def build() -> System:
        system = build_system(config, schema)
        system.prepare(lambda count: make_batch(STYLE_SEED, count))
        return system

    if not resume:
        build()  # what it refuses must leave no run behind
        create_run(run, config, schema)
    sheet = SampleSheet.of(source, schema, run, SYSTEMS.get(config.system).needs)
    hooks = dataclasses.replace(hooks, sample=sheet.draw)
    fit = Fit(
        build=build,
        make_batch=make_batch,
        config=config,
        run=run,
        hooks=hooks,
    )
    return fit()
