"""`doctor`: what is chosen on this machine, and why; what is installed, and what is not."""

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bertworks import __version__
from bertworks.nn.attention import explain_choice
from bertworks.nn.machine import cache_folder, choose, cpu_name, gemm_rates
from bertworks.pretrained import shipped

_LIBRARIES = ("torch", "tokenizers", "numpy", "pyarrow", "huggingface_hub", "typer", "rich")
_EXTRAS = {
    "corpus": ("sentencex", "corpora of text whose lines are no sentences"),
    "hub": ("datasets", "data sets of the hub by name"),
    "logs": ("tensorboard", "TensorBoard logs of runs"),
    "search": ("faiss-cpu", "search --index, which compares a part of many vectors"),
    "tune": ("optuna", "tune --search optuna"),
}
_FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm", "sve")
"""Instructions that matter for speed, by the names that Linux has for them."""


@dataclass(frozen=True)
class Fact:
    """One line of the examination."""

    topic: str
    name: str
    value: str
    why: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """What this machine has, and what is therefore chosen."""

    facts: list[Fact]

    def lines(self) -> list[str]:
        """The facts as text, one a line, under their topics."""
        out: list[str] = []
        topic = ""
        for fact in self.facts:
            out += [f"{fact.topic}:"] if fact.topic != topic else []
            topic = fact.topic
            out.append(f"  {fact.name}: {fact.value}" + (f" ({fact.why})" if fact.why else ""))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Topic → name → value and reason."""
        out: dict[str, dict[str, Any]] = {}
        for fact in self.facts:
            out.setdefault(fact.topic, {})[fact.name] = {k: v for k, v in asdict(fact).items() if k in ("value", "why") and v}
        return out


def doctor(*, measure: bool = False) -> DoctorReport:
    """Looks at the machine, makes the choices that a training would make, and says why.

    The speed of products is measured once and then read from the cache folder; `measure` measures it again, which is
    worth while where other programs were busy the first time.
    """
    if measure:
        gemm_rates(fresh=True)
    return DoctorReport([*_choices(), *_machine(), *_installed(), *_places()])


def _choices() -> list[Fact]:
    machine = choose()
    values = {name: str(getattr(machine, name)) for name in ("device", "precision", "threads", "token_budget")}
    facts = [Fact("chosen here", name.replace("_", " "), value, machine.reasons.get(name, "")) for name, value in values.items()]
    for purpose, dropout in (("attention in inference", False), ("attention in training", True)):
        kernel, why = explain_choice(machine.torch_device, machine.dtype, dropout)
        facts.append(Fact("chosen here", purpose, kernel, why))
    if machine.device == "cpu":
        rates = " · ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in gemm_rates().items())
        facts.append(Fact("chosen here", "measured products", rates, f"{machine.threads} threads; kept in the cache folder"))
    return facts


def _machine() -> list[Fact]:
    facts = [
        Fact("machine", "system", f"{platform.system()} {platform.machine()}"),
        Fact("machine", "processor", cpu_name()),
        Fact("machine", "instructions", ", ".join(_cpu_features()) or "unknown"),
        Fact("machine", "cores for this process", str(_cores())),
    ]
    if hasattr(os, "getloadavg"):
        load = os.getloadavg()[0]
        busy = load > 0.5 * _cores()
        facts.append(Fact("machine", "load", f"{load:.1f}", "other programs are computing too: expect less speed" if busy else ""))
    return facts


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_features() -> list[str]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return []
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [name for name in _FEATURES if name in flags]


def _installed() -> list[Fact]:
    facts = [Fact("installed", "bertworks", __version__), Fact("installed", "Python", platform.python_version())]
    for library in _LIBRARIES:
        try:
            facts.append(Fact("installed", library, metadata.version(library)))
        except metadata.PackageNotFoundError:
            facts.append(Fact("installed", library, "missing", f"pip install {library}"))
    for extra, (package, purpose) in _EXTRAS.items():
        try:
            facts.append(Fact("extras", package, metadata.version(package), purpose))
        except metadata.PackageNotFoundError:
            remedy = f"pip install {package}, or pip install 'bertworks[{extra}]'"
            facts.append(Fact("extras", package, "not installed", f"{purpose}: {remedy}"))
    return facts


def _places() -> list[Fact]:
    return [
        Fact("places", "default encoder", str(shipped()), "used where no model is named"),
        Fact("places", "cache folder", str(cache_folder()), "measurements; BERTWORKS_CACHE names another"),
        Fact("places", "interpreter", sys.executable),
    ]
