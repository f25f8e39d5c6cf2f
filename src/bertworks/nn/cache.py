"""Keys and values of the tokens that a causal encoder has read, so that a further token costs one token's work.

Sequences have unequal lengths and there is no padding: in each layer, each sequence has a buffer of its own. A buffer
that is full grows by half, so that appending a token does not copy those before it each time.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bertworks.batch import Array
from bertworks.nn.attention import attention
from bertworks.nn.layout import Layout
from bertworks.nn.pattern import AttentionPattern

_LEAST_ROOM = 32
"""Tokens that a buffer grows by at least."""


class LayerCache:
    """The keys and values of one layer."""

    def __init__(self) -> None:
        self._buffers: list[Float[Tensor, "2 capacity heads head_dim"]] = []
        self.lengths: list[int] = []
        """Tokens read of each sequence."""

    def attend(
        self,
        q: Float[Tensor, "q_tokens heads head_dim"],
        k: Float[Tensor, "new_tokens heads head_dim"],
        v: Float[Tensor, "new_tokens heads head_dim"],
        q_layout: Layout,
        layout: Layout,
        pattern: AttentionPattern,
    ) -> Float[Tensor, "q_tokens heads head_dim"]:
        """Keeps the new keys and values, and lets the queries attend to all that are kept. `layout` is that of the new
        tokens; the last query of a sequence is that of its last token."""
        first = not self._buffers
        self._append(k, v, layout)
        if first:
            return attention(q, k, v, q_layout, layout, pattern)
        if q.device.type != "cpu":  # one kernel for all, which wants the keys in a row
            keys, values, k_layout = self.packed()
            return attention(q, keys, values, q_layout, k_layout, pattern)
        mixed = []
        for i, (start, stop) in enumerate(pairwise(q_layout.offsets.tolist())):
            keys, values = self._kept(i)
            mixed.append(attention(q[start:stop], keys, values, _single(stop - start), _single(len(keys)), pattern))
        return torch.cat(mixed)

    def packed(self) -> tuple[Float[Tensor, "k_tokens heads head_dim"], Float[Tensor, "k_tokens heads head_dim"], Layout]:
        """The keys and the values of all sequences, each in a row, and where each sequence begins."""
        keys, values = (torch.cat([self._kept(i)[part] for i in range(len(self.lengths))]) for part in (0, 1))
        return keys, values, Layout(np.concatenate([[0], np.cumsum(self.lengths)]))

    def keep(self, sequences: Sequence[int]) -> None:
        """Forgets all sequences but these, which are numbered anew in the order given."""
        self._buffers = [self._buffers[i] for i in sequences]
        self.lengths = [self.lengths[i] for i in sequences]

    def _append(self, k: Tensor, v: Tensor, layout: Layout) -> None:
        if not self._buffers:
            self._buffers = [k.new_empty(2, 0, *k.shape[1:])] * layout.sequences
            self.lengths = [0] * layout.sequences
        assert len(self.lengths) == layout.sequences, "tokens must be given of each sequence that is kept"
        for i, (start, stop) in enumerate(pairwise(layout.offsets.tolist())):
            held, length = self.lengths[i], self.lengths[i] + stop - start
            if length > self._buffers[i].shape[1]:
                grown = k.new_empty(2, length + max(_LEAST_ROOM, length // 2), *k.shape[1:])
                grown[:, :held] = self._buffers[i][:, :held]
                self._buffers[i] = grown
            self._buffers[i][0, held:length] = k[start:stop]
            self._buffers[i][1, held:length] = v[start:stop]
            self.lengths[i] = length

    def _kept(self, sequence: int) -> Float[Tensor, "2 length heads head_dim"]:
        return self._buffers[sequence][:, : self.lengths[sequence]]


class KeyValueCache:
    """The keys and values of all layers of an encoder. Every layer must be causal, or what was read would change with
    what follows."""

    def __init__(self, layers: int) -> None:
        self.layers = [LayerCache() for _ in range(layers)]

    @property
    def lengths(self) -> Int[Array, "sequences"]:
        """Tokens read of each sequence."""
        return np.array(self.layers[0].lengths, dtype=np.int64)

    def keep(self, sequences: Sequence[int]) -> None:
        """Forgets all sequences but these, which are numbered anew in the order given."""
        for layer in self.layers:
            layer.keep(sequences)


@lru_cache(maxsize=1024)
def _single(length: int) -> Layout:
    """The layout of one sequence: the same for all layers, so that what it is cut into is found out once."""
    return Layout(np.array([0, length]))
