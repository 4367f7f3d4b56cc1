"""The Laplace equation on a region of pixels: the exact membrane of Poisson blending."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import spsolve

from flawsmith.data.images import BoolArray

Floats = NDArray[np.float32]


def solve_laplace(values: Floats, unknown: BoolArray, given: BoolArray) -> Floats:
    """Return ``values`` with the unknown pixels replaced by the solution of Laplace's equation.

    The boundary condition is the given value at neighbours outside the region, and no flow towards
    neighbours that are not given or lie beyond the array (Perez et al. 2003, eq. 7).

    Args:
        values: H x W x C.
        unknown: H x W, to solve for.
        given: H x W, where ``values`` means something.

    Returns:
        H x W x C. A part of the region without any given neighbour becomes 0.
    """
    numbers = np.full(unknown.shape, -1, np.int64)
    count = int(np.count_nonzero(unknown))
    numbers[unknown] = np.arange(count)
    degree = np.zeros(count)
    right = np.zeros((count, values.shape[2]))
    rows, columns = [], []
    for axis in (0, 1):
        for step in (-1, 1):
            here, there = _neighbours(axis, step)
            own, other = numbers[here], numbers[there]
            linked = (own >= 0) & (other >= 0)
            rows.append(own[linked])
            columns.append(other[linked])
            np.add.at(degree, own[linked], 1.0)
            bound = (own >= 0) & (other < 0) & given[there]
            np.add.at(degree, own[bound], 1.0)
            np.add.at(right, own[bound], values[there][bound])
    weak = 1e-9  # makes a part without a boundary solvable; far below single precision elsewhere
    at = np.arange(count)
    data = np.concatenate([degree + weak, -np.ones(sum(map(len, rows)))])
    index = (np.concatenate([at, *rows]), np.concatenate([at, *columns]))
    solution = spsolve(csr_matrix((data, index), shape=(count, count)).tocsc(), right)
    result = values.copy()
    result[unknown] = np.asarray(solution, np.float32).reshape(count, -1)
    return result


def _neighbours(axis: int, step: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the slices of pixels that have a neighbour in a direction, and of the neighbours."""
    first, last = slice(None, -1), slice(1, None)
    own, other = (first, last) if step > 0 else (last, first)
    everything = slice(None)
    if axis == 0:
        return (own, everything), (other, everything)
    return (everything, own), (everything, other)
