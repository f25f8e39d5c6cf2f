"""Opening a file of a model folder that somebody else may have filled.

Only plain files are opened, so that a pipe, a device or a folder under the name of a file keeps nobody waiting. A link
may lead out of the folder to a file of the same name, to weights, or into a store whose file names are hashes (the
hub's cache, DVC's); a link that leads to anything else (`vocab.txt` to a private key, say) is refused.
"""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from bertworks.checkpoints.space import readable
from bertworks.errors import CheckpointError

_HASH = re.compile(r"[0-9a-f]{30,}")
_WEIGHTS = (".safetensors", ".bin")
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of_file(path: Path) -> str | None:
    """What stands at `path` instead of a plain file: "a folder", "a pipe", "a device" …; None for a plain file.

    Raises `OSError` where nothing stands there, or it cannot be looked at.

    >>> kind_of_file(Path("."))
    'a folder'
    """
    mode = os.stat(path).st_mode
    return None if stat.S_ISREG(mode) else next((name for is_one, name in _KINDS if is_one(mode)), "no plain file")


def open_file(path: Path) -> BinaryIO:
    """A plain file of a model folder, for reading. Raises `CheckpointError` where it is none, cannot be read or leads astray."""
    try:
        kind = kind_of_file(path)
        if kind is not None:
            raise CheckpointError(f"{path} is {kind}, not a file: download or copy the model again")
        target = _astray(path)
        if target is not None:
            raise CheckpointError(f"{path} is a link to {target}, out of its folder: refused; if that file is meant, copy it here")
        return open(path, "rb")
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise unreadable(path, error) from error


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a plain file of a model folder. Raises `CheckpointError` as `open_file` does, and where it has more than `most`."""
    with open_file(path) as stream:
        if os.fstat(stream.fileno()).st_size > most:
            raise CheckpointError(f"{path} is larger than {readable(most)}, which no such file is: download or copy the model again")
        try:
            return stream.read()
        except OSError as error:
            raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError | ValueError) -> CheckpointError:
    """What to say of a file that the operating system does not hand out."""
    if isinstance(error, FileNotFoundError):
        what = "is a link to a file that is gone" if path.is_symlink() else "is missing"
        return CheckpointError(f"{path} {what}: download or copy the model again")
    remedy = ": change its permissions, or copy the model to where you may read it" if isinstance(error, PermissionError) else ""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CheckpointError(f"{path} cannot be read: {reason}{remedy}")


def _astray(path: Path) -> Path | None:
    """Where a link leads, if that is out of its folder and neither to a namesake nor to weights nor into a store."""
    if not path.is_symlink():
        return None
    target = Path(os.path.realpath(path))
    if target.is_relative_to(os.path.realpath(path.parent)) or target.name == path.name or _HASH.fullmatch(target.name):
        return None
    return None if path.suffix == target.suffix and target.suffix in _WEIGHTS else target
