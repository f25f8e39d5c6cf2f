"""Files and folders that appear whole or not at all.

What is being written stands beside its final place under a hidden name (see `leftovers`) and is renamed into
place when every byte of it is on the disk.

To replace a folder takes two renames (`path` → `old`, `new` → `path`). A crash between them leaves `path` absent
for the moment, but both versions complete under names that `recover` finds; so nothing is ever lost.

On Windows a folder cannot be flushed (the file system's journal orders renames by itself), and a file that a
process holds open or memory-mapped cannot be replaced: that is reported as missing permission.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bertworks.checkpoints.leftovers import discard, final, leftovers, sibling, throw_away
from bertworks.checkpoints.space import require_space, space_figures
from bertworks.errors import CheckpointError

_WINDOWS = os.name == "nt"
_OCCUPIED = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_SWAP_ATTEMPTS = 1000
_FULL = {
    errno.ENOSPC: "free some space or choose another folder",
    getattr(errno, "EDQUOT", -1): "your disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file is larger than the file system or the process's limit allows; choose another folder or raise the limit",
}
_FORBIDDEN = {
    errno.EACCES: "permission denied; choose a folder that you may write to, or close the program that holds it open",
    errno.EPERM: "not permitted; choose a folder that you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
}
_WRONG_PLACE = {
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another folder",
    errno.EEXIST: "a part of this path is a file, not a folder; choose another folder",
    errno.EISDIR: "it is a folder; name a file",
}


def _remedy(error: OSError, target: Path) -> str | None:
    """What to do about an `OSError`, if it is one about `target` or the way there; None for any other."""
    number = error.errno or 0
    if error.filename is None:
        return _FULL.get(number)
    where, target = Path(os.path.abspath(os.fsdecode(error.filename))), Path(os.path.abspath(target))
    if where in target.parents or where == target:
        return (_FULL | _FORBIDDEN | _WRONG_PLACE).get(number)
    inside = where.relative_to(target.parent).parts if where.is_relative_to(target.parent) else ("",)
    if not inside[0].startswith(f".{target.name}."):
        return None
    return (_FULL | _FORBIDDEN | (_WRONG_PLACE if len(inside) == 1 else {})).get(number)


@contextmanager
def explained(target: Path, needed: int = 0) -> Iterator[None]:
    """Turn an `OSError` about writing `target` into a `CheckpointError` that says what to do; others pass unchanged.

    Where the disk has less than `needed` bytes free, the block is not even begun.
    """
    try:
        if needed:
            require_space(target, needed)
        yield
    except OSError as error:
        remedy = _remedy(error, target)
        if remedy is None:
            raise
        if error.errno == errno.ENOSPC:
            remedy = f"the disk is full{space_figures(target, needed)}; {remedy}"
        raise CheckpointError(f"cannot save {final(target)}: {remedy} (what was there before is untouched)") from error


def _sync_file(path: str | Path) -> None:
    handle = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    if _WINDOWS:
        return
    try:
        _sync_file(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise


def _sync_tree(folder: Path) -> None:
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(where, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                _sync_file(path)
        _sync_folder(Path(where))


@contextmanager
def atomic_file(path: Path, *, needed: int = 0) -> Iterator[BinaryIO]:
    """A binary stream whose content becomes `path` when the block ends without an exception, else vanishes.

    Parent folders are made. A link at `path` is replaced, not followed. On POSIX whoever has the old file open or
    mapped keeps reading the old bytes; on Windows that makes the replacement fail. `needed` is how many bytes will be
    written, as far as that is known: nothing is begun where they are not free.

    Raises `CheckpointError` when the disk is full, read-only or not permitted.
    """
    path = Path(path)
    with explained(path, needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        for kind, leftover in leftovers(path):
            if kind == "tmp":
                discard(leftover)
        temporary = sibling(path, "tmp")
        try:
            with open(temporary, "xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            discard(temporary)
        _sync_folder(path.parent)


def atomic_write(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash leaves the old file or the new one, never a part (see `atomic_file`).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder, "note.txt"), b"whole")
    ...     Path(folder, "note.txt").read_bytes()
    b'whole'
    """
    with atomic_file(path, needed=len(data)) as stream:
        stream.write(data)


def _occupied(path: Path) -> bool:
    """Something is at `path` that counts: an empty folder does not."""
    if path.is_symlink() or not path.is_dir():
        return os.path.lexists(path)
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        return next(entries, None) is not None
    return False


