"""The hidden names under which unfinished work stands beside its final place, and whether its writer still lives.

A name is `.{name}.{kind}-{pid}-{token}`. The kinds:

- `tmp`: unfinished, or being thrown away. Worth nothing once its writer is dead.
- `new`: a complete folder, on its way into place.
- `old`: the folder that a `new` one is taking the place of.

The token says on which machine and by which process the name was made, so that neither a reused process id nor
the process ids of another machine on a shared disk are mistaken for the writer's.
"""

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

_WINDOWS = os.name == "nt"
_PROCESS = secrets.token_hex(3)
_FOREIGN_LEFTOVER_SECONDS = 24 * 3600.0
"""Age at which a leftover of a process that cannot be asked (on another machine, or on Windows) counts as dead."""


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def sibling(path: Path, kind: str) -> Path:
    """A fresh hidden name beside `path`, of this process."""
    return path.with_name(f".{path.name}.{kind}-{os.getpid()}-{_machine()}{_PROCESS}{secrets.token_hex(4)}")


def final(path: Path) -> Path:
    """`path` with hidden names of unfinished work in it replaced by what they will be, for messages.

    >>> final(Path("runs/.model.tmp-7-0123456789abcdef0123/config.json")).as_posix()
    'runs/model/config.json'
    """
    return Path(*(re.sub(r"^\.(.+)\.(?:tmp|new|old)-\d+-[0-9a-f]{20}$", r"\1", part) for part in path.parts))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's
        return True
    return True


def _is_dead(pid: int, machine: str, process: str, changed: float) -> bool:
    if machine != _machine() or _WINDOWS:  # os.kill(pid, 0) is no harmless question on Windows
        ours = machine == _machine() and pid == os.getpid() and process == _PROCESS
        return not ours and time.time() - changed > _FOREIGN_LEFTOVER_SECONDS
    return process != _PROCESS if pid == os.getpid() else not _runs(pid)


def leftovers(path: Path) -> list[tuple[str, Path]]:
    """What dead writers of `path` left beside it: (kind, where), the latest first."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(tmp|new|old)-(\d{{1,10}})-([0-9a-f]{{6}})([0-9a-f]{{6}})[0-9a-f]{{8}}")
    found = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is None:
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                changed = max(status.st_mtime, status.st_ctime)
                if _is_dead(int(match[2]), match[3], match[4], changed):
                    found.append((changed, match[1], Path(entry.path)))
    return [(kind, where) for _, kind, where in sorted(found, reverse=True)]


def discard(path: Path) -> None:
    """Remove a file or a folder, never following links; what cannot be removed now is left to a later writer."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def throw_away(complete: Path, path: Path) -> None:
    """Remove a complete version of `path`, first naming it unfinished, so that a half-removed one never comes back."""
    rubbish = sibling(path, "tmp")
    with suppress(OSError):
        os.rename(complete, rubbish)
        discard(rubbish)
