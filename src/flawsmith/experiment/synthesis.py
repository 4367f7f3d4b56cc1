"""Synthesis of a labelled data set: label maps from the mask bank, images from a synthesizer.

Where labels are for whole images there are no masks: the class alone is asked for.

Image i depends on the settings and i alone, so a killed synthesis goes on where it stopped and
ends with the same files.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel, validate
from flawsmith.data.dataset import DatasetWriter, DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import ImageArray, from_unit
from flawsmith.data.mask_bank.sizes import SizeRange
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.drawing import Banks, Drawn, make_request, require_whole_masks
from flawsmith.experiment.training_data import training_records
from flawsmith.experiment.whole_image_synthesis import (
    WholeImages,
    require_askable,
    require_no_places,
)
from flawsmith.storage import exclusive, require_free, write_text
from flawsmith.systems import SYSTEMS
from flawsmith.systems.base import Samples
from flawsmith.systems.load import Synthesizer, load_config, load_synthesizer
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import RunConfig
from flawsmith.training.loop import Advance

SETTINGS_FILE = "synthesis.json"

NEW_SHAPES = 0.5
"""Share of the defects with a new shape, for systems that paint them themselves."""


class SynthesisSettings(StrictModel):
    """What a synthetic set follows from; written to ``synthesis.json`` before its first image.

    Attributes:
        run: folder name of the synthesizer's run.
        checkpoint: the one of that run that was loaded.
        fold: the test fold, of which nothing is used.
        plan: images to make for each defect, by name.
        max_defects: most defects in one image.
        tile_size: height and width of the images.
        sizes: wanted equivalent diameters of the defects in pixels; None: as the real ones vary.
        data: fingerprint of the data set that masks and layouts come from.
        new_shapes: share of the defects whose shape no image shows.
        validation_share: of the training parts that the run kept for validation; None: not told.
    """

    format_version: int = 1
    run: str
    checkpoint: str
    system: str
    fold: int | None
    seed: int
    plan: dict[str, int]
    max_defects: int
    tile_size: int
    data: str
    sizes: tuple[float, float] | None = None
    new_shapes: float = Field(default=0.0, ge=0.0, le=1.0)
    validation_share: float | None = None

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return the settings of a synthetic set; None if it has no ``synthesis.json``.

        Raises:
            FlawsmithError: if the file is there and wrong.
        """
        path = folder / SETTINGS_FILE
        if not path.is_file():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise FlawsmithError(
                f"{path} is not JSON: {error}; remove {folder} and synthesize the set again"
            ) from None
        return validate(cls, values, source=str(path))

    def save(self, folder: Path) -> None:
        """Write ``synthesis.json``."""
        write_text(folder / SETTINGS_FILE, json.dumps(self.model_dump(), indent=2) + "\n")

    @property
    def size_range(self) -> SizeRange | None:
        """The wanted sizes."""
        return None if self.sizes is None else SizeRange(*self.sizes)

    @property
    def total(self) -> int:
        """Images of the whole set."""
        return sum(self.plan.values())

    def image_seed(self, index: int) -> int:
        """Return the seed of everything random in image ``index``; 53 bits, exact in JSON."""
        state = np.random.SeedSequence((self.seed, index)).generate_state(1, np.uint64)
        return int(state[0] >> np.uint64(11))

    def class_ids(self, schema: Schema) -> NDArray[np.uint8]:
        """Return the defect of each image, shuffled: a part of the set is about balanced too."""
        ids = [schema.defect(name).id for name in self.plan]
        ordered = np.repeat(np.array(ids, np.uint8), list(self.plan.values()))
        return np.random.default_rng(self.seed).permutation(ordered)


@dataclass(frozen=True)
class SynthesisReport:
    """What a call of `synthesize` did.

    Attributes:
        out: the synthetic data set.
        images: in it.
        new_images: of them made now; the others were there already.
        seconds: it took to make them.
    """

    out: Path
    images: int
    new_images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """New images a second."""
        return self.new_images / self.seconds if self.seconds else 0.0


