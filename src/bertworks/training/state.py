"""The state of a training, one object that is saved and restored whole.

There is no generator state in it: the order of the data and dropout are functions of the seed and the step.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.checksums import checksum, read_checksums, write_checksums
from bertworks.checkpoints.files import open_tensors, read_json, write_json, write_tensors
from bertworks.errors import CheckpointError
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model
from bertworks.training.average import Average
from bertworks.training.config import TrainingConfig
from bertworks.training.optimizer import Optimizer

WEIGHTS, MOMENTS, BEST, STATE = "model.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"
"""The files of a checkpoint; the best weights are there once the model was evaluated …"""
AVERAGE = "average.safetensors"
"""… and this is once weights are averaged."""

WITHOUT_EFFECT = ("checkpoint_minutes", "checkpoint_steps", "log_steps")
"""Settings that say when a run writes, and never change what it computes: a resumed run may have others."""


@dataclass
class TrainingState:
    """How far a training has come."""

    step: int = 0
    """Optimizer steps made."""
    tokens: int = 0
    """Tokens trained on."""
    seconds: float = 0.0
    """Time spent in training, over all sessions of the run."""
    token_budget: int | None = None
    """Most tokens computed at once so far: below the setting where memory ran out. A resumed run keeps to it."""
    best_step: int | None = None
    best_score: float | None = None
    evaluations_without_gain: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """The metrics of each evaluation, with its step."""
    loss_sum: float = 0.0
    """Sum of the losses of the steps since the last line of the log …"""
    loss_steps: int = 0
    """… and their number."""

    def become(self, values: Mapping[str, Any]) -> None:
        """Takes over all that another state tells (`asdict`)."""
        for name, value in values.items():
            setattr(self, name, value)

    def count_step(self, tokens: int, loss: float) -> None:
        """Counts a step that was made."""
        self.step += 1
        self.tokens += tokens
        self.loss_sum += loss
        self.loss_steps += 1

    def limit_tokens(self, asked: int, tell: Callable[[str], None]) -> int:
        """The token budget to go on with: the lower of what is asked for now and what memory sufficed for before."""
        before, self.token_budget = self.token_budget, min(asked, self.token_budget or asked)
        if before not in (None, self.token_budget):
            tell(f"token_budget is {asked:,} and was {before:,}: the result stays the same up to rounding, no longer bit for bit")
        elif self.token_budget < asked:
            tell(f"at most {self.token_budget:,} tokens are computed at once, not {asked:,}: memory ran out before")
        return self.token_budget


def identity(config: TrainingConfig, machine: MachineChoice, material: Mapping[str, Any], processes: int = 1) -> dict[str, Any]:
    """Everything that the bits of a training's result depend on: its settings, what was chosen of the machine, and its
    `material` (fingerprints of data and model, the task's settings). A run is resumed only where all of it is the same.

    Of a device the kind counts, not which of several it is; token budget and threads are those of each process.
    """
    settings = {name: value for name, value in config.to_dict().items() if name not in WITHOUT_EFFECT}
    chosen = {
        "device": machine.torch_device.type,
        "precision": machine.precision,
        "token_budget": machine.token_budget,
        "threads": machine.threads,
        "processes": processes,
    }
    return {**settings, **chosen, **material}


def save_checkpoint(
    folder: Path,
    state: TrainingState,
    model: Model,
    optimizer: Optimizer,
    average: Average,
    identity: dict[str, Any],
    *,
    best_of: Path | None,
) -> None:
    """Writes weights, optimizer, state, the mean and the best of the weights, atomically: the folder exists whole or not at
    all.

    `identity` is that of the run; resuming with another is refused. `best_of` is the checkpoint before this one: where the
    best weights are not those of this very step, it has them, and this one gets them as a hard link, with the checksum
    that they have had from the beginning. So they cost no room and no time, and every checkpoint has its own.
    """
    files = {WEIGHTS: model.arrays(), MOMENTS: optimizer.arrays(), **({AVERAGE: average.arrays()} if average.begun else {})}
    needed = sum(array.nbytes for arrays in files.values() for array in arrays.values())
    evaluated = AVERAGE if average.begun else WEIGHTS
    with atomic_folder(folder, replace=True, needed=needed) as writing:
        for name, arrays in files.items():
            write_tensors(writing / name, arrays)
        write_json(writing / STATE, {"state": asdict(state), "identity": identity})
        known = {evaluated: checksum(writing / evaluated)}
        if state.best_step == state.step:
            _link(writing / evaluated, writing / BEST)
            known[BEST] = known[evaluated]
        elif state.best_step is not None:
            assert best_of is not None
            _link(best_of / BEST, writing / BEST)
            known[BEST] = read_checksums(best_of)[BEST]
        write_checksums(writing, known)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise CheckpointError(f"{source} was removed while the training went on; it held the best weights") from None
    except OSError:  # a file system without hard links
        with open(source, "rb") as reading, open(target, "xb") as writing:
            shutil.copyfileobj(reading, writing)


def load_checkpoint(
    folder: Path, model: Model, optimizer: Optimizer, average: Average, identity: dict[str, Any], tell: Callable[[str], None]
) -> TrainingState:
    """Restores what `save_checkpoint` wrote; whether the files are whole (`damage`) is asked before.

    The token budget may have been lowered since, and the training may be divided among more or fewer processes: that gives
    the same up to rounding, and `tell` gets a line. Raises `CheckpointError` where other settings or data have changed.
    """
    stored = read_json(folder / STATE)
    before, now = {**_YOUNGER_SETTINGS, **dict(_flat(stored["identity"]))}, dict(_flat(identity))
    changed = [key for key in now if before.get(key) != now[key]]
    if "token_budget" in changed and now["token_budget"] < before.get("token_budget", 0):
        changed.remove("token_budget")
    if "processes" in changed:
        changed = [key for key in changed if key not in ("processes", "threads")]  # each process has its own threads
        tell(
            f"the training was divided among {before['processes']} processes and is now among {now['processes']}: the result "
            "stays the same up to rounding, no longer bit for bit"
        )
    if changed:
        was = "; ".join(f"{key} was {before.get(key)!r}, is {now[key]!r}" for key in changed)
        raise CheckpointError(f"{folder}: this run cannot be resumed with other settings or data: {was}. Start a new run, or restore them.")
    model.set_arrays(read_arrays(folder, WEIGHTS))
    optimizer.set_arrays(read_arrays(folder, MOMENTS))
    average.set_arrays(read_arrays(folder, AVERAGE) if (folder / AVERAGE).exists() else {})
    return TrainingState(**stored["state"])


_YOUNGER = ("optimizer", "average", "adam_beta2")
_YOUNGER_SETTINGS = {**{f.name: f.default for f in fields(TrainingConfig) if f.name in _YOUNGER}, "processes": 1}
"""What younger settings stood at in runs that were begun before there were any."""


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_arrays(folder: Path, name: str) -> dict[str, Array]:
    """All arrays of one file of a checkpoint."""
    with open_tensors(folder / name) as files:
        return {key: np.array(files[key]) for key in files}
