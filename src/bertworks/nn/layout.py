"""Offsets of packed sequences with what attention kernels need to know about them, computed once a batch."""

from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bertworks.batch import Array


class Run(NamedTuple):
    """Neighbouring sequences of equal length: so many `sequences` of `length` tokens from token `start` on."""

    start: int
    sequences: int
    length: int


class Layout:
    """Where each sequence of a packed batch begins.

    Attention on the CPU computes a run of equally long sequences at once (in training a block of nearly equally long ones),
    so a batch whose sequences are sorted by length is the fastest; any order is right.
    """

    def __init__(self, offsets: Int[Array, "sequences_plus_one"]) -> None:
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self._on_device: dict[torch.device, Tensor] = {}
        self.known: dict[Any, Any] = {}
        """What kernels have worked out about these sequences, for the layers that follow."""

    @property
    def sequences(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Int[Array, "sequences"]:
        return np.diff(self.offsets)

    @cached_property
    def longest(self) -> int:
        return int(self.lengths.max(initial=0))

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        edges = np.flatnonzero(np.diff(self.lengths)) + 1
        firsts = np.concatenate([[0], edges, [self.sequences]]).astype(int)
        return tuple(Run(int(self.offsets[a]), int(b - a), int(self.lengths[a])) for a, b in pairwise(firsts) if b > a)

    def ends(self, which: Literal["first", "last"], device: torch.device) -> Int[Tensor, "sequences"]:
        """The index of each sequence's first or last token."""
        return torch.from_numpy(self.offsets[:-1] if which == "first" else self.offsets[1:] - 1).to(device)

    @cached_property
    def single(self) -> "Layout":
        """The layout of one token a sequence."""
        return Layout(np.arange(self.sequences + 1))

    def tensor(self, device: torch.device) -> Int[Tensor, "sequences_plus_one"]:
        """The offsets as int32 on a device (`cu_seqlens`)."""
        if device not in self._on_device:
            self._on_device[device] = torch.from_numpy(self.offsets.astype(np.int32)).to(device)
        return self._on_device[device]

    def sequence_of_token(self, device: torch.device) -> Int[Tensor, "tokens"]:
        """The number of the sequence that each token belongs to."""
        return torch.from_numpy(np.repeat(np.arange(self.sequences), self.lengths)).to(device)
