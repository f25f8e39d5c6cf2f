"""Clenshaw–Curtis quadrature: the rule by which gradients are integrated along a path.

Its points are the extrema of a Chebyshev polynomial. Like Gauss–Legendre it converges exponentially for smooth
integrands, at about the same rate in practice (Trefethen 2008, "Is Gauss quadrature better than Clenshaw–Curtis?",
SIAM Review 50). It is chosen because the points of n intervals are among those of 2n, so that no gradient is computed twice
when their number is doubled, and because both ends are among them, which gives F(text) and F(baseline) without a further
pass.
"""

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array


def points(intervals: int) -> Float[Array, "points"]:
    """The `intervals` + 1 points in [0, 1], rising.

    >>> points(2).round(12).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(np.sin(np.pi * np.arange(intervals + 1) / (2 * intervals)) ** 2)


def weights(intervals: int) -> Float[Array, "points"]:
    """The weight of each point; `intervals` is even. Polynomials up to the degree `intervals` are integrated exactly.

    >>> (6 * weights(2)).round(12).tolist()
    [1.0, 4.0, 1.0]
    """
    half = np.arange(1, intervals // 2 + 1)
    angles = 2 * np.pi * np.outer(np.arange(intervals + 1), half) / intervals
    terms = np.cos(angles) * np.where(half == intervals // 2, 1, 2) / (4 * half**2 - 1)
    ends = np.ones(intervals + 1)
    ends[1:-1] = 2
    return np.asarray(ends * (1 - terms.sum(axis=1)) / (2 * intervals))
