"""Attention maps as bytes, small enough to stand in a page.

A map of 512 tokens has 262,144 values; as numbers in text they take some megabytes a head. A byte each keeps them to about
one part in a hundred: it counts, in 255 steps, the square root of the value's share of the map's largest, so that small
values, which most are, keep their digits.
"""

import base64

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array

_STEPS = 255


def quantised(values: Float[Array, "length length"]) -> dict[str, float | str]:
    """`max`, the largest value, and `data`, the bytes of all values row by row in base64."""
    largest = float(values.max(initial=0.0))
    steps = np.rint(_STEPS * np.sqrt(np.clip(values, 0, None) / (largest or 1.0))).astype(np.uint8)
    return {"max": largest, "data": base64.b64encode(steps.tobytes()).decode()}


def restored(stored: dict[str, float | str]) -> Float[Array, "values"]:
    """The values, row by row, as the page's script computes them. They are off by less than 0.4 % of the largest value.

    >>> restored(quantised(np.array([[0.0, 0.25], [0.01, 1.0]]))).round(3).tolist()
    [0.0, 0.252, 0.01, 1.0]
    """
    steps = np.frombuffer(base64.b64decode(str(stored["data"])), dtype=np.uint8)
    return np.asarray(float(stored["max"]) * (steps / _STEPS) ** 2)