def synthesize(
    run: Path,
    dataset: DefectDataset,
    out: Path,
    *,
    plan: dict[str, int],
    fold: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    max_defects: int = 1,
    sizes: SizeRange | None = None,
    new_shapes: float | None = None,
    advance: Advance | None = None,
) -> SynthesisReport:
    """Make a synthetic data set in ``out``, or go on with one that a kill left behind.

    Masks, layouts and real pixels are of its training images, never of test or validation parts.

    Args:
        run: folder of a trained synthesizer.
        dataset: the one that the run was trained on.
        out: where the synthetic set is or shall be.
        plan: images to make for each defect, by name.
        fold: the test fold; by default the run's, and no other is accepted.
        seed: of everything random.
        batch_size: images at a time; files are equal bit by bit for the same batch size only.
        max_defects: most defects in one image.
        sizes: of the defects; by default as the real ones vary.
        new_shapes: share of the defects whose shape no image shows; by default half of them where
            the system paints defects itself, and none where it shows the pictures of real ones.
        advance: told of finished images.

    Raises:
        FlawsmithError: if run, data, fold, plan and sizes do not fit together, or ``out`` holds
            anything but a beginning of this very set.
    """
    _require_counts(batch_size, max_defects, seed)
    records = synthesis_records(run, dataset, fold)
    config, synthesizer = load_config(run), load_synthesizer(run)
    if config.data.labels == "image":
        require_no_places(max_defects, sizes, new_shapes, run=synthesizer.run)
    require_whole_masks(synthesizer.system, synthesizer.name, sizes)
    shapes = _share_of_new_shapes(new_shapes, synthesizer, config)
    source = _source(plan, config, dataset, records)
    settings = SynthesisSettings(
        run=synthesizer.run,
        checkpoint=ckpt.checkpoints(run)[-1].name,
        system=synthesizer.name,
        fold=synthesizer.fold,
        seed=seed,
        plan=plan,
        max_defects=max_defects,
        tile_size=synthesizer.tile_size,
        data=dataset.fingerprint(),
        sizes=None if sizes is None else (sizes.low, sizes.high),
        new_shapes=shapes,
        validation_share=config.data.validation_share,
    )
    return fill(synthesizer, source, out, settings, batch_size=batch_size, advance=advance)


def synthesis_records(
    run: Path, dataset: DefectDataset, fold: int | None = None
) -> list[ImageRecord]:
    """Return the real records that a run was trained on: all that a synthesis of it may use.

    Raises:
        FlawsmithError: if ``fold`` is not the run's test fold, or the classes of run and data set
            differ.
    """
    config, schema = load_config(run), Schema.load(run)
    if fold is not None and fold != config.data.fold:
        left_out = "no fold" if config.data.fold is None else f"fold {config.data.fold}"
        raise FlawsmithError(
            f"{run} was trained leaving out {left_out}, not fold {fold}, so its images would show "
            f"what fold {fold} tests; train one for it with: flawsmith train {config.system} "
            f"--data {dataset.root} --fold {fold}"
        )
    for kind in ("backgrounds", "defects"):
        names = [[e.name for e in getattr(s, kind)] for s in (schema, dataset.schema)]
        if names[0] != names[1]:
            raise FlawsmithError(
                f"{run} knows the {kind} {', '.join(names[0])}; {dataset.root} has "
                f"{', '.join(names[1])}; give the data set that the run was trained on"
            )
    training, _ = training_records(dataset, config.data)
    return [record for record in training if record.source == "real"]


def fill(
    synthesizer: Synthesizer,
    source: Banks | WholeImages,
    out: Path,
    settings: SynthesisSettings,
    *,
    batch_size: int,
    advance: Advance | None = None,
) -> SynthesisReport:
    """Stream the missing images into ``out``; memory does not grow with their number.

    Raises:
        FlawsmithError: if ``out`` holds anything but a beginning of the set with these settings.
    """
    _claim(out, settings)
    class_ids = settings.class_ids(synthesizer.schema)
    started = time.perf_counter()
    with (
        exclusive(out, what="synthetic set"),
        DatasetWriter(out, synthesizer.schema) as writer,
    ):
        first = len(writer)
        if advance and first:
            advance(first)
        # Whole batches even after a kill: rounding may depend on what else is in a batch.
        for start in range(first - first % batch_size, settings.total, batch_size):
            indices = range(start, min(start + batch_size, settings.total))
            seeds = [settings.image_seed(index) for index in indices]
            drawn = [
                source.draw(
                    seed,
                    int(class_ids[index]),
                    settings.tile_size,
                    max_defects=settings.max_defects,
                    sizes=settings.size_range,
                    new_shapes=settings.new_shapes,
                )
                for index, seed in zip(indices, seeds, strict=True)
            ]
            samples = synthesizer.sample(make_request(drawn), torch.tensor(seeds))
            new = [index for index in indices if index >= first]
            for index in new:
                _write(writer, index, samples, index - start, drawn[index - start], settings)
            writer.flush()
            if advance:
                rate = (indices.stop - first) / (time.perf_counter() - started)
                advance(len(new), note=f"{rate:.1f} images/s")
        new_images = len(writer) - first
    return SynthesisReport(out, settings.total, new_images, time.perf_counter() - started)


