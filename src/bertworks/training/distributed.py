"""Training by several processes that `torchrun` starts: who there is, and what they tell each other.

Every process holds the whole model and computes the gradients of its share of each step's sequences. They are added up
after the last of its batches, bucket by bucket, and divided by the counts of the whole step, which are agreed before: so
the gradient is that of one process, up to rounding. PyTorch's `DistributedDataParallel` takes means, wants one backward
pass a step and as many in every process; here losses are sums, and a process has as many batches as its share fills. What
that costs is the overlap of adding up with the backward pass: 45 MB of gradients (11 million parameters) take some tenths
of a millisecond between GPUs of one machine, 0.05 s over a network of 10 Gbit/s.

All else needs no telling: weights, order, masks and dropout are functions of seeds. The first process alone reads and
writes the run folder, evaluates and shows progress; what it finds out (`from_first`) holds for all. A model must fit into
the memory of one device: its parameters are not divided (FSDP).
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from bertworks.batch import Array
from bertworks.errors import SettingsError, TrainingError
from bertworks.inference.memory import is_out_of_memory
from bertworks.nn.machine import MachineChoice, choose
from bertworks.training.config import TrainingConfig
from bertworks.training.steps import Share

Value = TypeVar("Value")

_LONGEST_WAIT = timedelta(hours=6)
"""For a process that is alive, and evaluates or writes a checkpoint, say; of one that has died its connections tell at once."""
_SECONDS_BETWEEN_LOOKS = 0.01
_BUCKET_BYTES = 25 << 20
"""Gradients that are added up together: enough to make the start of a transfer cheap, little beside the model."""
_ENDED, _DONE = "ended", "done"
_meetings = count()
_SECONDS_FOR_GOODBYE = 60.0
_SECONDS_OF_GRACE = 5.0
"""How long a process that was told to stop waits for the first: it may be about to save the run, or be no more."""


class LostProcessError(TrainingError):
    """Another process of this training has ended before its time."""


class Stateful(Protocol):
    """Something that is told and set by arrays: weights, an optimizer."""

    def arrays(self) -> dict[str, Array]: ...

    def set_arrays(self, arrays: dict[str, Array]) -> None: ...


class Processes:
    """Those that train together; this is one that trains alone, and has nobody to tell."""

    rank, size = 0, 1
    launched = False
    """Whether `torchrun`, or a cluster in its way, has started this process."""
    launcher = ""
    """What a command is to be preceded by, so that as many processes run it."""

    @property
    def first(self) -> bool:
        """Whether this is the one that reads, writes and speaks."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """Which part of each step is this one's."""
        return self.rank, self.size

    def place(self, device: str) -> str:
        """The device of this process, of the kind that is asked for."""
        return device

    def join(self, device: str) -> str:
        """Begins to compute with the others, on the device of `place`, which it returns."""
        return self.place(device)

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What `make` gives in the first process, in all of them; values are plain ones, as JSON can hold them."""
        return make()

    def hand_out(self, make: Callable[[], Value]) -> Value:
        """The same for whatever can be sent: a model, rows. All have to have joined before."""
        return make()

    def gather(self, values: Sequence[float]) -> Float[Array, "processes values"]:
        """The numbers that each process gives, a row for each. All must have come before any goes on."""
        return np.array([values], dtype=np.float64)

    def sum_gradients(self, parameters: Iterable[Tensor], loss: float) -> float:
        """Adds up the gradients of all processes, in place, and their shares of the loss, which it returns."""
        return loss

    def spread(self, holder: Stateful) -> None:
        """Gives every process what the first one's `holder` has."""

    def told_to_stop(self) -> bool:
        """Whether `torchrun` has asked this process to end (SIGTERM)."""
        return False


