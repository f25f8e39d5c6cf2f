"""The training loop, from top to bottom.

A step is an optimizer update on `batch_size` rows, computed in packed batches of at most `token_budget` tokens.
Losses are sums; they are divided by the count of the whole step, so the gradient does not depend on the batches.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil, isfinite
from typing import Any

from bertworks.batch import PackedBatch
from bertworks.errors import BertworksError, Interrupted, TrainingError
from bertworks.inference.engine import evaluate
from bertworks.inference.memory import MemoryExhaustedError, TokenBudget, is_out_of_memory, reason_of
from bertworks.nn.losses import LOSSES_OF_GROUPS
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model
from bertworks.tasks.task import Task
from bertworks.training.average import Average
from bertworks.training.checkpoints import Checkpoints
from bertworks.training.config import TrainingConfig
from bertworks.training.distributed import LostProcessError, Processes, alone, require_alike
from bertworks.training.optimizer import Optimizer
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder
from bertworks.training.schedules import rate_factor
from bertworks.training.state import TrainingState, identity
from bertworks.training.steps import Batches, ShuffledRows, Step, Steps
from bertworks.training.vector_steps import step_loss


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves behind, besides the trained model itself."""

    state: TrainingState
    steps: int
    best_metrics: dict[str, Any] | None
    """Validation metrics of the weights that the model now has; None without validation data."""


