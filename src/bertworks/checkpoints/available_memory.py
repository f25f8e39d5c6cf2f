"""How much memory this process may still take: asked before something is read that may be too large."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bertworks.checkpoints.space import readable

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that can still be taken without others having to go, as far as the system tells; None where it does not.

    The least of: free memory with what the system gives back on demand (Linux), else the machine's memory; what is left
    of the limits of the container (control groups); what is left of the limit of the process (`ulimit -v`).

    >>> available_memory() is None or available_memory() > 0
    True
    """
    known = [*_of_machine(), *_of_container(), *_of_process()]
    return max(0, min(known)) if known else None


def shortage(needed: int) -> str | None:
    """What to say where `needed` bytes of memory are more than there are; None where they fit, or nothing is known.

    >>> shortage(10**12).partition(" of")[0], shortage(0)
    ('1,000 GB', None)
    """
    available = available_memory()
    if available is None or needed <= available:
        return None
    return f"{readable(needed)} of memory, of which {readable(available)} are available"


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError, LookupError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        yield 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
        return
    with suppress(OSError, ValueError, AttributeError):  # not on Windows
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_container() -> Iterator[int]:
    with suppress(OSError, ValueError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
        for group in dict.fromkeys((_CONTROL_GROUPS / own, _CONTROL_GROUPS)):
            yield from _left(group / "memory.max", group / "memory.current", group / "memory.stat")
    first = _CONTROL_GROUPS / "memory"  # the first version of control groups
    yield from _left(first / "memory.limit_in_bytes", first / "memory.usage_in_bytes", first / "memory.stat")


def _left(limit: Path, used: Path, statistics: Path) -> Iterator[int]:
    """What a control group may still take; cached files in its use are given back on demand."""
    with suppress(OSError, ValueError):
        cached = [line.split()[1] for line in statistics.read_text(encoding="ascii").splitlines() if line.startswith("inactive_file ")]
        yield int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")) + sum(map(int, cached))


def _of_process() -> Iterator[int]:
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            yield limit - pages * resource.getpagesize()
