"""Which tokens masked language modelling hides, and what stands in their place.

The choice is a function of the seed, the sequence's key and the position, so it does not depend on batches; as keys
count through all epochs, every epoch masks anew. It is made on words as the tokenizer sees them (`word_starts`), and
so holds for any tokenizer.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from bertworks.batch import Array, PackedBatch
from bertworks.data.counter import uniform
from bertworks.errors import SettingsError, nearest

Unit = Literal["token", "word", "span"]
IGNORED = -100
"""The target of a token that is not to be predicted, as in PyTorch."""

_SPAN_STOP = 0.2
_LONGEST_SPAN = 10
_CHOICE, _REPLACEMENT, _DRAWN, _SPAN = range(4)
"""What a random number is for."""


@dataclass(frozen=True)
class Masking:
    """How tokens are chosen and replaced (Devlin et al. 2019, section 3.1)."""

    rate: float = 0.15
    """Share of the tokens of a sequence that are to be predicted, special tokens not counted."""
    unit: Unit = "token"
    """What is chosen: single tokens, whole words, or spans of up to 10 words, whose length is drawn from a geometric
    distribution (Joshi et al. 2020, section 3.1)."""
    mask_share: float = 0.8
    """Share of the chosen tokens that [MASK] stands for …"""
    random_share: float = 0.1
    """… that a random token stands for, never a special one; the others stay as they are."""
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} must lie in [0, 1], not {value!r}"
            for name in ("rate", "mask_share", "random_share")
            if not (isinstance(value := getattr(self, name), int | float) and 0 <= value <= 1)
        ]
        if not problems and self.mask_share + self.random_share > 1:
            problems.append(f"mask_share and random_share add up to {self.mask_share + self.random_share:g}: at most 1")
        if self.unit not in get_args(Unit):
            problems.append(f"unit must be one of {', '.join(get_args(Unit))}, not {self.unit!r}.{nearest(self.unit, get_args(Unit))}")
        if problems:
            raise SettingsError("; ".join(f"masking: {problem}" for problem in problems))


def choose(
    batch: PackedBatch, word_starts: Bool[Array, "tokens"], ordinary: Bool[Array, "tokens"], masking: Masking
) -> Bool[Array, "tokens"]:
    """Which tokens are to be predicted. `ordinary` says which are no special tokens.

    Single tokens: the nearest whole number to `rate` of each sequence, but at least one. Words and spans: as many as
    come nearest to that.
    """
    sequence = np.repeat(np.arange(batch.sequences), batch.lengths)[ordinary]
    position = batch.position_ids[ordinary]
    counts = np.bincount(sequence, minlength=batch.sequences)
    wanted = np.maximum(np.rint(counts * masking.rate), counts > 0) if masking.rate > 0 else np.zeros(batch.sequences)
    keys = batch.keys[sequence]
    unit = np.arange(len(sequence)) if masking.unit == "token" else _units(word_starts[ordinary], sequence)
    first = np.flatnonzero(np.diff(unit, prepend=-1))  # the first token of each unit
    if masking.unit == "span":
        unit, first = _spans(unit, first, sequence, uniform(masking.seed, _SPAN, keys, position))
    lot = uniform(masking.seed, _CHOICE, keys[first], position[first])
    taken = _fill(lot, sequence[first], np.bincount(unit, minlength=len(first)), wanted)
    chosen: Array = np.zeros(batch.tokens, dtype=bool)
    chosen[np.flatnonzero(ordinary)[taken[unit]]] = True
    return chosen


class Masker:
    """Hides tokens of a batch."""

    def __init__(self, masking: Masking, *, special_ids: Collection[int], mask_id: int, vocabulary: int) -> None:
        """`special_ids` are never chosen and never drawn; `vocabulary` is the number of token ids."""
        self.masking, self._mask_id = masking, mask_id
        self._is_ordinary: Array = np.ones(vocabulary, dtype=bool)
        self._is_ordinary[list(special_ids)] = False
        self._ordinary_ids = np.flatnonzero(self._is_ordinary)

    def __call__(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> tuple[Int[Array, "tokens"], Int[Array, "tokens"]]:
        """The ids that the model sees, and its targets: the true id where it is to be predicted, else -100."""
        chosen = choose(batch, word_starts, self._is_ordinary[batch.input_ids], self.masking)
        seed, keys, position = self.masking.seed, np.repeat(batch.keys, batch.lengths)[chosen], batch.position_ids[chosen]
        true = batch.input_ids[chosen]
        drawn = self._ordinary_ids[(uniform(seed, _DRAWN, keys, position) * len(self._ordinary_ids)).astype(np.int64)]
        lot = uniform(seed, _REPLACEMENT, keys, position)
        kinds = [lot < self.masking.mask_share, lot < self.masking.mask_share + self.masking.random_share]
        seen: Array = batch.input_ids.copy()
        seen[chosen] = np.select(kinds, [np.full_like(true, self._mask_id), drawn], true)
        targets: Array = np.full(batch.tokens, IGNORED, dtype=np.int64)
        targets[chosen] = true
        return seen, targets


def masking_from(values: dict[str, object]) -> Masking:
    """Raises `SettingsError` for a setting that does not exist, with the nearest that does."""
    names = [f.name for f in fields(Masking)]
    unknown = [key for key in values if key not in names]
    if unknown:
        raise SettingsError(f"masking has no setting '{unknown[0]}'.{nearest(unknown[0], names)}")
    return Masking(**values)  # type: ignore[arg-type]


def _units(word_starts: Bool[Array, "tokens"], sequence: Int[Array, "tokens"]) -> Int[Array, "tokens"]:
    """The number of each token's word; a word does not go on into the next sequence."""
    return np.cumsum(word_starts | (np.diff(sequence, prepend=-1) != 0)) - 1


