"""Loading through a weight table, with a report of a few lines: what was loaded, what is new, what was not used."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bertworks.checkpoints.table import Entry, Table
from bertworks.errors import CheckpointError

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
_SHOWN = 12


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

    Raises `CheckpointError` with one table of everything missing, unexpected or of the wrong shape.
    """
    found: dict[str, Array] = {}
    new: dict[str, str] = {}
    problems: list[str] = []
    wanted = 0
    for entry in table.entries:
        reason = next((why for prefix, why in may_be_new.items() if entry.ours[0].startswith(prefix)), None)
        problem = _problem(entry, names, shapes, own_shapes)
        if problem is None:
            loaded = entry.load([read(names[name]) for name in entry.theirs])
            found.update(zip(entry.ours, loaded, strict=True))
            wanted += len(entry.theirs)
        elif reason is not None:
            new.update(dict.fromkeys(entry.ours, reason))
        else:
            wanted += len(entry.theirs)
            problems.append(problem)
    used = {name for entry in table.entries for name in entry.theirs}
    problems += _untied(table, names, read)
    ignored, unexpected = _sort_rest([n for n in names if n not in used], table)
    problems += [f"unexpected  {name} {list(shapes[names[name]])}" for name in unexpected]
    if problems:
        raise CheckpointError(_explain(source, problems))
    loaded_count = sum(len(entry.theirs) for entry in table.entries if entry.ours[0] in found)
    return found, LoadingReport(source, loaded_count, wanted, new, ignored)


def _problem(entry: Entry, names: Mapping[str, str], shapes: Mapping[str, Shape], own_shapes: Mapping[str, Shape]) -> str | None:
    """Why an entry cannot be loaded, or None. Shapes are compared without reading the tensors."""
    missing = [name for name in entry.theirs if name not in names]
    if missing:
        return "missing     " + ", ".join(missing)
    stand_ins = [np.broadcast_to(np.float32(0), shapes[names[name]]) for name in entry.theirs]
    want = [own_shapes[name] for name in entry.ours]
    try:
        have = [tuple(a.shape) for a in entry.load(stand_ins)]
    except ValueError:
        have = []
    if have != want:
        there = " + ".join(str(list(shapes[names[name]])) for name in entry.theirs)
        return f"wrong shape {', '.join(entry.theirs)}: {there} in the file, config.json says {' + '.join(str(list(s)) for s in want)}"
    return None


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


def _explain(source: str, problems: Collection[str]) -> str:
    shown = list(problems)[:_SHOWN]
    more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return (
        f"{source}: {len(problems)} tensors do not fit the model that config.json describes:\n  "
        + "\n  ".join(shown)
        + more
        + "\nIs this folder complete, and is its config.json the one that belongs to these weights?"
    )
