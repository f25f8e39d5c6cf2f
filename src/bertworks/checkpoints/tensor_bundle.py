"""TensorFlow's checkpoints ("tensor bundles"): an index of variables, and files that hold their numbers one behind the other.

The index is a table in LevelDB's format: blocks of names and values, a block of where those stand, and a footer with the place of
that one. The values are small protocol buffers (`BundleHeaderProto`, `BundleEntryProto`). Checked at opening: the checksums
of all blocks that are read, and that each variable has as many bytes as its shape takes and lies within its file. A
variable's own checksum is checked when it is read. Nothing is allocated by what a file says.
"""

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bertworks.checkpoints.crc32c import crc32c, unmasked
from bertworks.checkpoints.dtypes import CODES, STORED, Array, stored_view
from bertworks.checkpoints.opening import open_file, read_file, unreadable
from bertworks.checkpoints.safetensors_file import unusual_content
from bertworks.errors import CheckpointError

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
"""Bytes behind a block: how it is compressed, and its checksum."""
_LARGEST_INDEX = 4_000_000
"""Bytes; a BERT of 24 layers with an optimizer's state has a sixtieth of it."""
_LONGEST_NAME = 500
_LONGEST_VALUE = 1000
_LARGEST_AXES = 32
_LARGEST_SIZE = 2**48
_KINDS = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool"}
_KINDS |= {14: "bfloat16", 17: "uint16", 19: "float16", 22: "uint32", 23: "uint64"}
"""By their numbers in TensorFlow's `DataType`."""
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_AGAIN = "download or copy it again"

Message = dict[int, list[int | bytes]]


class Entry(NamedTuple):
    """Where a variable stands."""

    kind: str
    shape: tuple[int, ...]
    shard: int
    start: int
    stop: int
    checksum: int


class _DamageError(ValueError):
    """What is wrong with the bytes of an index."""


class TensorBundle:
    """A checkpoint, by its index `….index`: its numbers are memory-mapped. Arrays are read-only views; bfloat16 ones are widened
    copies.

    Raises `CheckpointError`, naming the file and what to do, for anything that is not a whole checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = read_file(path, _LARGEST_INDEX)
        hint = unusual_content(data[:72])
        if hint is not None:
            raise CheckpointError(f"{path} {hint}")
        if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
            raise CheckpointError(f"{path} is no index of a TensorFlow checkpoint, or is cut short ({len(data):,} bytes): {_AGAIN}")
        try:
            records = list(_records(data))
            shards = _shards(records.pop(0) if records else (b"", b""))
            self.entries = dict(_entry(path, key, value, shards) for key, value in records)
        except _DamageError as damage:
            raise CheckpointError(f"{path} is damaged ({damage}): {_AGAIN}") from None
        self._checked: set[str] = set()
        self._maps: dict[int, mmap.mmap | bytes] | None = {}
        needed: dict[int, int] = {}
        for entry in self.entries.values():
            needed[entry.shard] = max(entry.stop, needed.get(entry.shard, 0))
        try:
            for shard, size in sorted(needed.items()):
                self._maps[shard] = self._opened(path.with_name(f"{path.stem}.data-{shard:05d}-of-{shards:05d}"), size)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _opened(path: Path, needed: int) -> mmap.mmap | bytes:
        try:
            with open_file(path) as stream:
                hint, size = unusual_content(stream.read(72)), stream.seek(0, 2)
                if hint is not None:
                    raise CheckpointError(f"{path} {hint}")
                if size < needed:
                    raise CheckpointError(f"{path} is cut short: {size:,} of {needed:,} bytes; {_AGAIN}")
                return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as error:
            raise unreadable(path, error) from error

    def array(self, name: str) -> Array:
        """The variable `name` as stored, bfloat16 widened to float32. Raises `CheckpointError` where its checksum differs."""
        if self._maps is None:
            raise CheckpointError(f"{self.path} was closed before variable '{name:.100}' was read")
        entry = self.entries[name]
        held = self._maps[entry.shard]
        if name not in self._checked:
            if crc32c(np.frombuffer(held, np.uint8)[entry.start : entry.stop]) != entry.checksum:
                raise CheckpointError(f"{self.path.with_suffix('')}: variable '{name:.100}' is damaged (its checksum differs): {_AGAIN}")
            self._checked.add(name)
        return stored_view(held, entry.kind, entry.shape, entry.start)

    def close(self) -> None:
        """Let go of the files; arrays that were handed out stay valid."""
        for held in (self._maps or {}).values():
            if isinstance(held, mmap.mmap):
                with suppress(BufferError):  # views are alive: the mapping goes when the last of them does
                    held.close()
        self._maps = None


# ---- the table


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values, in the order of the names, which is strict."""
    _, at = _handle(data, len(data) - _FOOTER)  # the first is that of an index of filters, which there are none of
    handle, _ = _handle(data, at)
    last = None
    for _, place in _block(data, handle):
        for key, value in _block(data, _handle(place, 0)[0]):
            if last is not None and key <= last:
                raise _DamageError("its names are not in order")
            last = key
            yield key, value


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return (start, size), at


