"""Which synthetic defects are copies of training defects: near in features and in pixels both."""

import sys
from collections import defaultdict

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.experiment.score.figures import Sides
from flawsmith.experiment.score.table import gather
from flawsmith.experiment.selection.facts import CopyFigures
from flawsmith.metrics.generation.features import FEATURE_NETWORKS
from flawsmith.training.loop import Advance


def copy_figures(
    synthetic: DefectDataset,
    made: list[ImageRecord],
    dataset: DefectDataset,
    training: list[ImageRecord],
    held_out: list[ImageRecord],
    *,
    features: str,
    tile: int,
    advance: Advance | None = None,
) -> dict[str, list[CopyFigures]]:
    """Return the figures of each synthetic image, one for each of its defects.

    One figure alone flags one in twenty fresh real defects; a copy is flagged by both. A class
    without a held-out or training defect has no figures: nothing says what is near.

    Raises:
        FlawsmithError: if the feature network is unknown or its weights are missing.
    """
    network = FEATURE_NETWORKS.get(features)()
    sides = Sides(
        *(
            gather(
                source, records, network, tile=tile, limit=sys.maxsize, whole=False, advance=advance
            )
            for source, records in ((synthetic, made), (dataset, training), (dataset, held_out))
        )
    )
    found: dict[str, list[CopyFigures]] = defaultdict(list)
    for defect in dataset.schema.defects:
        own = sides.of_class(defect.id)
        if all(len(t.places) for t in (own.synthetic, own.training, own.held_out)):
            for name, figures in _of_class(defect.name, own):
                found[name].append(figures)
    return found


def _of_class(name: str, sides: Sides) -> list[tuple[str, CopyFigures]]:
    copies = sides.copies()
    copied = copies.near_in_features & copies.near_in_pixels
    return [
        (
            place.file_name,
            CopyFigures(
                name=name,
                nearest=sides.training.places[copies.nearest[i]].file_name,
                ratio=float(copies.ratios[i]),
                ratio_limit=copies.limit.value / copies.usual,
                correlation=float(copies.correlation[i]),
                copied=bool(copied[i]),
            ),
        )
        for i, place in enumerate(sides.synthetic.places)
    ]
