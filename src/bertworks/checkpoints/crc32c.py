"""CRC-32C (RFC 3720, appendix B.4), by which TensorFlow's files know their own damage, in NumPy.

A checksum is linear over the bits of what it sums, so thousands of words are taken side by side, each summed with those that
stand a whole row behind it, and the sums are brought together at the end: some hundred megabytes a second.
"""

from functools import cache

import numpy as np

from bertworks.checkpoints.dtypes import Array

_POLYNOMIAL = np.uint32(0x82F63B78)
_ALL = 0xFFFFFFFF
_LANES = 4096
"""Words in a row; a power of two."""
_ROW = 4 * _LANES


def crc32c(data: bytes | Array) -> int:
    """The checksum of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    given = np.frombuffer(data, np.uint8)
    head = len(given) % _ROW  # byte by byte, until whole rows are left
    table, state = _bytes(), _ALL
    for byte in given[:head].tobytes():
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    if head < len(given):
        rows = given[head:].view("<u4").reshape(-1, _LANES)
        lanes = rows[0].astype(np.uint32)
        lanes[0] ^= state
        low, high = _halves()
        for row in rows[1:]:
            lanes = low.take(lanes & 0xFFFF) ^ high.take(lanes >> 16) ^ row
        for power in reversed(_powers()[:-1]):
            before, behind = np.split(lanes, 2)
            lanes = _applied(power, before) ^ behind
        state = int(_applied(_powers()[0], lanes)[0])
    return state ^ _ALL


def unmasked(stored: int) -> int:
    """A checksum from the form in which files store it, so that a checksum over checksums is none of zeros (LevelDB's format)."""
    rotated = (stored - 0xA282EAD8) & _ALL
    return (rotated >> 17 | rotated << 15) & _ALL


@cache
def _bytes() -> list[int]:
    """What becomes of each byte in the register."""
    state: Array = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        state = (state >> 1) ^ (_POLYNOMIAL * (state & 1))
    return [int(value) for value in state]


@cache
def _powers() -> list[Array]:
    """What becomes of each bit of the register while 1, 2, 4 … `_LANES` words of zeros go through it."""
    power: Array = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for _ in range(32):
        power = (power >> 1) ^ (_POLYNOMIAL * (power & 1))
    powers = [power]
    while 2 ** (len(powers) - 1) < _LANES:
        powers.append(_applied(powers[-1], powers[-1]))
    return powers


def _applied(power: Array, states: Array) -> Array:
    bits = states[:, None] >> np.arange(32, dtype=np.uint32) & 1
    result: Array = np.bitwise_xor.reduce(bits * power, axis=1)
    return result


@cache
def _halves() -> tuple[Array, Array]:
    """What becomes of each lower and each upper half of the register while a row of zeros goes through it."""
    tables = []
    for columns in np.split(_powers()[-1], 2):
        table = np.zeros(1, np.uint32)
        for column in columns:
            table = np.concatenate([table, table ^ column])
        tables.append(table)
    return tables[0], tables[1]