def _block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """The records of a block, whose names leave out what they share with the name before."""
    start, size = handle
    stop = start + size
    if size < 8 or stop + _TRAILER > len(data) - _FOOTER:
        raise _DamageError("a block lies outside of it")
    compression, checksum = struct.unpack_from("<BI", data, stop)
    if crc32c(data[start : stop + 1]) != unmasked(checksum):
        raise _DamageError("a checksum differs")
    if compression:
        raise _DamageError("a block is compressed, which TensorFlow does with no checkpoint")
    end = stop - 4 - 4 * struct.unpack_from("<I", data, stop - 4)[0]  # before the table of where whole names stand
    key, at = b"", start
    if end <= start:
        raise _DamageError("a block is empty")
    while at < end:
        shared, at = _varint(data, at)
        own, at = _varint(data, at)
        length, at = _varint(data, at)
        if shared > len(key) or at + own + length > end:
            raise _DamageError("a record reaches out of its block")
        if shared + own > _LONGEST_NAME or length > _LONGEST_VALUE:
            raise _DamageError("a record is longer than those of variables are")
        key = key[:shared] + data[at : at + own]
        yield key, data[at + own : at + own + length]
        at += own + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where the next begins."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _DamageError("a number without an end")


# ---- the values


def _message(data: bytes) -> Message:
    """The fields of a protocol buffer, by their numbers."""
    fields: Message = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(data, at)
        else:
            length, at = _varint(data, at) if tag & 7 == 2 else ({1: 8, 5: 4}.get(tag & 7, len(data)), at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise _DamageError("a value is cut short")
            if tag & 7 != 2:
                value = int.from_bytes(value, "little")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(message: Message, field: int) -> int:
    """The last value of a field, which is what counts; 0 is not written."""
    value = message.get(field, [0])[-1]
    if not isinstance(value, int) or value > _LARGEST_SIZE:
        raise _DamageError("a value is no number that can be")
    return value


def _messages(message: Message, field: int) -> list[Message]:
    return [_message(value) for value in message.get(field, []) if isinstance(value, bytes)]


def _shards(record: tuple[bytes, bytes]) -> int:
    """The number of files with numbers, from the header, which has the empty name."""
    key, value = record
    header = _message(value)
    shards = _number(header, 1)
    if key or not 1 <= shards <= 99_999:
        raise _DamageError("it has no header")
    if _number(header, 2):
        raise _DamageError("it was written by a big-endian machine")
    return shards


def _entry(path: Path, key: bytes, value: bytes, shards: int) -> tuple[str, Entry]:
    name, fields = key.decode("utf-8", "backslashreplace"), _message(value)
    if name == _OBJECTS:
        what = "holds the objects of a TensorFlow 2 program, whose names are its own"
        raise CheckpointError(f"{path} {what}: save the weights as model.safetensors with the program that made it")
    if 7 in fields:
        raise CheckpointError(f"{path}: variable '{name:.100}' is stored in slices, which bertworks does not read: save it in one piece")
    number, shard, start, size, checksum = (_number(fields, field) for field in (1, 3, 4, 5, 6))
    if number not in _KINDS:
        known = ", ".join(_KINDS.values())
        raise CheckpointError(
            f"{path}: variable '{name:.100}' is of TensorFlow's type {number}; bertworks reads {known}: save it without this one"
        )
    shapes = _messages(fields, 2)
    shape = tuple(_number(axis, 1) for axis in _messages(shapes[-1] if shapes else {}, 2))
    if len(shape) > _LARGEST_AXES or math.prod(axis for axis in shape if axis) > _LARGEST_SIZE:
        raise _DamageError(f"variable '{name:.100}' has a shape that cannot be")
    kind = _KINDS[number]
    if size != math.prod(shape) * np.dtype(STORED[CODES[kind]][1]).itemsize:
        raise _DamageError(f"variable '{name:.100}' is {kind} {list(shape)} in {size:,} bytes")
    if shard >= shards:
        raise _DamageError(f"variable '{name:.100}' is in file {shard}, but there are {shards:,}")
    return name, Entry(kind, shape, shard, start, start + size, unmasked(checksum))
