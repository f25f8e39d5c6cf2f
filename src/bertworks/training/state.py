"""The state of a training, one object that is saved and restored whole.

There is no generator state in it: the order of the data and dropout are functions of the seed and the step.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import open_tensors, read_json, write_json, write_tensors
from bertworks.errors import CheckpointError
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model
from bertworks.training.config import TrainingConfig
from bertworks.training.optimizer import Optimizer

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
    best_step: int | None = None
    best_score: float | None = None
    evaluations_without_gain: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """The metrics of each evaluation, with its step."""
    loss_sum: float = 0.0
    """Sum of the losses of the steps since the last line of the log …"""
    loss_steps: int = 0
    """… and their number."""


def identity(config: TrainingConfig, machine: MachineChoice, material: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the bits of a training's result depend on: its settings, what was chosen of the machine, and its
    `material` (fingerprints of data and model, the task's settings). A run is resumed only where all of it is the same.
    """
    settings = {name: value for name, value in config.to_dict().items() if name not in WITHOUT_EFFECT}
    chosen = {"device": machine.device, "precision": machine.precision, "token_budget": machine.token_budget, "threads": machine.threads}
    return {**settings, **chosen, **material}


def save_checkpoint(folder: Path, state: TrainingState, model: Model, optimizer: Optimizer, identity: dict[str, Any]) -> None:
    """Writes weights, optimizer and state atomically: the folder exists whole or not at all.

    `identity` is that of the run; resuming with another is refused.
    """
    with atomic_folder(folder, replace=True) as writing:
        write_tensors(writing / "model.safetensors", model.arrays())
        write_tensors(writing / "optimizer.safetensors", optimizer.arrays())
        write_json(writing / "state.json", {"state": asdict(state), "identity": identity})


def load_checkpoint(folder: Path, model: Model, optimizer: Optimizer, identity: dict[str, Any]) -> TrainingState:
    """Restores what `save_checkpoint` wrote. Raises `CheckpointError` where settings or data have changed since."""
    stored = read_json(folder / "state.json")
    before, now = dict(_flat(stored["identity"])), dict(_flat(identity))
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        was = "; ".join(f"{key} was {before.get(key)!r}, is {now[key]!r}" for key in changed)
        raise CheckpointError(f"{folder}: this run cannot be resumed with other settings or data: {was}. Start a new run, or restore them.")
    model.set_arrays(read_arrays(folder, "model.safetensors"))
    optimizer.set_arrays(read_arrays(folder, "optimizer.safetensors"))
    return TrainingState(**stored["state"])


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
