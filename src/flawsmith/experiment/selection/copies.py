"""Which synthetic defects are copies of training defects: near in features and in pixels both."""

import sys
from collections import defaultdict

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.experiment.score.figures import Sides
from flawsmith.experiment.score.table import gather
from flawsmith.experiment.selection.facts import CopyFigures
from flawsmith.metrics.generation import best_correlation, copy_threshold, nearest_distance
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
            gather(source, records, network, tile=tile, limit=sys.maxsize, advance=advance)
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
    known = sides.training.features["in_mask"]
    distances, nearest = nearest_distance(sides.synthetic.features["in_mask"], known)
    limit = copy_threshold(nearest_distance(sides.held_out.features["in_mask"], known)[0])
    own = sides.training.signatures
    correlation, _ = best_correlation(sides.synthetic.signatures, own)
    alike = copy_threshold(-best_correlation(sides.held_out.signatures, own)[0])
    copied = limit.flags(distances) & alike.flags(-correlation)
    usual = limit.median or 1.0
    return [
        (
            place.file_name,
            CopyFigures(
                name=name,
                nearest=sides.training.places[nearest[i]].file_name,
                ratio=float(distances[i] / usual),
                ratio_limit=limit.value / usual,
                correlation=float(correlation[i]),
                copied=bool(copied[i]),
            ),
        )
        for i, place in enumerate(sides.synthetic.places)
    ]
