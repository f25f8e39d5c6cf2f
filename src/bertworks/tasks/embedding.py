"""Sentence embeddings: one vector for each text, near to those of texts that mean the same (Reimers & Gurevych 2019).

A text longer than the model reads is read in overlapping windows (`overflow="window"`): its vector is the mean of theirs,
weighted by their token counts, of length 1 again where theirs are. A prompt then stands at the beginning of each window.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float, Int

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation import Metrics
from bertworks.evaluation.nearest import unit_vectors
from bertworks.evaluation.similarity import SimilarityMetrics
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.task import SMOKE_TEXTS, Scores, count_windows
from bertworks.tokenization import Encoding, Overflow, Tokenizer
from bertworks.tokenization.encoding import Piece
from bertworks.tokenization.tokenizer import row_numbers

HEAD = "vectors"
SKIPPED = "skipped_tokens"
"""The target that says how many tokens of each sequence the pooling leaves out (`nn.vectors`)."""
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
_CHUNK = 1000
_NO_TEXT = -1


@dataclass(frozen=True)
class SentenceEmbedding:
    """The text side of a sentence encoder.

    Of these, a model's folder says in sentence-transformers' files what those can hold, and the rest (`settings`) in its own.
    """

    max_tokens: int = 512
    """Longest sequence, special tokens included."""
    overflow: Overflow = "window"
    stride: int | None = None
    """Overlap of neighbouring windows in tokens; None is a quarter of the room."""
    lower_case: bool = False
    """Whether texts are put into lower case before the tokenizer sees them."""
    prompts: tuple[tuple[str, str], ...] = ()
    """Names and texts of what is to stand before texts of a kind (queries, documents …)."""
    default_prompt: str | None = None
    """The name of the prompt that is taken where none is named."""
    pools_prompt: bool = True
    """Whether a prompt's tokens count in the pooling."""
    is_unit: bool = False
    """Whether the model's vectors have the length 1."""
    similarity: Similarity = "cosine"
    """How vectors are compared."""
    lows: tuple[float, ...] | None = None
    """The value of each feature from which on int8 counts (-128), and …"""
    highs: tuple[float, ...] | None = None
    """… that at which it ends (127); None until they are calibrated."""

    name = "sentence_embedding"

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        """None by name: the vector head is described by the folder's modules (`VectorSpec`)."""
        return {}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        return {}

    def metrics(self) -> Metrics:
        return SimilarityMetrics()

    def update_metrics(self, metrics: Any, batch: PackedBatch, scores: Scores) -> None:
        raise SettingsError("vectors by themselves are not right or wrong: an EmbeddingObjective judges them")

    # ---- from text to sequences, and from their vectors to those of texts

    def prompt(self, wanted: str | None) -> str:
        """The text of a prompt: that of the prompt called `wanted`, else `wanted` itself; None is the default prompt."""
        texts = dict(self.prompts)
        if wanted is None:
            return "" if self.default_prompt is None else texts.get(self.default_prompt, "")
        return texts.get(wanted, wanted)

    def encode(
        self, texts: Sequence[str], tokenizer: Tokenizer, prompt: str = "", first_row: int | Sequence[int] = 0
    ) -> tuple[PackedBatch, Accounting]:
        """Texts, each after the text `prompt`, as one packed batch; text `i` is group `i`. `first_row` is the number of the first
        text in messages, or the numbers of all.

        Raises `DataError` where a text is none, or is too long and `overflow` is "error"; `SettingsError` for a prompt that
        leaves no room.
        """
        ids: list[Array] = []
        segments: list[Array] = []
        groups: list[int] = []
        seen = Accounting(rows=len(texts))
        leading, prompt_ids = self._prompt_ids(tokenizer, prompt)
        numbers = row_numbers(first_row, len(texts))
        for start in range(0, len(texts), _CHUNK):
            part = slice(start, start + _CHUNK)
            for row, windows in enumerate(self.windows(texts[part], tokenizer, prompt, numbers[part]), start):
                count_windows(seen, windows)
                ids += [window.ids for window in windows]
                segments += [window.segment_ids for window in windows]
                groups += [row] * len(windows)
        targets = {} if self.pools_prompt or not len(prompt_ids) else {SKIPPED: np.full(len(ids), leading + len(prompt_ids))}
        return PackedBatch.from_sequences(ids, segments, groups=groups, targets=targets), seen

    def windows(
        self,
        texts: Sequence[str],
        tokenizer: Tokenizer,
        prompt: str = "",
        first_row: int | Sequence[int] = 0,
        *,
        offsets: bool = False,
    ) -> list[list[Encoding]]:
        """The sequences in which each text is read, with `prompt`. Where a text takes one, the prompt is its beginning; where it
        takes several, the prompt's tokens stand in each as special ones. `first_row`, `offsets` and errors are as in
        `Tokenizer.encode_batch`.
        """
        whole = [self.cased(prompt + text) if isinstance(text, str) else text for text in texts]
        options: dict[str, Any] = {"overflow": self.overflow, "stride": self.stride, "offsets": offsets}
        numbers = row_numbers(first_row, len(texts))
        rows = tokenizer.encode_batch(whole, max_tokens=self.max_tokens, first_row=numbers, **options)
        several = [row for row, windows in enumerate(rows) if len(windows) > 1] if prompt else []
        if several:
            leading, prompt_ids = self._prompt_ids(tokenizer, prompt)
            room, alone = self.max_tokens - len(prompt_ids), [self.cased(texts[row]) for row in several]
            again = tokenizer.encode_batch(alone, max_tokens=room, first_row=[numbers[row] for row in several], **options)
            for row, windows in zip(several, again, strict=True):
                rows[row] = [_inserted(window, leading, prompt_ids) for window in windows] if len(prompt_ids) else rows[row]
        return rows

    def cased(self, text: str) -> str:
        """The text as the tokenizer sees it."""
        if not self.lower_case:
            return text
        return text.lower() if text.isascii() else "".join(character.lower() for character in text)

    def _prompt_ids(self, tokenizer: Tokenizer, prompt: str) -> tuple[int, Int[Array, "prompt_tokens"]]:
        """How many special tokens stand before a text, and the prompt's own tokens."""
        if not prompt:
            return 0, np.zeros(0, dtype=np.int64)
        encoding = tokenizer.encode(self.cased(prompt))
        own = encoding.sequence_ids != _NO_TEXT
        leading, room = int(own.argmax()) if own.any() else 0, self.max_tokens - len(encoding)
        if room < 1:
            raise SettingsError(f"the prompt has {int(own.sum())} tokens, which leave no room for text in max_tokens={self.max_tokens}")
        return leading, encoding.ids[own]

    def vectors(self, scores: Float[Array, "sequences width"], batch: PackedBatch) -> Float[Array, "texts width"]:
        """The vectors of whole texts, which are the groups of a batch, in the order of their numbers."""
        return merged_vectors(scores, batch.groups, batch.lengths, self.is_unit)

    def cut(self, vectors: Float[Array, "texts width"], size: int | None) -> Float[Array, "texts size"]:
        """The first `size` features of vectors, of length 1 again where the whole have it; None keeps all."""
        if size is None or size >= vectors.shape[1]:
            return vectors
        return unit_vectors(vectors[:, :size]) if self.is_unit else vectors[:, :size]

    # ---- what a folder holds

    def settings(self) -> dict[str, Any]:
        """What sentence-transformers' files cannot hold."""
        values = {"overflow": self.overflow, "stride": self.stride, "lows": self.lows, "highs": self.highs}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """The inverse of `settings`. Raises `SettingsError` for settings that are unknown, of a wrong type or contradictory."""
        task = from_stored(cls, settings, "sentence embedding")
        if (task.lows is None) != (task.highs is None) or len(task.lows or ()) != len(task.highs or ()):
            raise SettingsError("sentence embedding: 'lows' and 'highs' must have as many numbers")
        if task.stride is not None and task.stride < 0:
            raise SettingsError("sentence embedding: stride is below 0")
        return task

    def config_changes(self) -> dict[str, Any]:
        return {}

    def check_room(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_batch([], max_tokens=self.max_tokens, overflow=self.overflow, stride=self.stride)

    def smoke_inputs(self) -> list[Any]:
        return list(SMOKE_TEXTS)

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """The vector of each text."""
        for value in inputs:
            if not isinstance(value, str):
                raise DataError(f"a case's input is {value!r:.60}, not a text")
        task = replace(self, overflow="window") if self.overflow == "error" else self
        batch, _ = task.encode(inputs, tokenizer, task.prompt(None))
        return task.vectors(score(batch)[HEAD], batch).tolist()  # type: ignore[no-any-return]


def _inserted(window: Encoding, place: int, ids: Int[Array, "inserted"]) -> Encoding:
    """A sequence with further special tokens before its token `place`, with which its text begins."""
    number = int(np.searchsorted(np.cumsum([piece.length for piece in window.pieces]), place, side="right"))
    inserted = Piece(_NO_TEXT, window.pieces[number].segment, len(ids), ())
    pieces = (*window.pieces[:number], inserted, *window.pieces[number:])
    return replace(window, ids=np.insert(window.ids, place, ids), pieces=pieces)


def merged_vectors(
    vectors: Float[Array, "sequences width"], texts: Int[Array, "sequences"], lengths: Int[Array, "sequences"], unit: bool
) -> Float[Array, "texts width"]:
    """Vectors of texts from those of their windows: means weighted by token counts; with `unit`, of length 1.

    >>> halves = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=np.float32)
    >>> merged_vectors(halves, np.array([4, 4, 9]), np.array([3, 1, 5]), unit=False).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    _, numbers = np.unique(texts, return_inverse=True)
    count = int(numbers.max(initial=-1)) + 1
    if count == len(numbers):
        out = np.empty_like(vectors)
        out[numbers] = vectors
        return out
    merged = np.zeros((count, vectors.shape[1]))
    np.add.at(merged, numbers, vectors * lengths[:, None].astype(np.float64))
    merged /= np.bincount(numbers, weights=lengths)[:, None]
    return (unit_vectors(merged) if unit else merged).astype(np.float32)
