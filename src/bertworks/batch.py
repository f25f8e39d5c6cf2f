"""The packed batch: the one shape of data between text and answer.

All tokens of all sequences stand in a row; `offsets` says where each sequence begins. No padding exists, so
there is no attention mask. A padded `[sequences, length]` view exists only in the adapters here, at the border.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Int, Shaped

from bertworks.errors import DataError

Array = npt.NDArray[Any]


def ragged_positions(lengths: Int[Array, "sequences"]) -> Int[Array, "tokens"]:
    """Positions 0, 1, 2 … within each sequence, in a row.

    >>> ragged_positions(np.array([2, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    starts: Array = np.cumsum(lengths) - lengths
    within: Array = np.arange(int(lengths.sum()), dtype=np.int64) - np.repeat(starts, lengths)
    return within


@dataclass(frozen=True)
class PackedBatch:
    """Sequences of unequal length in a row, without padding.

    `offsets` has one entry more than there are sequences: sequence `i` is `input_ids[offsets[i]:offsets[i + 1]]`
    (CUDA kernels call this `cu_seqlens`). All arrays are NumPy; they become tensors at the model's door.
    """

    input_ids: Int[Array, "tokens"]
    """Token ids."""
    position_ids: Int[Array, "tokens"]
    """Position of each token in its sequence, from 0 (a family's own offset is added inside its embedding)."""
    segment_ids: Int[Array, "tokens"]
    """0 for the first text, 1 for the second (`token_type_ids`); ignored by families that have none."""
    offsets: Int[Array, "sequences_plus_one"]
    """Where each sequence begins; the last entry is the number of tokens."""
    groups: Int[Array, "sequences"]
    """Which sequences belong together: the windows of one document, the choices of one question."""
    keys: Int[Array, "sequences"]
    """A name of each sequence that does not depend on the batch: dropout draws its numbers by it."""
    targets: Mapping[str, Shaped[Array, "sequences ..."]] = field(default_factory=dict)
    """What the task wants of each sequence, by name."""
    token_targets: Mapping[str, Shaped[Array, "tokens ..."]] = field(default_factory=dict)
    """What the task wants of each token, by name."""

    def __post_init__(self) -> None:
        tokens, sequences = len(self.input_ids), len(self.offsets) - 1
        if len(self.position_ids) != tokens or len(self.segment_ids) != tokens:
            raise DataError(f"packed batch: {tokens} input ids but {len(self.position_ids)} positions and {len(self.segment_ids)} segments")
        if sequences < 0 or self.offsets[0] != 0 or self.offsets[-1] != tokens or (np.diff(self.offsets) < 1).any():
            raise DataError("packed batch: offsets must start at 0, rise strictly (no empty sequence) and end at the number of tokens")
        if len(self.groups) != sequences or len(self.keys) != sequences:
            raise DataError(f"packed batch: {sequences} sequences but {len(self.groups)} groups and {len(self.keys)} keys")
        for targets, size, what in ((self.targets, sequences, "sequences"), (self.token_targets, tokens, "tokens")):
            for name, values in targets.items():
                if len(values) != size:
                    raise DataError(f"packed batch: {len(values)} targets '{name}' for {size} {what}")

    @property
    def tokens(self) -> int:
        return len(self.input_ids)

    @property
    def sequences(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[Array, "sequences"]:
        return np.diff(self.offsets)

    @classmethod
    def from_sequences(
        cls,
        input_ids: Sequence[Sequence[int] | Array],
        segment_ids: Sequence[Sequence[int] | Array] | None = None,
        *,
        groups: Sequence[int] | Array | None = None,
        keys: Sequence[int] | Array | None = None,
        targets: Mapping[str, Array] | None = None,
        token_targets: Mapping[str, Array] | None = None,
    ) -> "PackedBatch":
        """Packs token id sequences in the order given. Absent groups and keys number the sequences 0, 1, 2 …

        >>> PackedBatch.from_sequences([[5, 6], [7, 8, 9]]).offsets.tolist()
        [0, 2, 5]
        """
        lengths = np.array([len(ids) for ids in input_ids], dtype=np.int64)
        if segment_ids is not None and [len(s) for s in segment_ids] != lengths.tolist():
            raise DataError("packed batch: segment_ids and input_ids differ in length")
        tokens = int(lengths.sum())
        ids = np.concatenate([np.asarray(s, dtype=np.int64) for s in input_ids]) if tokens else np.zeros(0, dtype=np.int64)
        segments = (
            np.zeros(tokens, dtype=np.int64)
            if segment_ids is None or not tokens
            else np.concatenate([np.asarray(s, dtype=np.int64) for s in segment_ids])
        )
        numbered = np.arange(len(lengths), dtype=np.int64)
        return cls(
            input_ids=ids,
            position_ids=ragged_positions(lengths),
            segment_ids=segments,
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            groups=numbered if groups is None else np.asarray(groups, dtype=np.int64),
            keys=numbered if keys is None else np.asarray(keys, dtype=np.int64),
            targets=dict(targets or {}),
            token_targets=dict(token_targets or {}),
        )

    def take(self, sequences: Sequence[int] | Int[Array, "taken"]) -> "PackedBatch":
        """The batch of some of the sequences, in the order given. A whole data set is a `PackedBatch` too; this
        cuts the batches of a step out of it.

        >>> PackedBatch.from_sequences([[5, 6], [7, 8, 9], [4]]).take([2, 0]).input_ids.tolist()
        [4, 5, 6]
        """
        chosen = np.asarray(sequences, dtype=np.int64)
        lengths = self.lengths[chosen]
        tokens = np.repeat(self.offsets[chosen], lengths) + ragged_positions(lengths)
        return PackedBatch(
            input_ids=self.input_ids[tokens],
            position_ids=self.position_ids[tokens],
            segment_ids=self.segment_ids[tokens],
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            groups=self.groups[chosen],
            keys=self.keys[chosen],
            targets={name: values[chosen] for name, values in self.targets.items()},
            token_targets={name: values[tokens] for name, values in self.token_targets.items()},
        )

    @classmethod
    def from_padded(
        cls,
        input_ids: Int[Array, "sequences length"],
        attention_mask: Int[Array, "sequences length"] | None = None,
        token_type_ids: Int[Array, "sequences length"] | None = None,
        *,
        padding_id: int | None = None,
    ) -> "PackedBatch":
        """Packs a padded batch as other libraries make it. A sequence's tokens keep their padded positions, so
        left padding and holes are taken as BERT and most others take them.

        RoBERTa, XLM-RoBERTa and CamemBERT number the tokens of a row that are no padding, whatever the mask says: for them,
        `padding_id` is the `pad_token_id` of config.json. A token of padding that the mask shows is at position -1 there.

        Raises `DataError` where a row has no token at all.

        >>> PackedBatch.from_padded(np.array([[1, 7, 8], [5, 6, 9]]), np.array([[0, 1, 1], [1, 1, 1]]), padding_id=1).position_ids.tolist()
        [0, 1, 0, 1, 2]
        """
        input_ids = np.asarray(input_ids)
        mask = np.ones_like(input_ids, dtype=bool) if attention_mask is None else np.asarray(attention_mask).astype(bool)
        segments = np.zeros_like(input_ids) if token_type_ids is None else np.asarray(token_type_ids)
        if input_ids.ndim != 2 or mask.shape != input_ids.shape or segments.shape != input_ids.shape:
            raise DataError(
                f"padded batch: shapes must be equal and [sequences, length]; got {input_ids.shape}, {mask.shape}, {segments.shape}"
            )
        lengths = mask.sum(axis=1)
        if (lengths == 0).any():
            raise DataError(f"padded batch: row {int(np.argmin(lengths))} has no token (its attention mask is all zero)")
        counted = np.ones_like(mask) if padding_id is None else input_ids != padding_id
        positions = np.where(counted, np.cumsum(counted, axis=1) - 1, -1)
        numbered = np.arange(len(lengths), dtype=np.int64)
        return cls(
            input_ids=input_ids[mask].astype(np.int64),
            position_ids=positions[mask].astype(np.int64),
            segment_ids=segments[mask].astype(np.int64),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            groups=numbered,
            keys=numbered,
        )

    def to_padded(
        self, values: Shaped[Array, "tokens *features"] | None = None, fill: float = 0
    ) -> Shaped[Array, "sequences length *features"]:
        """A padded view of per-token `values` (the input ids where none are given), for people who need one.

        >>> PackedBatch.from_sequences([[5, 6], [7, 8, 9]]).to_padded().tolist()
        [[5, 6, 0], [7, 8, 9]]
        """
        values = self.input_ids if values is None else np.asarray(values)
        if len(values) != self.tokens:
            raise DataError(f"to_padded: {len(values)} values for {self.tokens} tokens")
        longest = int(self.lengths.max(initial=0))
        out = np.full((self.sequences, longest, *values.shape[1:]), fill, dtype=values.dtype)
        out[np.repeat(np.arange(self.sequences), self.lengths), ragged_positions(self.lengths)] = values
        return out