def _take_place(folder: Path, path: Path) -> bool:
    """Rename `folder` to `path`; False where something that counts is there."""
    with suppress(OSError):
        path.rmdir()  # an empty folder; anything else resists
    try:
        os.rename(folder, path)
    except OSError as error:
        if error.errno in _OCCUPIED or (_WINDOWS and _occupied(path)):
            return False
        raise
    return True


def _move_into_place(complete: Path, path: Path, replace: bool) -> list[Path]:
    """Rename `complete` to `path`; with `replace`, what stands there steps aside. Returns what stepped aside."""
    aside: list[Path] = []
    try:
        for _ in range(_SWAP_ATTEMPTS):  # more than two only where several writers replace the same folder at once
            if _take_place(complete, path):
                return aside
            if not replace:
                raise _exists(path)
            old = sibling(path, "old")
            with suppress(FileNotFoundError):
                os.rename(path, old)
                aside.append(old)
        raise CheckpointError(f"cannot save {path}: other processes keep replacing it; save to another name")
    except BaseException:
        for old in reversed(aside):
            with suppress(OSError):
                if _take_place(old, path):
                    break
        raise


def _exists(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} already exists: choose another name, or ask to replace it")


def recover(path: Path) -> bool:
    """Finish or undo what a writer that died (power cut, kill) left at `path`; True where a folder was put back.

    Where `path` is absent, the complete new folder that was to take its place does so, else the old one returns.
    Whatever else dead writers left is removed. Leftovers of living writers stay untouched. `atomic_folder` does
    this before it writes; whoever finds a model folder absent calls it before giving up.
    """
    path = Path(os.path.abspath(path))
    dead = leftovers(path)
    restored = False
    if not _occupied(path):
        for _, leftover in sorted((item for item in dead if item[0] != "tmp"), key=lambda item: item[0] != "new"):
            with suppress(FileNotFoundError):  # another process recovers at the same time
                if _take_place(leftover, path):
                    restored = True
                    _sync_folder(path.parent)
                    break
    for kind, leftover in dead:
        if kind == "tmp":
            discard(leftover)
        elif os.path.lexists(leftover) and _occupied(path):
            throw_away(leftover, path)
    return restored


def recover_all(folder: Path) -> None:
    """`recover` for everything in `folder` that dead writers left unfinished or on its way."""
    for path in {final(hidden) for hidden in folder.glob(".*") if final(hidden) != hidden}:
        recover(path)


def require_writable(path: Path) -> None:
    """Raises `CheckpointError` where nothing could be written at `path`. Parent folders are made; nothing else is left."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = sibling(path, "tmp")
        try:
            probe.touch(exist_ok=False)
        finally:
            discard(probe)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False, needed: int = 0) -> Iterator[Path]:
    """A new folder to write into; it becomes `path`, whole, when the block ends without an exception.

    Parent folders are made. An empty folder at `path` counts as absent. With `replace`, a folder at `path` makes
    way when the new one is complete and on the disk; of several writers the last one wins. On an exception nothing
    is left and `path` is as it was. After a crash at any moment `path` holds the old or the new version, or
    `recover(path)` (which the next `atomic_folder` calls by itself) puts one of them back. `needed` is how many bytes
    will be written, as far as that is known: nothing is begun where they are not free.

    On Windows a folder of which some file is open in any process cannot be replaced.

    Raises `CheckpointError` when `path` exists and `replace` is False, when it is a file, and when the disk is
    full, read-only or not permitted.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with atomic_folder(Path(home, "model")) as folder:
    ...         _ = Path(folder, "config.json").write_text("{}")
    ...     os.listdir(home)
    ['model']
    """
    path = Path(os.path.abspath(path))
    with explained(path, needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover(path)
        if os.path.lexists(path) and not path.is_symlink() and not path.is_dir():
            raise CheckpointError(f"cannot save {path}: it is a file; name a folder")
        if not replace and _occupied(path):
            raise _exists(path)
        temporary, complete = sibling(path, "tmp"), sibling(path, "new")
        try:
            temporary.mkdir()
            yield temporary
            _sync_tree(temporary)
            os.rename(temporary, complete)
            _sync_folder(path.parent)
            aside = _move_into_place(complete, path, replace)
            _sync_folder(path.parent)
            for old in aside:
                throw_away(old, path)
        finally:
            discard(temporary)
            if os.path.lexists(complete):
                throw_away(complete, path)
