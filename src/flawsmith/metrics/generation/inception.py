"""Inception score of class probabilities (Salimans et al., NeurIPS 2016)."""

import numpy as np
from numpy.typing import ArrayLike

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.generation.arrays import as_features


def inception_score(probabilities: ArrayLike, *, splits: int = 1) -> tuple[float, float]:
    """Return mean and standard deviation over splits of exp(E KL(p(c|x) || p(c))), from 1.

    It knows no real image: it tells whether a network of photographs sees many things clearly, and
    says little of defects.

    Args:
        probabilities: N x C, each row sums to 1.
        splits: the rows are cut into so many pieces, in their order.

    Raises:
        FlawsmithError: if rows are no probabilities or there are fewer rows than splits.
    """
    given = as_features(probabilities, fewest=1)
    if (given < 0).any() or not np.allclose(given.sum(axis=1), 1.0, atol=1e-4):
        raise FlawsmithError("expected a probability for each class in every row, with sum 1")
    if not 1 <= splits <= len(given):
        raise FlawsmithError(f"{splits} splits of {len(given)} images; expected from 1 to that")
    scores = []
    for index in range(splits):
        part = given[index * len(given) // splits : (index + 1) * len(given) // splits]
        marginal = part.mean(axis=0, keepdims=True)
        ratio = np.divide(part, marginal, out=np.ones_like(part), where=part > 0)
        scores.append(np.exp((part * np.log(ratio)).sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))
