"""The run folder of a system that learns nothing: the same files as any other run has."""

import json
from pathlib import Path

import torch

from flawsmith.data.schema import Schema
from flawsmith.experiment.drawing import Banks, make_request
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.sample_gallery import write_gallery
from flawsmith.experiment.training_data import training_datasets
from flawsmith.storage import write_text
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import System
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import RunConfig
from flawsmith.training.logs import ENVIRONMENT_FILE, environment
from flawsmith.training.loop import Hooks, Progress
from flawsmith.training.processes import is_first_process
from flawsmith.training.sheets import label_picture, to_picture, write_sheet


def finish_untrained(config: RunConfig, run: Path, hooks: Hooks, *, resume: bool) -> Progress:
    """Write configuration, schema, an empty checkpoint and a sheet with a sample of each class.

    Raises:
        FlawsmithError: if ``run`` is taken, or the data give nothing to build images from.
    """
    datasets, _ = training_datasets(config.data)
    dataset = datasets[0]
    system: System = SYSTEMS.get(config.system)(config, dataset.schema)  # type: ignore[call-arg]
    records = [record for record in dataset.records if record.source == "real"]
    banks = Banks.from_dataset(dataset, records, system.needs)
    if not is_first_process():
        return Progress()
    if not resume:
        create_run(run, config, dataset.schema)
    _draw_sheet(system, banks, config, dataset.schema, run)
    write_text(run / ENVIRONMENT_FILE, json.dumps(environment(), indent=1))
    progress = Progress()
    state = {
        "progress": vars(progress),
        "precision": {"dtype": "fp32", "channels_last": False},
        "optimizers": {},
    }
    ckpt.write_checkpoint(run, 0, {"networks": {}}, state)
    hooks.report(f"{config.system} learns nothing: there was nothing to train")
    return progress


@torch.inference_mode()
def _draw_sheet(system: System, banks: Banks, config: RunConfig, schema: Schema, run: Path) -> None:
    """Write ``samples/0000000000.png``: label, layers, synthetic; one row a class."""
    classes = banks.masks.classes
    drawn = [banks.draw(class_id, class_id, config.training.tile_size) for class_id in classes]
    samples = system.sample(make_request(drawn), torch.tensor(classes))
    rows = []
    for i, class_id in enumerate(classes):
        name, label_map = schema.defects[class_id - 1].name, drawn[i].label_map
        layers = [layer[i] for layer in samples.layers.values()]
        pictures = [label_picture(label_map.defects, label_map.backgrounds, schema)]
        pictures += [to_picture(image.numpy()) for image in (*layers, samples.images[i])]
        rows.append((name, pictures))
        write_gallery(run / "samples" / "gallery" / name, samples, i, schema)
    write_sheet(run / "samples" / f"{0:010d}.png", ["label", *samples.layers, "synthetic"], rows)
