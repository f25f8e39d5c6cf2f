"""Loading through a weight table, with a report of a few lines: what was loaded, what is new, what was not used."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bertworks.checkpoints.available_memory import shortage
from bertworks.checkpoints.table import Entry, Table
from bertworks.errors import CheckpointError

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
_SHOWN = 12
_NOTHING = np.zeros((), dtype="V0")
"""Stands for a number where only shapes are looked at: any number of them takes no memory."""


@dataclass(frozen=True)
class LoadingReport:
    """What became of the tensors of a checkpoint."""

    source: str
    loaded: int
    """Tensors of the checkpoint that were loaded."""
    total: int
    """Tensors of the checkpoint that the model wants."""
    new: Mapping[str, str] = field(default_factory=dict)
    """Our parameters that the checkpoint does not hold and that start anew, with the reason."""
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tensors of the checkpoint that are not used, by reason."""

    def lines(self) -> list[str]:
        out = [f"loaded {self.loaded}/{self.total} tensors from {self.source}"]
        for reason in dict.fromkeys(self.new.values()):
            names = [name for name, why in self.new.items() if why == reason]
            out.append(f"new: {', '.join(sorted({n.rsplit('.', 1)[0] for n in names}))} ({reason})")
        out += [f"not used: {len(names)} tensors ({reason})" for reason, names in self.ignored.items()]
        return out

    def __str__(self) -> str:
        return "\n".join(self.lines())


def load_through(
    table: Table,
    names: Mapping[str, str],
    shapes: Mapping[str, Shape],
    read: Callable[[str], Array],
    own_shapes: Mapping[str, Shape],
    *,
    source: str,
    may_be_new: Mapping[str, str],
) -> tuple[dict[str, Array], LoadingReport]:
    """Reads all parameters that a table asks for.

    `names` maps a table's names to the file's (`table.normalized`); `shapes` are the file's, by its own names;
    `own_shapes` are our parameters'. `may_be_new` maps prefixes of our names to the reason why such a parameter
    may be absent or of another shape (a new head): it is left out of the result and reported.

    Nothing is read before all shapes are found right and the parameters fit into memory.

    Raises `CheckpointError` with one table of everything missing, unexpected or of the wrong shape; or of what holds no
    finite numbers.
    """
    found: dict[str, Array] = {}
    new: dict[str, str] = {}
    problems: list[str] = []
    fitting: list[Entry] = []
    wanted = 0
    for entry in table.entries:
        reason = next((why for prefix, why in may_be_new.items() if entry.ours[0].startswith(prefix)), None)
        problem = _problem(entry, names, shapes, own_shapes)
        if problem is not None and reason is not None:
            new.update(dict.fromkeys(entry.ours, reason))
            continue
        wanted += len(entry.theirs)
        if problem is None:
            fitting.append(entry)
        else:
            problems.append(problem)
    used = {name for entry in table.entries for name in entry.theirs}
    ignored, unexpected = _sort_rest([n for n in names if n not in used], table)
    problems += [f"unexpected  {name} {list(shapes[names[name]])}" for name in unexpected]
    if problems:
        raise _refused(source, problems, "not fit the model that config.json describes", "is its config.json the one that belongs to them")
    _require_memory(source, own_shapes)
    problems = _untied(table, names, read)
    for entry in fitting:
        theirs = [read(names[name]) for name in entry.theirs]
        problems += [problem for name, array in zip(entry.theirs, theirs, strict=True) if (problem := _no_weights(name, array))]
        found.update(zip(entry.ours, entry.load(theirs), strict=True))
    if problems:
        raise _refused(source, problems, "not hold what weights hold", "did the training that made them go well")
    loaded_count = sum(len(entry.theirs) for entry in fitting)
    return found, LoadingReport(source, loaded_count, wanted, new, ignored)


def _require_memory(source: str, own_shapes: Mapping[str, Shape]) -> None:
    """Raises `CheckpointError` where the parameters, in float32, are larger than the memory that there is."""
    missing = shortage(4 * sum(math.prod(shape) for shape in own_shapes.values()))
    if missing is not None:
        raise CheckpointError(f"{source} takes {missing}: close other programs, or take a smaller model or a larger machine")


def _problem(entry: Entry, names: Mapping[str, str], shapes: Mapping[str, Shape], own_shapes: Mapping[str, Shape]) -> str | None:
    """Why an entry cannot be loaded, or None. Shapes are compared without reading the tensors."""
    missing = [name for name in entry.theirs if name not in names]
    if missing:
        return "missing     " + ", ".join(missing)
    stand_ins = [np.broadcast_to(_NOTHING, shapes[names[name]]) for name in entry.theirs]
    want = [own_shapes[name] for name in entry.ours]
    try:
        have = [tuple(a.shape) for a in entry.load(stand_ins)]
    except ValueError:
        have = []
    if have != want:
        there = " + ".join(str(list(shapes[names[name]])) for name in entry.theirs)
        return f"wrong shape {', '.join(entry.theirs)}: {there} in the file, config.json says {' + '.join(str(list(s)) for s in want)}"
    return None


def _no_weights(name: str, array: Array) -> str | None:
    """Why an array cannot be weights, or None."""
    if array.dtype.kind != "f":
        return f"no weights  {name} holds {array.dtype.name}: bertworks reads floating-point weights only"
    with np.errstate(all="ignore"):
        finite = np.isfinite(array.sum()) or np.isfinite(array).all()  # a sum of finite numbers is finite, but for the very large
    return None if finite else f"no numbers  {name} holds NaN or infinity"


def _untied(table: Table, names: Mapping[str, str], read: Callable[[str], Array]) -> list[str]:
    pairs = [(tie.theirs, tie.same_as) for tie in table.ties if tie.theirs in names and tie.same_as in names]
    return [
        f"not tied    {a} differs from {b}, which it must equal" for a, b in pairs if not np.array_equal(read(names[a]), read(names[b]))
    ]


def _sort_rest(rest: Sequence[str], table: Table) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    ties = {tie.theirs for tie in table.ties}
    ignored: dict[str, tuple[str, ...]] = {}
    unexpected = []
    for name in rest:
        if name in ties:
            continue
        reason = table.ignored(name)
        if reason is None:
            unexpected.append(name)
        else:
            ignored[reason] = (*ignored.get(reason, ()), name)
    return ignored, unexpected


def _refused(source: str, problems: Sequence[str], verdict: str, question: str) -> CheckpointError:
    more = [f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    count = f"{len(problems)} tensors do" if len(problems) > 1 else "1 tensor does"
    message = f"{source}: {count} {verdict}. Are the files whole, and {question}? Copy or download them again"
    return CheckpointError(message, [*problems[:_SHOWN], *more])
