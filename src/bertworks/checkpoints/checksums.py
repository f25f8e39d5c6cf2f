"""Checksums of the files of a folder, by which damage that came after the writing is recognised.

CRC-32 finds what disks and copies do: flipped bits, torn blocks, files cut short. It costs a third of SHA-256's time
where the processor helps with both, and less where it does not. It is no protection against forgery.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks.checkpoints.files import read_json, write_json
from bertworks.errors import CheckpointError

CHECKSUMS = "checksums.json"
_PIECE = 1 << 20

Checksum = dict[str, Any]
"""`bytes` and `crc32` of a file."""


def checksum(path: Path) -> Checksum:
    """Size and CRC-32 of a file, read in pieces of a mebibyte. Raises `OSError` where it cannot be read."""
    size = crc = 0
    with open(path, "rb") as stream:
        while piece := stream.read(_PIECE):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
    return {"bytes": size, "crc32": f"{crc:08x}"}


def write_checksums(folder: Path, known: Mapping[str, Checksum] | None = None) -> None:
    """Writes `checksums.json` over all other files of `folder`; those in `known` are taken as given, and not read."""
    known = known or {}
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    write_json(folder / CHECKSUMS, {name: known.get(name) or checksum(folder / name) for name in names})


def read_checksums(folder: Path) -> dict[str, Checksum]:
    """What `write_checksums` wrote. Raises `CheckpointError` where it is missing or broken."""
    sums = read_json(folder / CHECKSUMS)
    if not sums or not all(isinstance(entry, dict) and {"bytes", "crc32"} <= entry.keys() for entry in sums.values()):
        raise CheckpointError(f"{folder / CHECKSUMS} is damaged: it is no table of sizes and checksums")
    return sums


def damage(folder: Path, only: str | None = None) -> str | None:
    """What is wrong with the files that `write_checksums` saw (or with one of them), naming the first; None where all is well."""
    if not (folder / CHECKSUMS).exists():
        return f"{folder / CHECKSUMS} is missing"
    try:
        sums = read_checksums(folder)
    except CheckpointError as error:
        return str(error)
    for name, entry in sums.items():
        if only is None or name == only:
            wrong = _damage(folder / name, entry)
            if wrong:
                return f"{folder / name} {wrong}"
    return None if only is None or only in sums else f"{folder / only} is not in {CHECKSUMS}"


def _damage(path: Path, entry: Checksum) -> str | None:
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            return f"is damaged: it has {size:,} bytes, and had {entry['bytes']:,} when it was written"
        if checksum(path) != entry:
            return "is damaged: its bytes are not those that were written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None
