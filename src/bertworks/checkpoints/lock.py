"""One process a folder, of a run or a corpus: a lock that the operating system lets go of when its holder dies, however it dies.

The lock is on an open file, not the file itself: a file that a killed process left is no lock. It goes with a folder that is
moved, and it excludes two of one process as well.
"""

import errno
import json
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bertworks.checkpoints.atomic import explained
from bertworks.errors import SettingsError

LOCK = "run.lock"
_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}


class RunLock:
    """The lock of a folder, held from the moment that it is made until `release`; `doing` is what is done there meanwhile.

    Raises `SettingsError`, naming the other process, where it is held already, and `CheckpointError` where the folder
    cannot be written to. `note` says so where the file system has no locks: the work goes on without.
    """

    def __init__(self, folder: Path, *, doing: str = "trained") -> None:
        self.note: str | None = None
        self._path, self._doing = folder / LOCK, doing
        self._process = os.getpid()
        with explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._acquired()

    def _acquired(self) -> int:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle)
            except OSError as error:
                held_by = os.pread(handle, 4096, 0) if hasattr(os, "pread") else os.read(handle, 4096)
                os.close(handle)
                if error.errno in _HELD:
                    raise SettingsError(_explain(self._path.parent, held_by, self._doing)) from None
                if error.errno not in _UNSUPPORTED:
                    raise
                self._path.unlink(missing_ok=True)
                self.note = f"the file system of {self._path.parent} has no locks: make sure that no other process works there"
                return -1
            if _is_at(handle, self._path):
                break
            os.close(handle)  # its holder was just about to remove it
        with suppress(OSError):  # on a full disk it is a lock all the same
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps({"process": self._process, "machine": platform.node()}).encode())
        return handle

    def holds(self) -> bool:
        """Whether the locked file still stands in the folder: not where that was moved or deleted meanwhile."""
        return self._handle < 0 or _is_at(self._handle, self._path)

    def release(self) -> None:
        """Lets go; does nothing the second time, nor in a forked child."""
        if self._handle < 0 or os.getpid() != self._process:
            return
        with suppress(OSError):
            if _is_at(self._handle, self._path):
                self._path.unlink()  # first, while nobody else can hold it; Windows refuses, and an unlocked file does no harm
        os.close(self._handle)
        self._handle = -1

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.release()


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _explain(folder: Path, held_by: bytes, doing: str) -> str:
    try:
        holder: dict[str, Any] = json.loads(held_by)
        who = f"process {holder['process']} on {holder['machine']}"
    except (ValueError, TypeError, KeyError):  # it has the lock, and has not yet written who it is
        who = "another process"
    return f"{folder} is being {doing} by {who}: wait until it has ended, or choose another folder"


if sys.platform == "win32":
    import msvcrt

    _BEYOND_THE_TEXT = 1 << 20  # what is locked on Windows cannot be read by others

    def _lock(handle: int) -> None:
        os.lseek(handle, _BEYOND_THE_TEXT, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