class _Group(Processes):
    """One of several processes."""

    launched = True

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.rank, self.size, self._store = rank, size, store
        self.launcher = f"torchrun --nproc-per-node {os.environ.get('LOCAL_WORLD_SIZE', size)} -m "
        self._told = threading.Event()
        self._asked = 0

    def place(self, device: str) -> str:
        """Raises `SettingsError` for a device that several processes cannot use, or where there are too few of them."""
        local = int(os.environ.get("LOCAL_RANK", self.rank))
        beside = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        if kind not in ("cpu", "cuda"):
            raise SettingsError(f"device '{device}' cannot be shared by {self.size} processes: choose auto, cpu or cuda")
        if kind == "cuda":
            there = torch.cuda.device_count()
            if beside > there:
                raise SettingsError(f"{beside} processes were started on a machine with {there} GPUs: --nproc-per-node {max(1, there)}")
        return kind if kind == "cpu" else f"cuda:{local}"

    def join(self, device: str) -> str:
        """Who has joined already stays where it is."""
        place = self.place(device)
        if place != "cpu":
            torch.cuda.set_device(place)
        if not dist.is_initialized():
            backend = "gloo" if place == "cpu" else "cpu:gloo,cuda:nccl"
            dist.init_process_group(backend, store=self._store, rank=self.rank, world_size=self.size, timeout=_LONGEST_WAIT)
        return place

    def from_first(self, make: Callable[[], Value]) -> Value:
        self._asked += 1
        key = f"value-{self._asked}"
        if self.first:
            value = make()
            self._call(self._store.set, key, json.dumps(value))
            return value
        told_at = None
        while not self._call(self._store.check, [key]):
            told_at = told_at or (time.monotonic() if self._told.is_set() else None)
            in_vain = told_at is not None and time.monotonic() - told_at > _SECONDS_OF_GRACE
            if in_vain or self._call(self._store.check, [_ENDED]):
                raise _lost()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        made: Value = json.loads(self._call(self._store.get, key))
        return made

    def hand_out(self, make: Callable[[], Value]) -> Value:
        sent = [make() if self.first else None]
        self._call(dist.broadcast_object_list, sent, 0, None, torch.device("cpu"))
        return sent[0]  # type: ignore[return-value]

    def gather(self, values: Sequence[float]) -> Float[Array, "processes values"]:
        own = torch.tensor(values, dtype=torch.float64)
        rows = [torch.empty_like(own) for _ in range(self.size)]
        self._call(dist.all_gather, rows, own)
        return torch.stack(rows).numpy()

    def sum_gradients(self, parameters: Iterable[Tensor], loss: float) -> float:
        """A process may have gradients that another lacks: a head of which its share had no target, say."""
        parameters = list(parameters)
        told = self.gather([loss, *(float(p.grad is not None) for p in parameters)])
        known = [parameters[i] for i in np.flatnonzero(told[:, 1:].any(axis=0)).tolist()]
        for bucket in _buckets(known):
            flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in bucket])
            self._call(dist.all_reduce, flat)
            for parameter, summed in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                parameter.grad = summed.view_as(parameter)
        return float(told[:, 0].sum())

    def spread(self, holder: Stateful) -> None:
        arrays = holder.arrays() if self.first else {}
        shapes = self.from_first(lambda: {name: (values.dtype.str, values.shape) for name, values in arrays.items()})
        for name, (dtype, shape) in shapes.items():
            values = np.array(arrays[name]) if self.first else np.empty(shape, dtype)
            self._call(dist.broadcast, torch.from_numpy(values.reshape(-1).view(np.uint8)), 0)
            arrays[name] = values
        if not self.first:
            holder.set_arrays(arrays)

    def told_to_stop(self) -> bool:
        return self._told.is_set()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls what speaks to the other processes: it fails where one of them is not there any more."""
        try:
            return function(*arguments)
        except (RuntimeError, ConnectionError) as error:
            if is_out_of_memory(error):
                raise
            raise _lost() from error

    # ---- the end

    def listen(self) -> Any:
        """Lets SIGTERM ask for an orderly end; returns what it did before. Only the main thread can listen."""
        if threading.current_thread() is threading.main_thread():
            return signal.signal(signal.SIGTERM, lambda number, frame: self._told.set())
        return None

    def part(self) -> None:
        """Ends what has been done together. The first process may keep the store, and goes last."""
        self._call(self._store.add, _DONE, 1)
        begun = time.monotonic()
        while self.first and self._call(self._store.add, _DONE, 0) < self.size and time.monotonic() - begun < _SECONDS_FOR_GOODBYE:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if dist.is_initialized():
            dist.destroy_process_group()

    def is_first_to_end(self) -> bool:
        """Whether none has ended with an error before this one: then it is this one's to say why."""
        try:
            return bool(self._store.add(_ENDED, 1) == 1)
        except (RuntimeError, ConnectionError):  # the store went with its process: nobody else can have said so
            return True


