"""When a training saves itself, and where its best weights are kept: in the run folder, or in memory without one."""

import time
from collections.abc import Mapping
from typing import Any

from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import write_json, write_tensors
from bertworks.evaluation import Metrics
from bertworks.nn.model import Model
from bertworks.training.config import TrainingConfig
from bertworks.training.optimizer import Optimizer
from bertworks.training.run import RunFolder
from bertworks.training.state import TrainingState, load_checkpoint, read_arrays, save_checkpoint


class Checkpoints:
    """The memory of a training."""

    def __init__(self, run: RunFolder | None, config: TrainingConfig, identity: Mapping[str, Any]) -> None:
        self.run, self.config, self.identity = run, config, dict(identity)
        self._best: dict[str, Array] | None = None
        self._saved_at = time.monotonic()

    def restore(self, model: Model, optimizer: Optimizer) -> TrainingState:
        """The state of the newest checkpoint, with weights and optimizer; a new state where there is none."""
        if self.run is None:
            return TrainingState()
        newest = self.run.latest_checkpoint()
        state = TrainingState() if newest is None else load_checkpoint(newest, model, optimizer, self.identity)
        self.run.trim_log(state.step)
        return state

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be written after this step. Never changes what is computed."""
        by_steps = self.config.checkpoint_steps is not None and step % self.config.checkpoint_steps == 0
        return by_steps or time.monotonic() - self._saved_at > self.config.checkpoint_minutes * 60

    def save(self, state: TrainingState, model: Model, optimizer: Optimizer) -> None:
        if self.run is not None:
            save_checkpoint(self.run.checkpoint(state.step), state, model, optimizer, self.identity)
            self.run.drop_old_checkpoints()
            self._saved_at = time.monotonic()

    def log(self, record: Mapping[str, Any]) -> None:
        if self.run is not None:
            self.run.log(record)

    def evaluated(self, state: TrainingState, model: Model, metrics: Metrics) -> bool:
        """Notes an evaluation; keeps the weights where they are the best so far."""
        values = metrics.compute()
        score = float(values[metrics.headline])
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        state.evaluations.append({"step": state.step, **numbers})
        self.log({"kind": "validation", **state.evaluations[-1]})
        sign = 1 if metrics.higher_is_better else -1
        best = state.best_score is None or sign * score > sign * state.best_score
        state.evaluations_without_gain = 0 if best else state.evaluations_without_gain + 1
        if best:
            state.best_score, state.best_step = score, state.step
            self._keep_best(model, state)
        return best

    def _keep_best(self, model: Model, state: TrainingState) -> None:
        if self.run is None:
            self._best = model.arrays()
            return
        with atomic_folder(self.run.best, replace=True) as writing:
            write_tensors(writing / "model.safetensors", model.arrays())
            write_json(writing / "best.json", {"step": state.best_step, "score": state.best_score})

    def restore_best(self, model: Model, state: TrainingState) -> None:
        """Gives the model its best weights, where it was evaluated."""
        if state.best_step is not None:
            model.set_arrays(self._best if self.run is None else read_arrays(self.run.best, "model.safetensors"))  # type: ignore[arg-type]

    def close(self) -> None:
        """Closes the log."""
        if self.run is not None:
            self.run.close()
