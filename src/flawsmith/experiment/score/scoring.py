"""The comparison of a synthetic set with held-out real images: all figures of a score."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsmith import __version__
from flawsmith.experiment.score.crops import CROP_SIZE
from flawsmith.experiment.score.facts import ClassScore, InceptionFigure, InceptionFile, Score
from flawsmith.experiment.score.figures import (
    IMAGE,
    RESAMPLES,
    VARIANTS,
    WHOLE,
    Measured,
    Sides,
    average,
    score_class,
)
from flawsmith.experiment.score.rebuilding import Example, find_rebuilder, rebuild
from flawsmith.experiment.score.request import ScoreRequest
from flawsmith.experiment.score.table import LIMIT, gather
from flawsmith.metrics.generation import inception_score
from flawsmith.metrics.generation.features import FEATURE_NETWORKS, FeatureNetwork, Variant
from flawsmith.metrics.generation.inception_features import NAME as INCEPTION
from flawsmith.metrics.generation.inception_features import load_inception
from flawsmith.training.loop import Advance

SPLITS = 10
"""Of the Inception score, as published; sets of fewer than `FEWEST_SPLIT` tiles are not split."""

FEWEST_SPLIT = 500
NO_PLACE = "labels are for whole images, and nobody knows where in one its defect would have to be"


class Scored(NamedTuple):
    """A score, the defects it comes from and some of the rebuilt tiles."""

    score: Score
    sides: Sides
    examples: list[Example]


def score(
    request: ScoreRequest,
    *,
    features: str = "efficientnet_lite0",
    inception: Path | None = None,
    run: Path | None = None,
    limit: int = LIMIT,
    seed: int = 0,
    advance: Advance | None = None,
) -> Scored:
    """Return all figures, and what they come from.

    Args:
        request: see `flawsmith.experiment.score.prepare`.
        features: name of the feature network.
        inception: file of the weights of a second network, that of FID.
        run: of the synthesizer; by default that which ``synthesis.json`` names, where it is found.
        limit: most defects of a class and origin; more are drawn from at random.
        seed: of every draw.
        advance: told of images that were read.

    Raises:
        FlawsmithError: if there is no such network, its weights are missing or wrong, a file is
            damaged, or the given run did not make the set.
    """
    # What is wrong is said before the long work.
    rebuilder = find_rebuilder(request, run) if request.level == "pixel" else NO_PLACE
    second = None if inception is None else load_inception(inception)
    tile = min(min(r.height, r.width) for r in request.made)
    look = partial(_seen, request, tile=tile, seed=seed, limit=limit, advance=advance)
    seen = look(FEATURE_NETWORKS.get(features)(), whole=request.level == "pixel")
    measured = [Measured(features, seen, variants_of(request.level))]
    if second is not None:
        variants = variants_of(request.level, masks=False)
        measured.append(Measured(INCEPTION, look(second, whole=True), variants))
    sides = measured[0].sides
    rebuilt, examples = None, list[Example]()
    if not isinstance(rebuilder, str):
        rebuilt, examples = rebuild(request, rebuilder, sides.held_out.places, seed, advance)
    classes, overall = _classes(request, measured, seed)
    result = Score(
        **_origin(request),
        features=features,
        crop_size=CROP_SIZE,
        tile=tile,
        limit=limit,
        seed=seed,
        resamples=RESAMPLES,
        classes=classes,
        overall=overall,
        inception=None
        if second is None
        else InceptionFile(name=INCEPTION, file=str(inception), sha256=second.sha256),
        reconstruction=rebuilt,
        no_reconstruction=rebuilder if isinstance(rebuilder, str) else "",
        version=__version__,
        level=request.level,
    )
    return Scored(result, sides, examples)


def variants_of(level: str, *, masks: bool = True) -> tuple[Variant, ...]:
    """Return the features that are compared at a level, of a network that may know of masks."""
    if level == "image":
        return IMAGE
    return VARIANTS if masks else WHOLE


def _origin(request: ScoreRequest) -> dict[str, Any]:
    """Return what a score says of where its images are from."""
    return {
        "synthetic": str(request.synthetic.root),
        "data": str(request.data.root),
        "data_fingerprint": request.data.fingerprint(),
        "system": request.origin.system if request.origin else request.made[0].system or "",
        "run": request.origin.run if request.origin else request.made[0].run or "",
        "mask_source": Counter(r.mask_source for r in request.made).most_common(1)[0][0],
        "fold": request.fold,
        "against": request.against,
        "simulated": request.data.schema.simulated,
    }


def _seen(
    request: ScoreRequest,
    network: FeatureNetwork,
    *,
    whole: bool,
    tile: int,
    seed: int,
    limit: int,
    advance: Advance | None,
) -> Sides:
    """Return the defects of the three origins in the eyes of a network."""
    origins = (
        (request.synthetic, request.made),
        (request.data, request.training),
        (request.data, request.held_out),
    )
    return Sides(
        *(
            gather(
                dataset,
                records,
                network,
                tile=tile,
                seed=seed,
                limit=limit,
                whole=whole,
                places=request.level == "pixel",
                advance=advance,
            )
            for dataset, records in origins
        )
    )


def _classes(
    request: ScoreRequest, measured: list[Measured], seed: int
) -> tuple[list[ClassScore], ClassScore]:
    """Return the figures of each class and those of all."""
    parents = {record.file_name: record.parents for record in request.made}
    found = []
    for defect in request.data.schema.defects:
        own = [m.of_class(defect.id) for m in measured]
        row, replicates = score_class(defect, own, parents, seed)
        found.append((row.model_copy(update=_inception_scores(own[-1].sides)), replicates))
    # A class that the set does not try to show is not among its failures.
    shown = [pair for pair in found if pair[0].synthetic]
    names = [name for m in measured for name in m.names]
    overall = average([pair[0] for pair in shown], [pair[1] for pair in shown], names)
    together = overall.model_copy(update=_inception_scores(measured[-1].sides))
    return [pair[0] for pair in found], together


def _inception_scores(sides: Sides) -> dict[str, InceptionFigure | None]:
    """Return the Inception scores of synthetic and of all real tiles, where there are any."""
    tables = (sides.training, sides.held_out)
    real = [t.probabilities for t in tables if t.probabilities is not None]
    return {
        "inception": _inception_score(sides.synthetic.probabilities),
        "inception_real": _inception_score(np.concatenate(real) if real else None),
    }


def _inception_score(probabilities: NDArray[np.float32] | None) -> InceptionFigure | None:
    if probabilities is None or not len(probabilities):
        return None
    splits = SPLITS if len(probabilities) >= FEWEST_SPLIT else 1
    value, spread = inception_score(probabilities, splits=splits)
    return InceptionFigure(value=value, spread=spread, images=len(probabilities), splits=splits)