def _spans(
    word: Int[Array, "tokens"], first: Int[Array, "words"], sequence: Int[Array, "tokens"], lot: Float[Array, "tokens"]
) -> tuple[Int[Array, "tokens"], Int[Array, "spans"]]:
    """Words joined to spans, one after the other, of lengths drawn from a geometric distribution.

    Whoever tiles the text with spans and draws among them gets spans of the same lengths as whoever draws their
    beginnings, without overlaps.
    """
    within_limit = 1 - (1 - _SPAN_STOP) ** _LONGEST_SPAN  # longer spans are not cut off, they do not occur
    lengths = (1 + np.floor(np.log1p(-lot[first] * within_limit) / np.log1p(-_SPAN_STOP))).astype(np.int64).tolist()
    of_sequence = sequence[first].tolist()
    span_of_word, spans, left = [], -1, 0
    for i, length in enumerate(lengths):
        if left == 0 or of_sequence[i] != of_sequence[i - 1]:
            spans, left = spans + 1, length
        span_of_word.append(spans)
        left -= 1
    span = np.array(span_of_word, dtype=np.int64)[word] if span_of_word else word
    return span, np.flatnonzero(np.diff(span, prepend=-1))


def _fill(
    lot: Float[Array, "units"], sequence: Int[Array, "units"], sizes: Int[Array, "units"], wanted: Float[Array, "sequences"]
) -> Bool[Array, "units"]:
    """Takes the units of each sequence in the order of their lots, as long as that comes nearer to the number wanted."""
    order = np.lexsort((lot, sequence))
    size, of = sizes[order], sequence[order]
    total = np.cumsum(size)
    begins = np.flatnonzero(np.diff(of, prepend=-1))
    before = total - size - np.repeat((total - size)[begins], np.diff([*begins, len(of)]))
    taken: Array = np.zeros(len(lot), dtype=bool)
    taken[order] = (before + size / 2 <= wanted[of]) & (wanted[of] > 0) | ((before == 0) & (wanted[of] > 0))
    return taken
