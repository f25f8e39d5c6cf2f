"""When a training saves itself, and where its best weights are kept: in the run folder, or in memory without one."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bertworks.batch import Array
from bertworks.checkpoints.checksums import damage
from bertworks.checkpoints.space import free_bytes, readable
from bertworks.errors import CheckpointError, TrainingError
from bertworks.evaluation import Metrics
from bertworks.nn.model import Model
from bertworks.training.average import Average
from bertworks.training.config import TrainingConfig
from bertworks.training.optimizer import Optimizer
from bertworks.training.run import RunFolder
from bertworks.training.state import BEST, TrainingState, load_checkpoint, read_arrays, save_checkpoint

_KEPT = 2
_BYTES_OF_A_NUMBER = 4


class Checkpoints:
    """The memory of a training. `tell` gets a line about whatever in the run folder is not as it should be."""

    def __init__(
        self, run: RunFolder | None, config: TrainingConfig, identity: Mapping[str, Any], tell: Callable[[str], None] | None = None
    ) -> None:
        self.run, self.config, self.identity = run, config, dict(identity)
        self._tell = tell or (lambda text: None)
        self._best: dict[str, Array] | None = None
        self._newest: Path | None = None
        self._saved_at = time.monotonic()

    def restore(self, model: Model, optimizer: Optimizer, average: Average) -> TrainingState:
        """The state of the newest checkpoint that is whole, with weights, optimizer and mean; a new state where there is none.

        Raises `CheckpointError` where there are checkpoints and none is whole, where the run was begun with other
        settings or data, and where the disk has no room for the training.
        """
        if self.run is None:
            return TrainingState()
        self.run.open(self._tell)
        self._newest = self._newest_whole(self.run)
        state = TrainingState()
        if self._newest is not None:
            state = load_checkpoint(self._newest, model, optimizer, average, self.identity, self._tell)
        self.run.trim_log(state.step)
        self._require_room(self.run, model, optimizer)
        return state

    def _newest_whole(self, run: RunFolder) -> Path | None:
        faults: list[str] = []
        for folder in run.checkpoints():
            fault = damage(folder)
            if fault is None:
                if faults:
                    self._tell(f"{'; '.join(faults)}. The training goes back to the checkpoint before, {folder.name}")
                return folder
            faults.append(fault)
        if faults:
            raise CheckpointError(
                f"no checkpoint of this run is whole: {'; '.join(faults)}. Restore one from a copy, or delete "
                f"{run.path / 'checkpoints'} to begin the training anew"
            )
        return None

    def _require_room(self, run: RunFolder, model: Model, optimizer: Optimizer) -> None:
        """A full disk is better known at the beginning. A new checkpoint is written while the last ones still stand."""
        parameters, trained = (sum(p.numel() for p in some) for some in (model.parameters(), optimizer.parameters.values()))
        one = _BYTES_OF_A_NUMBER * (parameters * (2 if self.config.average else 1) + 2 * trained)
        most = one * (_KEPT + 1 - min(_KEPT, len(run.checkpoints())))
        free = free_bytes(run.path)
        if free is None or free >= most:
            return
        figures = f"a checkpoint takes {readable(one)}, up to {readable(most)} will be needed, and {readable(free)} are free"
        if free < one:
            raise CheckpointError(f"{run.path}: no room for this training: {figures}. Free some space or choose another folder")
        self._tell(f"the disk of {run.path} is nearly full: {figures}")

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be written after this step. Never changes what is computed."""
        by_steps = self.config.checkpoint_steps is not None and step % self.config.checkpoint_steps == 0
        return by_steps or time.monotonic() - self._saved_at > self.config.checkpoint_minutes * 60

    def save(self, state: TrainingState, model: Model, optimizer: Optimizer, average: Average) -> None:
        """Writes a checkpoint; keeps it and the one before. Raises `TrainingError` where the disk refuses it."""
        if self.run is None:
            return
        self.run.require_in_place()
        folder = self.run.checkpoint(state.step)
        with self.run.saying_how_to_go_on():
            save_checkpoint(folder, state, model, optimizer, average, self.identity, best_of=self._newest)
        self.run.drop_checkpoints(keep=[folder, *([self._newest] if self._newest else [])])
        self._newest, self._saved_at = folder, time.monotonic()

    def log(self, record: Mapping[str, Any]) -> None:
        if self.run is not None:
            self.run.log(record)

    def evaluated(self, state: TrainingState, model: Model, metrics: Metrics) -> bool:
        """Notes an evaluation, and whether it is the best so far: then the next checkpoint, which must follow at once,
        keeps the weights as such (without a run folder, memory does)."""
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
            if self.run is None:
                self._best = model.arrays()
        return best

    def restore_best(self, model: Model, state: TrainingState) -> None:
        """Gives the model its best weights, where it was evaluated.

        Raises `TrainingError` where they were damaged since they were written.
        """
        if state.best_step is None or state.best_step == state.step:
            return
        if self.run is None:
            assert self._best is not None
            model.set_arrays(self._best)
            return
        assert self._newest is not None
        fault = damage(self._newest, only=BEST)
        if fault is not None:
            raise TrainingError(
                f"the best weights, those of step {state.best_step}, are lost: {fault}. Resume the run: it goes back to its last whole "
                f"checkpoint and computes them again: {self.run.command}"
            )
        model.set_arrays(read_arrays(self._newest, BEST))

    def close(self) -> None:
        """Closes the run folder."""
        if self.run is not None:
            self.run.close()
