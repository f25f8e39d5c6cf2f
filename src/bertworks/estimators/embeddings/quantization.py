"""Smaller vectors: a byte or a bit for each feature.

int8 divides each feature's range into 255 equal steps: a quarter of float32's memory. The range is that of a sample of
vectors (`SentenceEncoder.calibrate`); what lies outside counts as its end. Some thousand texts of the kind that will be
encoded are enough. binary keeps the sign of each feature: a 32nd of the memory, eight features in a byte, the first in its
highest bit. Cosines of such vectors are those of ±1 (their order is the Hamming distance's).

A search that finds candidates by small vectors and ranks these by float32 loses little (Yamada et al. 2021, "Efficient
passage retrieval with hashing", do so with bits).
"""

import numpy as np
from jaxtyping import Float, Int8, UInt8

from bertworks.batch import Array
from bertworks.errors import DataError

_STEPS = 255


def feature_ranges(vectors: Float[Array, "rows width"]) -> tuple[Float[Array, "width"], Float[Array, "width"]]:
    """The lowest and the highest value of each feature in a sample. Raises `DataError` for fewer than two vectors."""
    if len(vectors) < 2:
        raise DataError(f"the ranges of int8 need a sample of vectors, some thousand if you can; these are {len(vectors)}")
    lows, highs = vectors.min(axis=0), vectors.max(axis=0)
    return lows, np.where(highs > lows, highs, lows + 1)


def to_int8(vectors: Float[Array, "rows width"], lows: Float[Array, "width"], highs: Float[Array, "width"]) -> Int8[Array, "rows width"]:
    """The step of each feature in its range, from -128 to 127.

    >>> to_int8(np.array([[0.0, 5.0]]), np.array([0.0, -1.0]), np.array([1.0, 1.0])).tolist()
    [[-128, 127]]
    """
    steps = np.rint((vectors - lows) / (highs - lows) * _STEPS)
    shifted: Array = (np.clip(steps, 0, _STEPS) - 128).astype(np.int8)
    return shifted


def from_int8(steps: Int8[Array, "rows width"], lows: Float[Array, "width"], highs: Float[Array, "width"]) -> Float[Array, "rows width"]:
    """The values that the steps stand for: off by half a step at most.

    >>> from_int8(np.array([[-128, 127]], dtype=np.int8), np.array([0.0, -1.0]), np.array([1.0, 1.0])).tolist()
    [[0.0, 1.0]]
    """
    values: Array = lows + (steps.astype(np.float32) + 128) * ((highs - lows) / _STEPS)
    return values.astype(np.float32)


def to_bits(vectors: Float[Array, "rows width"]) -> UInt8[Array, "rows bytes"]:
    """The sign of each feature, eight in a byte; sentence-transformers calls this "ubinary".

    >>> to_bits(np.array([[0.1, -0.1, 0.0, 3.0, -1.0, -1.0, -1.0, 1.0]])).tolist()
    [[145]]
    """
    packed: Array = np.packbits(vectors > 0, axis=1)
    return packed


def from_bits(packed: UInt8[Array, "rows bytes"], width: int | None = None) -> Float[Array, "rows width"]:
    """1 where a bit is set and -1 elsewhere; `width` is the number of features where it is no multiple of eight.

    Raises `DataError` where vectors of such a width have another number of bytes.
    """
    if width is not None and packed.shape[1] != -(-width // 8):
        raise DataError(
            f"binary vectors of {width} features have {-(-width // 8)} bytes, but these have {packed.shape[1]}: encode them anew"
        )
    bits: Array = np.unpackbits(packed, axis=1, count=width)
    return bits.astype(np.float32) * 2 - 1
