"""A map of real and synthetic samples: their features laid out in two dimensions, to look at.

Principal components first, which keep what varies most; with enough samples t-SNE after them (van
der Maaten and Hinton 2008), which keeps who is near whom and gives up distances and sizes. Nothing
is judged by it: the figures use all features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from flawsmith.data.schema import Defect, Schema
from flawsmith.experiment.report.figures import Point, scatter
from flawsmith.experiment.score.figures import Sides

MOST = 800
"""Points in all: more hide each other."""

FEWEST_FOR_TSNE = 30
COMPONENTS = 50
"""Before t-SNE, as its authors do."""

PERPLEXITY = 30.0
LARGE, SMALL = 620, 190


@dataclass(frozen=True)
class FeatureMap:
    """What the page shows.

    Attributes:
        method: how the features were laid out.
        real: points in all; ``synthetic`` likewise.
        chart: all classes together.
        classes: (defect, chart) of each on the same axes, if there are several.
    """

    method: str
    real: int
    synthetic: int
    chart: Markup
    classes: list[tuple[Defect, Markup]]


def feature_map(sides: Sides, schema: Schema, seed: int) -> FeatureMap | None:
    """Return the map of at most 800 samples, as many of each class and origin; None without any.

    Args:
        sides: synthetic, training and held-out samples; their order is random already.
        schema: gives the classes and their colours.
        seed: of t-SNE.
    """
    rows: list[NDArray[np.float32]] = []
    owners: list[tuple[int, bool]] = []
    shown = sorted({place.class_id for place in sides.synthetic.places})
    share = MOST // max(1, 2 * len(shown))
    for class_id in shown:
        own = sides.of_class(class_id)
        real = np.concatenate([t.features[own.main] for t in (own.training, own.held_out)])
        if len(real) > share:
            real = real[np.random.default_rng(seed).permutation(len(real))[:share]]
        for features, is_real in ((real, True), (own.synthetic.features[own.main][:share], False)):
            rows += list(features)
            owners += [(class_id, is_real)] * len(features)
    if len(rows) < 3:
        return None
    places, method = laid_out(np.stack(rows), seed)
    colours = {defect.id: defect.colour for defect in schema.defects}
    points = [
        Point(float(x), float(y), colours[class_id], filled=is_real)
        for (x, y), (class_id, is_real) in zip(places, owners, strict=True)
    ]
    real_points = sum(is_real for _, is_real in owners)
    return FeatureMap(
        method=method,
        real=real_points,
        synthetic=len(owners) - real_points,
        chart=scatter(points, f"{method} of real and synthetic samples", size=LARGE),
        classes=_by_class(schema, shown, points, owners) if len(shown) > 1 else [],
    )


def laid_out(features: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float64], str]:
    """Return N x 2 places in [0, 1] and the method; N is 3 at least."""
    count = len(features)
    few = count < FEWEST_FOR_TSNE
    components = 2 if few else min(COMPONENTS, count - 1, features.shape[1])
    analysis = PCA(n_components=components, svd_solver="full")
    with np.errstate(invalid="ignore"):  # equal features have no variance to take shares of
        reduced = analysis.fit_transform(features.astype(np.float64))
    if few:
        kept = float(np.nan_to_num(analysis.explained_variance_ratio_.sum()))
        method = f"two principal components ({100 * kept:.0f} % of the variance)"
    else:
        perplexity = min(PERPLEXITY, (count - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        reduced = tsne.fit_transform(reduced).astype(np.float64)
        method = f"t-SNE (perplexity {perplexity:.0f}) of {components} principal components"
    low, high = reduced.min(axis=0), reduced.max(axis=0)
    span = float((high - low).max()) or 1.0  # one scale for both: distances are not skewed
    return (reduced - (low + high) / 2) / span + 0.5, method


def _by_class(
    schema: Schema,
    shown: Sequence[int],
    points: Sequence[Point],
    owners: Sequence[tuple[int, bool]],
) -> list[tuple[Defect, Markup]]:
    charts = []
    for defect in schema.defects:
        if defect.id in shown:
            own = [p for p, (owner, _) in zip(points, owners, strict=True) if owner == defect.id]
            charts.append((defect, scatter(own, f"{defect.name} alone", size=SMALL)))
    return charts
