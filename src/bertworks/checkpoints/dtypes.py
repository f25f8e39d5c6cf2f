"""The kinds of numbers that a weight file can hold, and the way between them and NumPy.

NumPy has no bfloat16: it is the upper half of a float32, so it is read as uint16 and widened exactly, and written
by rounding to the nearest, ties to even (IEEE 754, section 4.3.1).
"""

import math
import mmap
from typing import Any

import numpy as np

from bertworks.errors import CheckpointError

Array = np.ndarray[Any, Any]

STORED: dict[str, tuple[str, str]] = {
    "F64": ("float64", "<f8"),
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
    "I64": ("int64", "<i8"),
    "I32": ("int32", "<i4"),
    "I16": ("int16", "<i2"),
    "I8": ("int8", "|i1"),
    "U64": ("uint64", "<u8"),
    "U32": ("uint32", "<u4"),
    "U16": ("uint16", "<u2"),
    "U8": ("uint8", "|u1"),
    "BOOL": ("bool", "|b1"),
}
"""Code in a safetensors header → name of the number kind, NumPy's view of the bytes (always little-endian)."""
CODES = {name: code for code, (name, _) in STORED.items()}
FLOATING = frozenset({"float64", "float32", "float16", "bfloat16"})


def widen_bfloat16(halves: Array) -> Array:
    """bfloat16 bits (uint16) → the same values in float32, exactly.

    >>> widen_bfloat16(np.array([0x3F80, 0xC000], dtype=np.uint16)).tolist()
    [1.0, -2.0]
    """
    bits: Array = halves.astype(np.uint32)
    bits <<= np.uint32(16)  # in place, so that a tensor without axes stays an array
    return bits.view(np.float32)


def round_to_bfloat16(values: Array) -> Array:
    """float32 values → the nearest bfloat16, ties to even, as bits in uint16. A NaN stays a NaN.

    >>> widen_bfloat16(round_to_bfloat16(np.array([1.0, 3.14159], dtype=np.float32))).tolist()
    [1.0, 3.140625]
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape).view(np.uint32)
    upper = bits >> np.uint32(16)
    rounded = (bits + np.uint32(0x7FFF) + (upper & np.uint32(1))) >> np.uint32(16)
    return np.asarray(np.where(np.isnan(values), upper | np.uint32(0x40), rounded)).astype(np.uint16)


def convert(name: str, values: Array, kind: str) -> Array:
    """The values of the tensor `name` as `kind` (one of `CODES`; bfloat16 as bits in uint16).

    Raises `CheckpointError` where a finite value would become infinite: float16 ends at 65504.
    """
    values = np.asarray(values)  # a single number may come as NumPy's scalar
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32 if kind == "bfloat16" else kind, copy=False)
        result = round_to_bfloat16(narrow) if kind == "bfloat16" else narrow
    shrinks = values.dtype.kind == "f" and kind in FLOATING and values.dtype.itemsize > result.dtype.itemsize
    if shrinks:
        reached = widen_bfloat16(result) if kind == "bfloat16" else result
        lost = np.isinf(reached) & np.isfinite(values)
        if lost.any():
            largest = np.abs(values[lost]).max()
            remedy = "bfloat16 or float32" if kind == "float16" else "float32" if values.dtype.itemsize == 4 else "float64"
            raise CheckpointError(f"tensor '{name}' holds {largest:.6g}, which {kind} cannot: use {remedy}")
    return result


def stored_view(buffer: "bytes | mmap.mmap", kind: str, shape: tuple[int, ...], start: int) -> Array:
    """The tensor of a `kind` and a shape that begins at a byte of a buffer, read-only; bfloat16 widened to float32."""
    stored = np.dtype(STORED[CODES[kind]][1])
    count = math.prod(shape)
    flat: Array = np.frombuffer(buffer, dtype=stored, count=count, offset=start) if count else np.empty(0, dtype=stored)
    array = flat.reshape(shape)
    if kind == "bfloat16":
        array = widen_bfloat16(array)
    elif not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array