def to_pixels(samples: Samples, index: int, schema: Schema) -> ImageArray:
    """Return image ``index`` as pixels of the schema's depth."""
    image = samples.images[index].float().permute(1, 2, 0).numpy()
    return from_unit((image + np.float32(1)) / np.float32(2), schema)


def _write(
    writer: DatasetWriter,
    index: int,
    samples: Samples,
    row: int,
    drawn: Drawn,
    settings: SynthesisSettings,
) -> None:
    label_map, names = _label(samples, row, drawn, writer.schema)
    labels: dict[str, Any] = {} if names is None else {"labels": names, "weak_labels": names}
    writer.add(
        f"synthetic-{index:06d}",
        to_pixels(samples, row, writer.schema),
        label_map,
        part=f"synthetic-{index}",
        source="synthetic",
        parents=list(drawn.parents),
        system=settings.system,
        run=settings.run,
        seed=int(samples.seeds[row]),
        mask_source=samples.mask_source,
        **labels,
    )


def _label(
    samples: Samples, row: int, drawn: Drawn, schema: Schema
) -> tuple[LabelMap, list[str] | None]:
    """Return the label map of an image, which tells its labels; or no mask, and its labels."""
    defects = samples.defects[row].numpy().astype(np.uint8)
    if samples.mask_source != "none":
        return LabelMap(defects, samples.backgrounds[row].numpy().astype(np.uint8)), None
    asked = int(drawn.label_map.defects[0, 0])
    names = [schema.defects[asked - 1].name] if defects.any() else []
    nothing = np.zeros_like(defects)
    return LabelMap(nothing, nothing), names


def _require_counts(batch_size: int, max_defects: int, seed: int) -> None:
    if batch_size < 1 or max_defects < 1 or seed < 0:
        raise FlawsmithError(
            f"batch size {batch_size}, max defects {max_defects}, seed {seed}: expected at least "
            "1, 1 and 0"
        )


def _source(
    plan: dict[str, int],
    config: RunConfig,
    dataset: DefectDataset,
    records: Sequence[ImageRecord],
) -> Banks | WholeImages:
    """Return what the requests are drawn from.

    Raises:
        FlawsmithError: if there is nothing of a class of the plan.
    """
    needs = SYSTEMS.get(config.system).needs
    if config.data.labels == "image":
        require_askable(plan, config, dataset.schema, records)
        return WholeImages.from_dataset(dataset, records, needs)
    banks = Banks.from_dataset(dataset, records, needs)
    banks.require_masks(plan)
    return banks


def _share_of_new_shapes(
    wanted: float | None, synthesizer: Synthesizer, config: RunConfig
) -> float:
    """Return the share that was asked for, or the default of the system; 0 without masks."""
    if config.data.labels == "image":
        return 0.0
    pictured = "exemplars" in synthesizer.system.needs
    if wanted is None:
        return 0.0 if pictured else NEW_SHAPES
    if not 0.0 <= wanted <= 1.0:
        raise FlawsmithError(f"new shapes {wanted:g}: expected a share from 0 to 1")
    if wanted and pictured:
        raise FlawsmithError(
            f"{synthesizer.name} shows the pictures of real defects, whose shapes are theirs: it "
            "can have no new ones; leave --new-shapes out"
        )
    return wanted


def _claim(out: Path, settings: SynthesisSettings) -> None:
    """Write the settings into ``out``, or check that it was begun with the same ones."""
    before = SynthesisSettings.load(out)
    if before is None:
        require_free(out, what="synthetic set")
        out.mkdir(parents=True, exist_ok=True)
        settings.save(out)
        return
    differences = list(_differences(before, settings))
    if differences:
        raise FlawsmithError(
            f"{out} was begun with other settings: {'; '.join(differences)}; give another --out, "
            "or remove it first"
        )


def _differences(before: SynthesisSettings, now: SynthesisSettings) -> Iterator[str]:
    for name in SynthesisSettings.model_fields:
        then, given = getattr(before, name), getattr(now, name)
        told = name != "validation_share" or then is not None  # older sets do not tell it
        if told and then != given:
            yield f"{name} was {then}, is {given}"
