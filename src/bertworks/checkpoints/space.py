"""Room on a disk, asked for before it is needed."""

import errno
import os
import shutil
from pathlib import Path


def free_bytes(path: Path) -> int | None:
    """Bytes that may still be written where `path` is or will be; None where the file system does not say."""
    place = Path(os.path.abspath(path))
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return usage.free if usage.total else None  # some network file systems say 0 of 0


def require_space(path: Path, needed: int) -> None:
    """Raises the `OSError` of a full disk, before anything is written, where `needed` bytes are not free."""
    free = free_bytes(path)
    if free is not None and free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def space_figures(path: Path, needed: int) -> str:
    """What there is to say about a disk that is full, in brackets, or nothing where nothing is known.

    >>> space_figures(Path("."), 10**18).split(" are needed")[0]
    ' (1,000,000,000 GB'
    """
    free = free_bytes(path)
    parts = [f"{readable(needed)} are needed"] if needed else []
    parts += [f"{readable(free)} are free"] if free is not None else []
    return f" ({', '.join(parts)})" if parts else ""


def readable(size: int) -> str:
    """A number of bytes in the unit that suits it.

    >>> readable(0), readable(9_999), readable(1_324_000_000)
    ('0 bytes', '10.0 kB', '1.3 GB')
    """
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= factor:
            value = size / factor
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{size} bytes"
