"""Small things that the tables of docs/benchmarks.md are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; columns after the first are aligned to the right."""
    marks = ["---", *["---:"] * (len(titles) - 1)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [titles, marks, *rows])


def ranged(figures: Result, digits: int) -> str:
    """Median (min to max)."""
    median, least, most = (f"{figures[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least}–{most})"


def mean_and_deviation(summary: Result) -> str:
    """In percent."""
    deviation = "" if summary["std"] is None else f" ± {100 * summary['std']:.2f}"
    return f"{100 * summary['mean']:.2f}{deviation}"


def footer(content: Result) -> str:
    """Command and machine, as far as a result tells them."""
    facts = content["machine"]
    flags = [flag for flag in facts["flags"] if flag.startswith("amx") or flag.endswith("bf16")] or ["no AMX, no AVX512-BF16"]
    place = f"{facts['cpu']}, {facts['cores']} cores ({', '.join(flags)}), {facts['threads']} threads, torch {facts['torch']}"
    peer = f", transformers {facts['transformers']}" if facts.get("transformers") else ""
    when = f" · {facts['date']}, load before {facts['load_before']}" if "date" in facts else ""
    return (f"`{content['command']}` · " if "command" in content else "") + place + peer + when + _several_machines(content)


def _several_machines(content: Result) -> str:
    """Where and in which precision each seed was trained, where that differs between them."""
    runs = [run for run in content.get("runs", []) if "environment" in run]
    places: dict[str, list[str]] = {}
    for run in runs:
        facts = run["environment"]
        halves = "" if any(flag.endswith("bf16") for flag in facts["flags"]) else ", no bfloat16 products"
        places.setdefault(f"{facts['cpu']}{halves}, trained in {run['precision']}", []).append(str(run["seed"]))
    if len(places) < 2:
        return ""
    return " · seeds on several machines: " + "; ".join(f"{', '.join(seeds)} on {place}" for place, seeds in places.items())