def train(
    model: Model,
    task: Task,
    data: PackedBatch | Batches,
    config: TrainingConfig,
    machine: MachineChoice,
    *,
    steps: int | None = None,
    evaluation_steps: int | None = None,
    validation: PackedBatch | None = None,
    run: RunFolder | None = None,
    material: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> TrainingResult:
    """Trains `model` in place; with validation data it ends with the weights of the best evaluation.

    `data` are encoded rows, or whatever makes batches. `steps` and `evaluation_steps`, the steps in all and those between
    evaluations, follow from the epochs in `config` where they are not given.

    With a `run` folder, checkpoints are written, and a run that has some is resumed from the newest: it ends in the
    same bits as one that was never interrupted (CPU, same number of threads). `config` must be resolved
    (`TrainingConfig.resolved`); `material` names what else the result depends on (fingerprints of data and model).
    Where memory runs out the token budget is halved, once; that is told, logged and kept in the state, and from there on
    the result is the same up to rounding only.

    Several `processes` give the same result up to rounding, and each of them has it; the first alone evaluates, writes to
    `run` and tells `progress`. A run that they resume in the same number ends in the same bits, too.

    Raises `TrainingError` where the loss is not a number, the disk is full or memory does not suffice, `Interrupted`
    after Ctrl-C, once the state is saved, `CheckpointError` where the run was begun with other settings or material or
    no checkpoint of it is whole, `SettingsError` where another process trains in the folder.
    """
    processes = processes or alone()
    progress = progress if progress is not None and processes.first else Progress()
    batches = _batches_of(data, task, config)
    total = steps or max(1, ceil((config.epochs or 1) * batches.per_epoch))
    between_evaluations = evaluation_steps or max(1, ceil(batches.per_epoch / config.evaluations_per_epoch))
    what_it_is = identity(config, machine, material or {}, processes.size)
    require_alike(processes, what_it_is)
    checkpoints = Checkpoints(run if processes.first else None, config, what_it_is, progress.message)
    with closing(checkpoints):
        model.to(machine.torch_device).compute_in(machine.dtype)
        source = Steps(batches, config, machine, processes.share)
        loss = step_loss(model, task, machine.torch_device, processes.size)
        optimizer = Optimizer(model, config)
        average = Average(model, config.average, total)
        state = checkpoints.restore(model, optimizer, average)
        for holder in (model, optimizer, average):
            processes.spread(holder)
        state.become(processes.from_first(lambda: asdict(state)))
        budget = TokenBudget(state.limit_tokens(machine.token_budget, progress.message), progress.message)
        clock = Clock(state)

        def gradients(step: Step, counts: list[float], tokens: int) -> float:
            optimizer.clear_gradients()  # of an attempt that ran out of memory
            return loss.backward(source.cut(step, tokens), counts)

        def evaluated() -> dict[str, Any]:
            assert validation is not None
            with average.in_place():
                metrics = evaluate(model, task, validation, device=machine.torch_device, token_budget=budget)
                best = checkpoints.evaluated(state, model, metrics)
            progress.evaluated(state.step, state.evaluations[-1], metrics.headline, best)
            return asdict(state)

        to_do = range(state.step, state.step if _given_up(state, config) else total)
        with _explained(state, run), _shown(progress, total, state.step), stop_on_interrupt() as stop_asked:
            for step in source.ahead(to_do, budget):
                tokens, *counts = processes.gather([step.tokens, *loss.counts(step)]).sum(axis=0).tolist()
                share_of_loss = budget.compute(partial(gradients, step, counts))
                loss_of_step = processes.sum_gradients(optimizer.parameters.values(), share_of_loss)
                norm = optimizer.clip(config.max_gradient_norm)
                if not isfinite(loss_of_step) or not isfinite(norm):
                    raise TrainingError(_explain_divergence(state.step, loss_of_step, config, run))
                factor = rate_factor(state.step, total, config.schedule, config.warmup, config.decay)
                optimizer.step(factor)
                state.count_step(int(tokens), loss_of_step)
                average.add(state.step)
                if state.step % config.log_steps == 0 or state.step == total:
                    report = clock.report(state, total, batches.per_epoch, optimizer.rate(factor), norm)
                    checkpoints.log({"kind": "train", **asdict(report)})
                    progress.step(report)
                    state.loss_sum, state.loss_steps = 0.0, 0
                due = state.step % between_evaluations == 0 or state.step == total
                if validation is not None and due:
                    state.become(processes.from_first(evaluated))
                agreed = processes.gather([budget.tokens, stop_asked() or processes.told_to_stop()])
                _lower(budget, int(agreed[:, 0].min()), progress)
                if budget.tokens != state.token_budget:
                    state.token_budget = budget.tokens
                    checkpoints.log({"kind": "memory", "step": state.step, "token_budget": budget.tokens})
                clock.stop(state)
                ended = state.step == total or _given_up(state, config)
                interrupted = bool(agreed[:, 1].any()) and not ended
                if due or ended or interrupted or checkpoints.due(state.step):
                    checkpoints.save(state, model, optimizer, average)
                if interrupted:
                    processes.gather([0.0])  # none says so before it is saved
                    raise Interrupted(_explain_interrupt(state.step, total, run))
                if ended:
                    break
            if state.step < total:
                progress.message(f"no gain in {config.patience} evaluations: stopped early at step {state.step} of {total}")
            average.take_place()
            if processes.first:
                checkpoints.restore_best(model, state)
            processes.spread(model)
    best_metrics = next((e for e in state.evaluations if e["step"] == state.best_step), None)
    return TrainingResult(state, total, best_metrics)


def _batches_of(data: PackedBatch | Batches, task: Task, config: TrainingConfig) -> Batches:
    if not isinstance(data, PackedBatch):
        return data
    compares_groups = any(loss in LOSSES_OF_GROUPS for loss, _ in task.losses.values())
    return ShuffledRows(data, batch_size=config.batch_size, seed=config.seed, whole_groups=compares_groups)


def _given_up(state: TrainingState, config: TrainingConfig) -> bool:
    return config.patience is not None and state.evaluations_without_gain >= config.patience


def _lower(budget: TokenBudget, tokens: int, progress: Progress) -> None:
    """What memory suffices for in one process is what all go on with."""
    if tokens < budget.tokens:
        budget.tokens = tokens
        progress.message(f"memory ran out in another process: at most {tokens:,} tokens at once from here on (token_budget)")


@contextmanager
def _shown(progress: Progress, total: int, done: int) -> Iterator[None]:
    """The training is shown as going on, and as over however it ends."""
    progress.start(total, done)
    try:
        yield
    finally:
        progress.finish()


@contextmanager
def _explained(state: TrainingState, run: RunFolder | None) -> Iterator[None]:
    """What goes wrong says after which step it did, and what is kept."""
    try:
        yield
    except MemoryExhaustedError as error:
        where = f" (in {run.path / 'config.toml'}, where a resumed run has it from)" if run else ""
        raise TrainingError(f"step {state.step}: {error}{where}. {_kept(run)}") from error
    except LostProcessError as error:
        raise LostProcessError(f"step {state.step}: {error}. {_kept(run)}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise TrainingError(f"step {state.step}: memory does not suffice ({reason_of(error)}). {_kept(run)}") from error
        if not isinstance(error, BertworksError):
            error.add_note(f"after step {state.step} of the training. {_kept(run)}")
        raise


def _kept(run: RunFolder | None) -> str:
    return run.kept() if run else "Nothing was saved, since this training has no run folder"


class Clock:
    """Measures the time that steps take, over all sessions of a run."""

    def __init__(self, state: TrainingState) -> None:
        self._begun = time.perf_counter()
        self._seconds_before = state.seconds
        self._last = (self._begun, state.tokens, state.step)

    def stop(self, state: TrainingState) -> None:
        state.seconds = self._seconds_before + time.perf_counter() - self._begun

    def report(self, state: TrainingState, total: int, steps_per_epoch: int, rate: float, norm: float) -> StepReport:
        now = time.perf_counter()
        seconds, tokens, steps = now - self._last[0], state.tokens - self._last[1], state.step - self._last[2]
        self._last = (now, state.tokens, state.step)
        return StepReport(
            step=state.step,
            steps=total,
            epoch=state.step / steps_per_epoch,
            loss=state.loss_sum / max(1, state.loss_steps),
            learning_rate=rate,
            gradient_norm=norm,
            tokens=state.tokens,
            tokens_per_second=tokens / max(seconds, 1e-9),
            padding=0.0,
            seconds_left=seconds / max(1, steps) * (total - state.step),
        )


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks the loop to stop after its step; a second one stops at once. Only the main thread can listen."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(_signal: int, _frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _explain_divergence(step: int, loss: float, config: TrainingConfig, run: RunFolder | None) -> str:
    kept = f" Checkpoints up to then are in {run.path}." if run else ""
    remedy = f"Try a learning rate below {config.learning_rate}, or precision float32."
    return f"step {step}: the loss is {loss} or its gradient is not finite. {remedy}{kept}"


def _explain_interrupt(step: int, total: int, run: RunFolder | None) -> str:
    if run is None:
        return f"stopped at step {step} of {total}; nothing was saved, since this training has no run folder"
    return f"stopped at step {step} of {total} and saved; go on with: {run.command}"
