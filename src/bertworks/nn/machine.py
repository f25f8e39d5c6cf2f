"""What this machine can do, and what is therefore chosen: device, precision, threads, batch size in tokens.

`auto` is decided by a measurement (CPU: half a second, once, kept in the user's cache folder) or by a capability
check (CUDA). The batch size in tokens is a fixed default a kind of device, not a measurement. `bertworks doctor`
prints the choice and the reason.
"""

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from bertworks.errors import SettingsError

Precision = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_MOST_THREADS = 1024
_GAIN_WANTED = 1.3
"""bfloat16 is chosen where its products run this much faster than float32's: rounding and casts cost something too."""


@dataclass(frozen=True)
class MachineChoice:
    """What was chosen for a run, and why."""

    device: str
    precision: str
    token_budget: int
    threads: int
    reasons: dict[str, str]

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    def lines(self) -> list[str]:
        values = asdict(self)
        return [f"{name}: {values[name]} ({why})" for name, why in self.reasons.items()]


def choose(
    device: str = "auto",
    precision: str = "auto",
    token_budget: int | None = None,
    threads: int | None = None,
    *,
    training: bool = True,
) -> MachineChoice:
    """Decides what is left open; explicit values are kept.

    Raises `SettingsError` for a device or precision that does not exist here.
    """
    reasons = {}
    if threads is not None:
        if not 1 <= threads <= _MOST_THREADS:
            raise SettingsError(f"threads is a number from 1 to {_MOST_THREADS:,}, not {threads}")
        torch.set_num_threads(threads)
    reasons["threads"] = "as asked" if threads is not None else "PyTorch's choice for this machine"
    kind, reasons["device"] = _device(device)
    if precision == "auto":
        precision, reasons["precision"] = _precision(kind, training)
    elif precision in DTYPES:
        reasons["precision"] = "as asked"
    else:
        raise SettingsError(f"unknown precision '{precision}': choose auto, {', '.join(DTYPES)}")
    if precision == "float16" and training:
        raise SettingsError("precision 'float16' cannot train without loss scaling: choose bfloat16 or float32")
    if token_budget is None:
        token_budget, reasons["token_budget"] = (4096, "a fixed CPU default") if kind == "cpu" else (32768, "a fixed default for GPUs")
    else:
        reasons["token_budget"] = "as asked"
    return MachineChoice(kind, precision, token_budget, torch.get_num_threads(), reasons)


def _device(asked: str) -> tuple[str, str]:
    if not isinstance(asked, str):
        raise SettingsError(f"device is a name, such as auto, cpu, cuda, cuda:1 or mps, not {asked!r}")
    if asked == "auto":
        if torch.cuda.is_available():
            return "cuda", f"a CUDA device is there: {torch.cuda.get_device_name()}"
        if torch.backends.mps.is_available():
            return "mps", "an Apple GPU is there"
        return "cpu", "no GPU is there"
    try:
        device = torch.device(asked)
        torch.zeros(1, device=device).item()  # read back: the "meta" device has no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        reason = "there is no such kind" if reason.startswith("Expected one of") else reason  # … twenty names follow
        reason = "there is none" if reason.startswith("Could not run") else reason  # … and advice to PyTorch's own developers
        raise SettingsError(f"device '{asked}' cannot be used here: {reason} (choose auto, cpu, cuda or mps)") from None
    return asked, "as asked"


def _precision(device: str, training: bool) -> tuple[Literal["float32", "bfloat16"], str]:
    if device.startswith("cuda"):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "this GPU multiplies bfloat16 natively"
        return "float32", "this GPU does not multiply bfloat16 natively"
    if device != "cpu":
        return "float32", f"bfloat16 is not proved on '{device}'"
    rates = gemm_rates()
    gain = rates["bfloat16"] / rates["float32"]
    figures = f"measured: bfloat16 products {rates['bfloat16']:.0f} GFLOP/s, float32 {rates['float32']:.0f}, a gain of {gain:.1f}"
    if gain >= _GAIN_WANTED:
        return "bfloat16", f"{figures}; master weights stay float32"
    return "float32", figures


def gemm_rates(*, fresh: bool = False) -> dict[str, float]:
    """GFLOP/s of an encoder-shaped product (1024 × 384 · 384 × 1536) by dtype, at the current number of threads.

    Measured once per machine, PyTorch version and thread count, then read from the cache; `fresh` measures anew.
    """
    path = cache_folder() / "machine.json"
    key = f"{cpu_name()}|{os.cpu_count()} cores|torch {torch.__version__}|{torch.get_num_threads()} threads"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}  # whatever the file holds, it can be measured anew
    rates = known.get(key)
    if fresh or not isinstance(rates, dict) or not {"float32", "bfloat16"} <= rates.keys():
        rates = known[key] = _measure_gemm()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
            temporary.replace(path)
        except OSError:
            pass  # a read-only home costs half a second a run, nothing else
    return rates


def _measure_gemm(rows: int = 1024, inputs: int = 384, outputs: int = 1536, rounds: int = 9) -> dict[str, float]:
    operands = {
        name: (torch.ones(rows, inputs, dtype=DTYPES[name]), torch.ones(outputs, inputs, dtype=DTYPES[name]))
        for name in ("float32", "bfloat16")
    }
    seconds: dict[str, list[float]] = {name: [] for name in operands}
    with torch.no_grad():
        for round_number in range(rounds + 2):
            for name, (x, weight) in operands.items():
                start = time.perf_counter()
                torch.nn.functional.linear(x, weight)
                if round_number >= 2:  # the first rounds warm up
                    seconds[name].append(time.perf_counter() - start)
    return {name: 2e-9 * rows * inputs * outputs / statistics.median(s) for name, s in seconds.items()}


def cache_folder() -> Path:
    """Where bertworks keeps what it measured: `BERTWORKS_CACHE`, else the platform's cache folder."""
    if "BERTWORKS_CACHE" in os.environ:
        return Path(os.environ["BERTWORKS_CACHE"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "bertworks"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bertworks"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bertworks"


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
