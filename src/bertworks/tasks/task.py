"""What a task is: the text side of training and prediction, whole, in one file.

A task encodes examples into a `PackedBatch` with targets, names a head and a loss for the model to execute, and
turns scores back into the user's terms. It knows no torch: `nn/` runs what it names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from jaxtyping import Float, Shaped

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.evaluation import Metrics
from bertworks.tokenization import Encoding, Tokenizer

Scores = Mapping[str, Shaped[Array, "rows outputs"]]
"""Scores of each head, in the order of the sequences (or tokens) of the batch that was given. Of a head with transitions these stand
beside them, under its name and `TRANSITIONS`: a row for each tag that may stand before another, for the beginning and for the end."""

TRANSITIONS = "_transitions"

SMOKE_TEXTS = (
    "This movie is fantastic!",
    "The soup was cold, the bill was not.",
    "Nothing in these nine hundred pages made me want to turn one of them, and yet I turned them all, twice.",
)
"""Texts by which stored models are verified."""


class Task(Protocol):
    """The side of a task that training and inference need."""

    @property
    def name(self) -> str:
        """What the task is called, in files too."""
        ...

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        """The heads that the task reads: our name of each → its kind and the number of outputs."""
        ...

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """The loss of each head: its name in `nn.losses.LOSSES` and its options (arrays or numbers). A further loss on a head has
        the name of its targets, and the option "head"."""
        ...

    def metrics(self) -> Metrics:
        """Empty metrics of this task."""
        ...

    def update_metrics(self, metrics: Any, batch: PackedBatch, scores: Scores) -> None:
        """Adds a batch of whole groups, with targets, and the model's scores for it."""
        ...


class StoredTask(Task, Protocol):
    """What a task says besides, so that a model's folder can hold it and be verified by it."""

    @property
    def max_tokens(self) -> int:
        """Longest sequence that the model is given, special tokens included."""
        ...

    def settings(self) -> dict[str, Any]:
        """All settings as JSON can hold them."""
        ...

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """The inverse of `settings`. Raises `SettingsError` for settings that are unknown, of a wrong type or contradictory."""
        ...

    def config_changes(self) -> dict[str, Any]:
        """The keys of config.json by which other tools read the head (`id2label` …)."""
        ...

    def check_room(self, tokenizer: Tokenizer) -> None:
        """Raises `SettingsError` where sequences of `max_tokens` leave no room for text, or windows do not advance."""
        ...

    def smoke_inputs(self) -> list[Any]:
        """A few inputs, as JSON can hold them, by which a stored model is verified."""
        ...

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """What a model answers to such inputs: numbers, or nested lists of equal lengths. `score` is the model.

        Raises `DataError` for an input that is none of the task's.
        """
        ...


def merge_windows(scores: Float[Array, "sequences outputs"], batch: PackedBatch) -> Float[Array, "groups outputs"]:
    """Scores of whole documents: the mean of their windows' scores, weighted by the windows' token counts.

    Groups come out in the order of their numbers.

    >>> batch = PackedBatch.from_sequences([[1], [1, 2, 3], [4]], groups=[0, 0, 1])
    >>> merge_windows(np.array([[4.0], [0.0], [7.0]]), batch).tolist()
    [[1.0], [7.0]]
    """
    _, numbers = np.unique(batch.groups, return_inverse=True)
    weights = batch.lengths.astype(np.float64)
    merged = np.zeros((int(numbers.max(initial=-1)) + 1, scores.shape[1]))
    np.add.at(merged, numbers, scores * weights[:, None])
    return merged / np.bincount(numbers, weights=weights)[:, None]


def window_weights(groups: Array) -> Float[Array, "sequences"]:
    """1 / (number of windows of the sequence's document): every document weighs the same in training."""
    _, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return (1 / counts[numbers]).astype(np.float32)


def first_of_groups(groups: Array) -> Array:
    """The index of the first sequence of each group, groups in the order of their numbers."""
    return np.unique(groups, return_index=True)[1]


def count_windows(seen: Accounting, windows: Sequence[Encoding]) -> None:
    """Adds a row's sequences: their tokens, those unknown, and what was read in windows or not at all."""
    seen.sequences += len(windows)
    seen.tokens += sum(len(w.ids) for w in windows)
    seen.unknown_tokens += sum(w.unknown_tokens for w in windows)
    seen.windowed_rows += len(windows) > 1
    lost = windows[0].truncated_tokens
    seen.truncated_rows += lost > 0
    seen.truncated_tokens += lost


def label_names(names: Sequence[str]) -> dict[str, Any]:
    """The names of a head's outputs under the keys of config.json."""
    return {"id2label": {str(i): name for i, name in enumerate(names)}, "label2id": {name: i for i, name in enumerate(names)}}
