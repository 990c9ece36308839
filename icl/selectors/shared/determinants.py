"""Determinantal point processes over many small kernels at once: greedy MAP and k-DPP sampling.

A kernel is [n, n], symmetric and positive semidefinite; the determinant of its rows and columns S
says how likely the set S is. Kernels of m queries are stacked to [m, n, n].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icl.selectors.shared.prefetch import Neighbours

Kernels = NDArray[np.float64]


def relevance_kernel(
    cosines: NDArray[np.floating], near: Neighbours, trade: float
) -> tuple[Kernels, NDArray[np.float64]]:
    """CEIL's L_ij = r_i S_ij r_j for m queries, and their r, [m, n]; `trade` is its lambda.

    r is 0 where a row is padded, so that no set with a padded column has any volume.
    """
    scaled = (near.similarities + 1) / 2
    relevance = np.exp((scaled - scaled.max(axis=1, keepdims=True)) / (2 * trade))
    kernel = (cosines.astype(np.float64) + 1) / 2
    kernel *= relevance[:, :, None]
    kernel *= relevance[:, None, :]
    return kernel, relevance


def greedy_map(
    kernels: Kernels, k: int, epsilon: float = 1e-10
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fast greedy MAP (Chen et al. 2018): columns in order of selection and the log gain of each.

    Both [m, k]. Step t takes the column that multiplies the determinant most; a row stops where the
    factor is below `epsilon`, and holds -1 (gain 0) from there on. Ties go to the first column.
    One incremental Cholesky factorisation a row: O(n k^2) after the kernel.
    """
    m, n = kernels.shape[:2]
    rows = np.arange(m)
    factors = np.zeros((m, k, n))
    volumes = np.diagonal(kernels, axis1=1, axis2=2).copy()
    columns = np.full((m, k), -1, dtype=np.int64)
    gains = np.zeros((m, k))
    going = np.ones(m, dtype=bool)
    for step in range(min(k, n)):
        best = volumes.argmax(axis=1)
        factor = volumes[rows, best]
        going &= factor >= max(epsilon, np.finfo(np.float64).tiny)
        if not going.any():
            break
        columns[going, step] = best[going]
        gains[going, step] = np.log(factor[going])
        # A row that has stopped goes on with a factor of 1: its results are not looked at.
        root = np.sqrt(np.where(going, factor, 1.0))
        known = factors[:, :step]
        at_best = np.take_along_axis(known, best[:, None, None], axis=2)  # [m, step, 1]
        explained = (at_best.transpose(0, 2, 1) @ known)[:, 0]
        new = (kernels[rows, best] - explained) / root[:, None]
        factors[:, step] = new
        volumes -= new**2
        volumes[rows, best] = -np.inf
    return columns, gains


def sample_k_dpp(
    kernels: Kernels, k: int, streams: Sequence[np.random.Generator], epsilon: float = 1e-10
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One set of k a kernel, P(S) proportional to det(L_S) (Kulesza and Taskar 2011).

    Returns columns [m, k] and zeros in the place of gains. A kernel with fewer than k eigenvalues
    above `epsilon` times its largest gives as many as it has; the other places hold -1.
    """
    columns = np.full((len(kernels), k), -1, dtype=np.int64)
    for row, (kernel, stream) in enumerate(zip(kernels, streams, strict=True)):
        values, vectors = np.linalg.eigh(kernel)
        kept = np.flatnonzero(values > epsilon * max(values.max(), np.finfo(np.float64).tiny))
        size = min(k, len(kept))
        elementary = kept[_choose_eigenvectors(values[kept] / values.max(), size, stream)]
        columns[row, :size] = _sample_projection(vectors[:, elementary], stream)
    return columns, np.zeros(columns.shape)


def _choose_eigenvectors(
    values: NDArray[np.float64], k: int, stream: np.random.Generator
) -> NDArray[np.int64]:
    """k of the eigenvectors, a set J with probability proportional to the product of its values."""
    # polynomials[l, j]: elementary symmetric polynomial of degree l of the first j values, divided
    # by that of all values, so that none underflows; scale[l]: what degree l was divided by anew.
    polynomials, scale = np.zeros((k + 1, len(values) + 1)), np.ones(k + 1)
    polynomials[0] = 1.0
    for degree in range(1, k + 1):
        polynomials[degree, 1:] = np.cumsum(values * polynomials[degree - 1, :-1])
        scale[degree] = polynomials[degree, -1]
        polynomials[degree] /= scale[degree]
    chosen: list[int] = []
    degree = k
    for j in range(len(values), 0, -1):
        if degree == 0:
            break
        share = values[j - 1] * polynomials[degree - 1, j - 1] / (polynomials[degree, j] * scale[degree])
        if j == degree or stream.random() < share:
            chosen.append(j - 1)
            degree -= 1
    return np.array(chosen, dtype=np.int64)


def _sample_projection(basis: NDArray[np.float64], stream: np.random.Generator) -> NDArray[np.int64]:
    """As many columns as `basis` ([n, k], orthonormal) has dimensions, from its projection DPP."""
    chosen: list[int] = []
    while basis.shape[1]:
        weights = (basis**2).sum(axis=1)
        weights[chosen] = 0.0
        at = int(stream.choice(len(weights), p=weights / weights.sum()))
        chosen.append(at)
        # The subspace orthogonal to the unit vector of `at`: eliminate one vector by it, then
        # make the others orthonormal again.
        pivot = int(np.abs(basis[at]).argmax())
        rest = np.delete(basis, pivot, axis=1) - np.outer(
            basis[:, pivot], np.delete(basis[at], pivot) / basis[at, pivot]
        )
        basis = np.linalg.qr(rest)[0] if rest.shape[1] else rest
    return np.array(chosen, dtype=np.int64)
