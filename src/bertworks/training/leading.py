"""Trainings that the first of several processes leads: it alone reads, prepares, evaluates and writes. The others are sent
every training as the loop takes it, and compute their share of its steps.

So whatever trains, once or with several seeds, is divided without knowing of it, where its loss is a sum over rows.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import torch

from bertworks.batch import PackedBatch
from bertworks.nn.machine import MachineChoice, choose
from bertworks.nn.model import Model
from bertworks.tasks.task import Task
from bertworks.training import loop
from bertworks.training.config import TrainingConfig
from bertworks.training.distributed import Processes, alone, processes
from bertworks.training.progress import Progress
from bertworks.training.run import RunFolder
from bertworks.training.vector_steps import require_divisible

Value = TypeVar("Value")

_led: ContextVar[Processes | None] = ContextVar("led", default=None)


def led(work: Callable[[], Value]) -> Value:
    """What `work` returns, in every process: the first one does it, and the others take part in its trainings (`train`)."""
    with processes() as group:
        if group.size == 1:
            return work()
        if not group.first:
            while _took_part(group):
                pass
            return group.hand_out(work)  # which only the first one does
        token = _led.set(group)
        try:
            value = work()
        finally:
            _led.reset(token)
        group.from_first(lambda: None)
        group.join("cpu")  # where nothing was left to train
        return group.hand_out(lambda: value)


def leader() -> Processes:
    """The processes that this one leads; this one, alone, where it leads none. Raises `SettingsError` where several were started
    and none leads: each would do the whole work."""
    return _led.get() or alone()


def require(task: Task, device: str) -> None:
    """Raises `SettingsError` where the processes that this one leads cannot share a training of `task`, or such a device: before
    anything is written."""
    group = leader()
    require_divisible(task, group.size)
    group.place(device)


def shared_device(device: str) -> str:
    """What `auto` means: of several processes each has a GPU, or all of them the CPU."""
    if device == "auto" and leader().size > 1:
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def train(
    model: Model,
    task: Task,
    data: PackedBatch,
    config: TrainingConfig,
    machine: MachineChoice,
    *,
    validation: PackedBatch | None,
    run: RunFolder | None,
    material: Mapping[str, Any],
    progress: Progress,
) -> loop.TrainingResult:
    """`loop.train`, by all the processes that this one leads."""
    group = leader()
    if group.size > 1:
        order = {
            "device": machine.device,
            "precision": machine.precision,
            "token_budget": machine.token_budget,
            "threads": machine.threads,
            "run": None if run is None else str(run.path),
        }
        group.from_first(lambda: order)
        group.join(machine.device)
        group.hand_out(lambda: (model, task, data, config, material, validation is not None))
    options: dict[str, Any] = {"validation": validation, "run": run, "material": material, "progress": progress}
    return loop.train(model, task, data, config, machine, processes=group, **options)


def _took_part(group: Processes) -> bool:
    """Computes a share of the next training that the first process begins; whether there was one."""
    order: dict[str, Any] | None = group.from_first(dict)
    if order is None:
        group.join("cpu")
        return False
    device = group.join(order["device"])
    machine = choose(device, order["precision"], order["token_budget"], order["threads"])
    sent: tuple[Any, ...] = group.hand_out(tuple)
    model, task, data, config, material, evaluated = sent
    run = None if order["run"] is None else RunFolder(Path(order["run"]), launcher=group.launcher)  # to say what is kept
    validation = data if evaluated else None  # the first one evaluates: here it only matters whether there is any
    loop.train(model, task, data, config, machine, validation=validation, run=run, material=material, processes=group)
    return True
