"""A writer of TensorFlow's index files, for those that TensorFlow would not write."""

import struct

from bertworks.checkpoints.crc32c import crc32c

MAGIC = 0xDB4775248B80FB57


def varint(value: int) -> bytes:
    value %= 2**64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def entry(shape: tuple[int, ...], *, kind: int = 1, shard: int = 0, start: int = 0, size: int | None = None, data: bytes = b"") -> bytes:
    """A variable; `data` are its bytes, for the checksum and, where it is not said, the size."""
    axes = b"".join(text(2, number(1, axis)) for axis in shape)
    places = number(3, shard) + number(4, start) + number(5, len(data) if size is None else size)
    return number(1, kind) + text(2, axes) + places + varint(6 << 3 | 5) + struct.pack("<I", masked(crc32c(data)))


HEADER = number(1, 1)


def content(records: dict[bytes, bytes]) -> bytes:
    """The content of a block: records, whose names are whole, and the place of the first."""
    lines = [varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in records.items()]
    return b"".join(lines) + struct.pack("<II", 0, 1)


def sealed(of_block: bytes, *, compression: int = 0) -> bytes:
    """An index of one block, all checksums right."""

    def with_trailer(block: bytes, kind: int = 0) -> bytes:
        behind = bytes([kind])
        return block + behind + struct.pack("<I", masked(crc32c(block + behind)))

    first = with_trailer(of_block, compression)
    places = content({b"~": varint(0) + varint(len(of_block))})
    handles = varint(0) + varint(0) + varint(len(first)) + varint(len(places))
    return first + with_trailer(places) + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def index(records: dict[bytes, bytes], header: bytes = HEADER) -> bytes:
    return sealed(content({b"": header, **records}))