@contextmanager
def processes() -> Iterator[Processes]:
    """The processes that `torchrun` has started, of which this is one; or this one, alone.

    An error that ends several processes is raised by one of them, the first to end; the others leave silently with its
    exit code, for what they have to say is that they were left, or the same once more.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        single = Processes()
        single.launched = is_launched()
        yield single
        return
    group = _meet()
    before = group.listen()
    try:
        yield group
    except (Exception, KeyboardInterrupt) as error:  # SIGTERM goes on to be taken note of only: what is to be said will be
        if group.is_first_to_end():
            raise
        raise SystemExit(getattr(error, "exit_code", 1)) from None
    group.part()
    if before is not None:
        signal.signal(signal.SIGTERM, before)


def _meet() -> _Group:
    """Finds the other processes. Raises `SettingsError` where the environment does not say where."""
    if not dist.is_available():
        raise SettingsError("this PyTorch was built without torch.distributed: train in one process")
    from torch.distributed import distributed_c10d
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, size = next(rendezvous("env://"))
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"WORLD_SIZE asks for several processes, which do not find each other: {reason}. Start by torchrun") from None
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # the store may outlive the processes of an attempt …
    meeting = f"bertworks/{attempt}/{next(_meetings)}"  # … and a process may train several times
    return _Group(distributed_c10d.PrefixStore(meeting, store), rank, size)


def is_launched() -> bool:
    """Whether `torchrun`, or a cluster in its way, has started this process."""
    return "RANK" in os.environ


def is_first() -> bool:
    """Whether this process is the one of several that tells results, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def alone() -> Processes:
    """A process that trains alone. Raises `SettingsError` where several were started, for each would do the whole work."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError("this training is the work of one process, and torchrun started several: only pretrain and train are divided")
    return Processes()


def choose_together(group: Processes, config: TrainingConfig) -> MachineChoice:
    """What the machine is to do (`nn.machine.choose`), the same in all processes, each on its own device."""
    device = group.join(config.device)
    own = choose(device, config.precision, config.token_budget, config.threads) if group.first else None
    precision = group.from_first(lambda: (own or choose(device)).precision)
    return own or choose(device, precision, config.token_budget, config.threads)


def require_alike(group: Processes, identity: Mapping[str, Any]) -> None:
    """Raises `SettingsError` where a process was given other settings or data than the first."""
    if group.size == 1:
        return
    of_first = group.from_first(lambda: dict(identity))
    own = json.loads(json.dumps(identity))
    different = [name for name, value in own.items() if not group.first and of_first.get(name) != value]
    if different:
        raise SettingsError(
            f"process {group.rank} was given other settings or data than process 0: {', '.join(different)}. All must see the same files"
        )


def _lost() -> LostProcessError:
    """What is lost, and whether `torchrun` begins again by itself."""
    begun, most = (int(os.environ.get(f"TORCHELASTIC_{name}", "0")) for name in ("RESTART_COUNT", "MAX_RESTARTS"))
    again = f"; torchrun starts all of them again (restart {begun + 1} of {most})" if begun < most else ""
    return LostProcessError(f"another process of this training was lost (killed, or its machine failed){again}")


def _buckets(parameters: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Parameters in their order, in parts of at most so many bytes; a larger one is a part of its own."""
    bucket: list[Tensor] = []
    filled = 0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if bucket and filled + size > _BUCKET_BYTES:
            yield bucket
            bucket, filled = [], 0
        bucket.append(parameter)
        filled += size
    if bucket:
        yield bucket
