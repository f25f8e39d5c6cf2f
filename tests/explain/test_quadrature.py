"""The rule integrates what it says, and its points nest."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from bertworks.explain.quadrature import points, weights


@pytest.mark.parametrize("intervals", [2, 4, 8, 16, 64])
def test_polynomials_are_integrated_exactly(intervals: int) -> None:
    for degree in range(intervals + 1):
        assert weights(intervals) @ points(intervals) ** degree == pytest.approx(1 / (degree + 1), abs=1e-14)


def test_smooth_functions_are_integrated_as_scipy_does() -> None:
    def function(x: np.ndarray | float) -> np.ndarray:
        return np.tanh(8 * (np.asarray(x) - 0.3)) * np.exp(-np.asarray(x))

    wanted = quad(function, 0, 1, epsabs=1e-13)[0]
    errors = [abs(weights(n) @ function(points(n)) - wanted) for n in (8, 16, 32, 64)]
    assert errors[-1] < 1e-10
    assert all(after < before / 4 for before, after in pairwise(errors))


def test_the_points_of_a_rule_are_every_second_of_the_next() -> None:
    np.testing.assert_allclose(points(32)[::2], points(16), atol=1e-15)
    assert points(16)[0] == 0
    assert points(16)[-1] == 1
