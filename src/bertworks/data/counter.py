"""Random numbers by a counter: a function of what they are for, not of what was drawn before.

So a mask or a choice is the same however the data were split, packed, distributed or resumed.
"""

import numpy as np
from jaxtyping import Float, Int, UInt64

from bertworks.batch import Array

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)


def mixed(*parts: int | Int[Array, "..."]) -> UInt64[Array, "..."]:
    """A 64-bit hash of whole numbers, which are broadcast against each other: SplitMix64's finalizer (Steele et al.
    2014) after each part.

    >>> mixed(1, np.arange(2)).shape
    (2,)
    """
    state: Array = np.zeros((), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = state + _GOLDEN + np.asarray(part).astype(np.uint64)
            state = (state ^ (state >> np.uint64(30))) * _MULTIPLY_1
            state = (state ^ (state >> np.uint64(27))) * _MULTIPLY_2
            state = state ^ (state >> np.uint64(31))
    return state


def uniform(*parts: int | Int[Array, "..."]) -> Float[Array, "..."]:
    """Numbers in [0, 1) with 53 random bits, a function of `parts`.

    >>> bool((uniform(7, np.arange(5)) == uniform(7, np.arange(5))).all())
    True
    """
    numbers: Array = (mixed(*parts) >> np.uint64(11)) * 2.0**-53
    return numbers
