"""One safetensors file: 8 bytes with the length of the header, a JSON header, the numbers of all tensors.

The header is read and judged whole at opening, before anything is allocated by what it says; the numbers are
memory-mapped and looked at only when asked for.
"""

import json
import math
import mmap
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from bertworks.checkpoints.dtypes import CODES, STORED, Array, convert, stored_view
from bertworks.checkpoints.opening import open_file, unreadable
from bertworks.errors import CheckpointError

LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the format."""
_LARGEST_READ = 20_000_000
"""Bytes of a header that are read: room for 100,000 tensors. A small hostile one takes thirty times its size in memory."""
_LARGEST_AXES = 32
_LARGEST_AXIS = 2**48


class Entry(NamedTuple):
    """Where a tensor stands in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


class SafetensorsFile:
    """A memory-mapped safetensors file. Tensors are read-only views; bfloat16 ones are widened copies.

    On POSIX the file may be replaced (not: overwritten in place) while it is open; on Windows it may not. Views
    stay valid after `close`, which on Windows keeps the file in use until they are gone.

    Raises `CheckpointError`, naming the file and what to do, for anything that is not a whole safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map: mmap.mmap | None = None
        try:
            with open_file(path) as stream:
                size = stream.seek(0, 2)
                stream.seek(0)
                self.entries, self.metadata = _read_header(stream, size, path)
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise unreadable(path, error) from error
        self.kinds = {name: entry.kind for name, entry in self.entries.items()}
        self.shapes = {name: entry.shape for name, entry in self.entries.items()}

    def array(self, name: str) -> Array:
        """The tensor `name` as stored, bfloat16 widened to float32."""
        if self._map is None:
            raise CheckpointError(f"{self.path} was closed before tensor '{name}' was read")
        entry = self.entries[name]
        return stored_view(self._map, entry.kind, entry.shape, entry.start)

    def close(self) -> None:
        """Let go of the file; arrays that were handed out stay valid."""
        if self._map is not None:
            with suppress(BufferError):  # views are alive: the mapping goes when the last of them does
                self._map.close()
            self._map = None


def unusual_content(start: bytes) -> str | None:
    """What a file that should hold weights often holds instead, judged by its first bytes, with the remedy."""
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights: run 'git lfs pull' in its repository"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not weights: the download went wrong, fetch it again"
    return None


def _read_header(stream: BinaryIO, size: int, path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    start = stream.read(8)
    hint = unusual_content(start + stream.read(64))
    if hint is not None:
        raise CheckpointError(f"{path} {hint}")
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
    if not 2 <= length <= LARGEST_HEADER:
        raise CheckpointError(f"{path} is no safetensors file, or is damaged ({size:,} bytes): download or copy it again")
    if length > size - 8:
        raise CheckpointError(f"{path} is cut short: {size:,} bytes, and its header alone has {length:,}; download or copy it again")
    if length > _LARGEST_READ:
        raise CheckpointError(f"{path} has a header of {length:,} bytes, which no model of this family has: download or copy it again")
    stream.seek(8)
    try:
        header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} has a damaged header ({_what_is_wrong(error)}): download or copy it again") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} has a damaged header (not a table of tensors): download or copy it again")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path} has a damaged header (metadata that is not text): download or copy it again")
    entries = {name: _entry(path, name, fields, 8 + length) for name, fields in header.items()}
    _check_layout(path, entries, 8 + length, size)
    return entries, metadata


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 at byte {error.start:,}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("the same name twice")
    return table


def _entry(path: Path, name: str, fields: Any, data: int) -> Entry:
    fields = fields if isinstance(fields, dict) else {}
    code, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    sound = (
        isinstance(code, str)
        and isinstance(shape, list)
        and isinstance(offsets, list)
        and len(offsets) == 2
        and len(shape) <= _LARGEST_AXES
        and all(type(number) is int and 0 <= number <= _LARGEST_AXIS for number in [*shape, *offsets])
    )
    if not sound or math.prod(axis for axis in shape if axis) > _LARGEST_AXIS:
        raise CheckpointError(f"{path} has a damaged header (tensor '{name:.100}'): download or copy it again")
    if code not in STORED:
        known = ", ".join(STORED)
        raise CheckpointError(f"{path}: tensor '{name:.100}' is stored as {code:.20}; bertworks reads {known}: convert it to one of these")
    kind, view = STORED[code]
    start, stop = offsets
    if stop - start != math.prod(shape) * np.dtype(view).itemsize:
        raise CheckpointError(
            f"{path} has a damaged header (tensor '{name:.100}' is {code} {shape} in {stop - start} bytes): download or copy it again"
        )
    return Entry(kind, tuple(shape), data + start, data + stop)


def _check_layout(path: Path, entries: Mapping[str, Entry], data: int, size: int) -> None:
    """The tensors must fill the file to its end, without gap or overlap."""
    position = data
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != position:
            raise CheckpointError(f"{path} has a damaged header (tensor '{name:.100}' overlaps another or leaves a gap): download it again")
        position = entry.stop
    if position > size:
        raise CheckpointError(f"{path} is cut short: {size:,} of {position:,} bytes; download or copy it again")
    if position < size:
        raise CheckpointError(f"{path} holds {size - position:,} bytes more than its header says: it is damaged, download or copy it again")


def write_safetensors(stream: BinaryIO, tensors: Mapping[str, Array], kinds: Mapping[str, str], metadata: Mapping[str, str]) -> None:
    """Write `tensors`, each as its entry in `kinds` says. One tensor at a time is converted, so memory stays low.

    Wide numbers come first and the header's length is a multiple of 8, so every tensor stands aligned. The bytes
    depend on names, values, kinds and metadata alone.
    """
    widths = {name: np.dtype(STORED[CODES[kinds[name]]][1]).itemsize for name in tensors}
    names = sorted(tensors, key=lambda name: (-widths[name], name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    position = 0
    for name in names:
        shape = tensors[name].shape
        stop = position + math.prod(shape) * widths[name]
        header[name] = {"dtype": CODES[kinds[name]], "shape": list(shape), "data_offsets": [position, stop]}
        position = stop
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER:
        raise CheckpointError(f"{len(names):,} tensors make a header of {len(text):,} bytes; the format allows {LARGEST_HEADER:,}")
    stream.write(struct.pack("<Q", len(text)) + text)
    for name in names:
        stored = convert(name, tensors[name], kinds[name])
        flat = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("<")).reshape(-1)
        stream.write(flat.view(np.uint8).data)
