"""What memory is left: by the machine, by the container, by the limit of the process."""

import subprocess
import sys
from pathlib import Path

import pytest

from bertworks.checkpoints import available_memory as module
from bertworks.checkpoints.available_memory import available_memory, shortage


def test_the_least_of_all_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_of_machine", lambda: iter([10**9]))
    monkeypatch.setattr(module, "_of_container", lambda: iter([5 * 10**8, 9 * 10**8]))
    monkeypatch.setattr(module, "_of_process", lambda: iter([]))
    assert available_memory() == 5 * 10**8
    assert shortage(5 * 10**8) is None
    assert shortage(5 * 10**8 + 1) == "500 MB of memory, of which 500 MB are available"
    monkeypatch.setattr(module, "_of_process", lambda: iter([-3]))
    assert available_memory() == 0
    for name in ("_of_machine", "_of_container", "_of_process"):
        monkeypatch.setattr(module, name, lambda: iter([]))
    assert available_memory() is None
    assert shortage(10**18) is None


def test_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files in use by the page cache are given back on demand, so they count as free."""
    monkeypatch.setattr(module, "_CONTROL_GROUPS", tmp_path)
    assert list(module._of_container()) == []
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 120\nactive_file 80\n")
    assert list(module._of_container()) == []
    (tmp_path / "memory.max").write_text("1000\n")
    assert list(module._of_container()) == [820]


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the numbers of the machine are compared with /proc/meminfo")
def test_this_machine() -> None:
    total = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    (found,) = module._of_machine()
    assert found > 0
    available = available_memory()
    assert available is not None
    assert available <= max(found, 1024 * total)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the size of a process is read from /proc")
def test_the_limit_of_a_process() -> None:
    program = (
        "import resource; from bertworks.checkpoints.available_memory import available_memory as a; a()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)); first = a(); x = bytearray(10**8); print(first, first - a())"
    )
    first, taken = map(int, subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())
    assert 0 < first < 10**9
    assert abs(taken - 10**8) < 2 * 10**6
