"""Figures 12 and 14 of the seed paper: what each system makes, and what it teaches to find."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import read_index_mask
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.compare.examples import PER_CLASS, Example, read_examples
from flawsmith.experiment.compare.plan import Step
from flawsmith.experiment.compare.runs import SystemComparison
from flawsmith.experiment.report.facts import Picture
from flawsmith.experiment.report.pictures import (
    Pixels,
    defect_pixels,
    diagram,
    displayed,
    draw,
    label_picture,
    largest_region,
    photo,
    row_of,
    square_window,
    whole,
    window_around,
)
from flawsmith.experiment.training_data import held_out_records
from flawsmith.metrics.evaluation import EVALUATION_FILE, Evaluation

TILE_BOX = 80
TEST_BOX = 190


@dataclass(frozen=True)
class Row:
    """One row of a figure, a cell a column; None where there is no picture.

    Attributes:
        note: in small print under the name.
        outlined: the same with the made masks drawn in, for Figure 12.
    """

    name: str
    note: str
    cells: list[Picture | None]
    outlined: list[Picture | None] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """Rows under headings."""

    columns: list[str]
    rows: list[Row]


def figure_12(test: SystemComparison, sources: dict[str, str]) -> Figure | None:
    """Return one row a system, a column a class; None while no system has made any.

    The first row shows the label maps that were asked for, the last real crops.

    Args:
        test: the comparison.
        sources: mask source of each system that has made its set.
    """
    found = {name: read_examples(_examples_folder(test, name), test.dataset) for name in sources}
    found = {name: examples for name, examples in found.items() if examples}
    if not found:
        return None
    dataset = test.dataset
    ids = list(dict.fromkeys(e.class_id for e in next(iter(found.values()))))
    columns = [dataset.schema.defects[i - 1].name for i in ids]
    asked = next(iter(found.values()))
    maps = [label_picture(e.asked, dataset.schema) for e in asked]
    rows = [Row("asked for", "label maps, drawn at random", _by_class(asked, maps, ids, flat=True))]
    for name, examples in found.items():
        plain = [e.image for e in examples]
        masks = [
            draw(e.image, whole(e.image.shape), dataset.schema, truth=e.made, box=2 * TILE_BOX)
            for e in examples
        ]
        note = _source_words(sources[name])
        outlined = _by_class(examples, masks, ids, side=2 * TILE_BOX)
        rows.append(Row(name, note, _by_class(examples, plain, ids), outlined))
    rows.append(Row("real", "training images, drawn at random", _real_cells(test, ids)))
    return Figure(columns, rows)


def _source_words(source: str) -> str:
    words = {
        "conditioning": "mask: the label map itself",
        "joint": "takes the class alone; mask: made with the image",
        "difference": "mask: difference from the image before",
        "pseudo": "mask: guessed by a model of real images",
    }
    return words.get(source, f"mask: {source}")


def _examples_folder(test: SystemComparison, name: str) -> Path:
    return test.identity.examples_folder(Step("synthesis", name).as_test(test.settings))


def _by_class(
    examples: Sequence[Example],
    pictures: Sequence[Pixels],
    ids: Sequence[int],
    *,
    flat: bool = False,
    side: int = TILE_BOX,
) -> list[Picture | None]:
    """Return the pictures of each class beside each other."""
    cells: list[Picture | None] = []
    for class_id in ids:
        own = [p for e, p in zip(examples, pictures, strict=True) if e.class_id == class_id]
        strip = row_of(own, side, PER_CLASS) if own else None
        cells.append(None if strip is None else (diagram if flat else photo)(strip))
    return cells


def _real_cells(test: SystemComparison, ids: Sequence[int]) -> list[Picture | None]:
    """Return crops of real training images round a defect of each class, at the same scale."""
    dataset = test.dataset
    seen = [r for r in dataset.usable() if r.source == "real" and r.fold != test.settings.fold]
    cells: list[Picture | None] = []
    for class_id in ids:
        crops = []
        for record in _drawn(seen, dataset.schema.defects[class_id - 1].name, PER_CLASS):
            mask = dataset.label_map(record).defects == class_id
            region = largest_region(mask)
            if region is not None:
                image = displayed(dataset.image(record), dataset.schema)
                crops.append(square_window(region[0], test.tile_size, image.shape).of(image))
        cells.append(photo(row_of(crops, TILE_BOX, PER_CLASS)) if crops else None)
    return cells


def _drawn(records: Sequence[ImageRecord], name: str, count: int) -> list[ImageRecord]:
    """Return images with a mask that show a class, in an order that nobody chose."""
    own = [r for r in records if name in r.labels and r.mask_file_name]
    return sorted(own, key=lambda r: hashlib.sha256(r.file_name.encode()).digest())[:count]


def figure_14(test: SystemComparison) -> tuple[Figure | None, list[str]]:
    """Return a row a test image, a column an inspection model, and the models that have none here.

    One test image of each class is drawn at random. The models are those of the first seed; their
    predictions are in their run folders, which may lie on another machine.
    """
    dataset = test.dataset
    found, absent = _predictions(test)
    if not found:
        return None, absent
    tested = held_out_records(dataset, test.settings.fold)
    rows = []
    for name in dataset.schema.defect_names:
        for record in _drawn(tested, name, 1):
            rows.append(Row(name, record.part, _test_cells(dataset, record, found)))
    return Figure(["test image", *found], rows), absent


def _predictions(test: SystemComparison) -> tuple[dict[str, tuple[Path, Evaluation]], list[str]]:
    found, absent = {}, []
    for arm in (REAL, *test.settings.systems):
        step = Step("model", arm)
        if test.line(step) is None:
            continue
        run = test.identity.model_folder(step.as_test(test.settings), test.mix(arm))
        if (run / EVALUATION_FILE).is_file():
            found[arm] = (run, Evaluation.load(run))
        else:
            absent.append(arm)
    return found, absent


def _test_cells(
    dataset: DefectDataset, record: ImageRecord, found: dict[str, tuple[Path, Evaluation]]
) -> list[Picture | None]:
    """Return the image with its truth, then with each model's regions too."""
    image, schema = displayed(dataset.image(record), dataset.schema), dataset.schema
    truth = dataset.label_map(record).defects
    window = window_around(defect_pixels(truth))
    cells: list[Picture | None] = [photo(draw(image, window, schema, truth=truth, box=TEST_BOX))]
    for run, evaluation in found.values():
        name = evaluation.predictions.get(record.file_name)
        path = None if name is None else run / name
        if path is None or not path.is_file():
            cells.append(None)
            continue
        regions = read_index_mask(path)
        drawn = draw(image, window, schema, truth=truth, prediction=regions, box=TEST_BOX)
        cells.append(photo(drawn))
    return cells
