"""`Encoder`: the bare encoder, for those who want its numbers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.hub import resolve
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.explanation import explain_encoder
from bertworks.estimators.stored_task import check_fit
from bertworks.explain import Explanation
from bertworks.inference import load_model, save_model
from bertworks.inference.models import Storage, StoredDtype, resize_vocabulary
from bertworks.inference.states import States, compute_states
from bertworks.nn.machine import Precision, choose
from bertworks.tokenization import Tokenizer


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder computed, in the shapes people know; positions beyond a sequence's end are 0.

    `packed` has the same numbers without padding.
    """

    batch: PackedBatch
    tokens: list[list[str]]
    """The tokens of each sequence, as the vocabulary spells them."""
    packed: States

    @cached_property
    def last_hidden_state(self) -> Float[Array, "sequences length hidden"]:
        return self.batch.to_padded(self.packed.hidden)

    @property
    def pooler_output(self) -> Float[Array, "sequences hidden"] | None:
        """None where the encoder has no pooler."""
        return self.packed.pooled

    @cached_property
    def hidden_states(self) -> tuple[Float[Array, "sequences length hidden"], ...] | None:
        """Embedding output and each layer's output; None where they were not asked for."""
        return tuple(self.batch.to_padded(states) for states in self.packed.hidden_states) or None

    @cached_property
    def attentions(self) -> tuple[Float[Array, "sequences heads length length"], ...] | None:
        """Attention probabilities of the layers asked for, in the order of the layers; None where there are none."""
        return tuple(_pad_square(self.packed.attentions[layer]) for layer in sorted(self.packed.attentions)) or None

    @property
    def attention_mask(self) -> Int[Array, "sequences length"]:
        """1 where the padded view holds a token."""
        return self.batch.to_padded(np.ones(self.batch.tokens, dtype=np.int64))


class Encoder:
    """A pretrained encoder: texts in, hidden states out.

    >>> from bertworks import Encoder
    >>> output = Encoder(precision="float32")(["Hello there.", "Hi."])
    >>> output.last_hidden_state.shape, output.pooler_output.shape
    ((2, 6, 256), (2, 256))
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
    ) -> None:
        """Loads a model folder, a hub name, or the default encoder. Raises `CheckpointError` where that fails."""
        folder = resolve(model, revision=revision)
        self.machine = choose(device, precision, threads=threads, training=False)
        self._loaded = load_model(folder)
        self.tokenizer = Tokenizer.load(folder)
        check_fit(folder, self._loaded, self.tokenizer)
        self.loading_report = self._loaded.report

    @property
    def layers(self) -> int:
        return len(self._loaded.model.spec.layers)

    @property
    def max_tokens(self) -> int:
        """The longest sequence that the encoder reads."""
        return self._loaded.model.spec.max_tokens

    def add_tokens(self, tokens: Sequence[str], special: bool = False) -> int:
        """Adds tokens to the vocabulary, and rows to the embedding (the mean of the others); returns how many."""
        added = self.tokenizer.add_tokens(tokens, special)
        resize_vocabulary(self._loaded, max(self.tokenizer.vocabulary_size, self._loaded.model.spec.embedding.vocabulary))
        return added

    def __call__(
        self,
        texts: str | Iterable[str] | PackedBatch,
        pairs: str | Iterable[str] | None = None,
        *,
        hidden_states: bool = False,
        attentions: bool | int | Collection[int] | Literal["all"] = False,
    ) -> EncoderOutput:
        """Computes the states of texts, of pairs of texts, or of a packed batch (`PackedBatch.from_padded`; of RoBERTa and its kind
        with its `padding_id`).

        `attentions` is True for all layers, or the number of one or of several, from 0: their probabilities are recomputed on the
        side, and nothing else changes. All is computed at once: give some dozens of texts, not a corpus.

        Raises `DataError` where there is no text or one is longer than the encoder reads, `SettingsError` for a layer it does not
        have.
        """
        layers = self._layers(attentions)
        batch = texts if isinstance(texts, PackedBatch) else self._pack(texts, pairs)
        if not batch.sequences:
            raise DataError("there are no texts to encode: give one at least")
        first, last = int(batch.position_ids.min()), int(batch.position_ids.max())
        if last >= self.max_tokens:
            raise DataError(f"a sequence reaches position {last}, but the encoder reads {self.max_tokens} tokens at most")
        if first + self._loaded.model.spec.embedding.position_offset < 0:
            raise DataError(f"a token is at position {first}, which this encoder does not have: pack the batch without padding_id")
        vocabulary = self._loaded.model.spec.embedding.vocabulary
        if not 0 <= int(batch.input_ids.min()) <= int(batch.input_ids.max()) < vocabulary:
            raise DataError(f"token ids must lie in 0 … {vocabulary - 1}")
        model = self._loaded.model.to(self.machine.torch_device).compute_in(self.machine.dtype)
        states = compute_states(model, batch, device=self.machine.torch_device, hidden_states=hidden_states, attentions=layers)
        edges = batch.offsets.tolist()
        names = [self.tokenizer.id_to_token(int(i)) or "" for i in batch.input_ids]
        return EncoderOutput(batch, [names[a:b] for a, b in pairwise(edges)], states)

    def save(
        self, folder: str | Path, *, replace: bool = False, dtype: StoredDtype = "float32", max_shard_bytes: int | None = None
    ) -> Path:
        """Writes encoder and tokenizer as a model folder that `transformers` loads too; returns its path.

        The arguments are those of every estimator's `save`. Heads of the folder that it was loaded from are not the
        encoder's: `bertworks convert` keeps them. Raises `CheckpointError` where the folder exists, unless `replace`.
        """
        with atomic_folder(Path(folder), replace=replace) as writing:
            save_model(writing, self._loaded, storage=Storage(dtype, max_shard_bytes))
            self.tokenizer.save(writing, segments=self._loaded.model.spec.embedding.segments > 1, max_tokens=self.max_tokens)
        return Path(folder)

    def explain(self, text: str | tuple[str, str]) -> Explanation:
        """The attention maps of one text or one pair. Raises `DataError` where it is longer than the encoder reads."""
        return explain_encoder(self._loaded.model, self.machine, self.tokenizer, text)

    def _layers(self, asked: object) -> list[int]:
        """The numbers of the layers whose attentions are asked for."""
        if isinstance(asked, bool) or (isinstance(asked, str) and asked == "all"):
            return list(range(self.layers)) if asked else []
        numbers: list[Any] = list(asked) if isinstance(asked, Iterable) and not isinstance(asked, str) else [asked]
        if not all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers):
            raise SettingsError(f"attentions is True, all, or the number of a layer or of several, not {asked!r:.60}")
        wrong = [number for number in numbers if not 0 <= number < self.layers]
        if wrong:
            raise SettingsError(f"layer {wrong[0]} does not exist: the encoder has layers 0 to {self.layers - 1}")
        return [int(number) for number in numbers]

    def _pack(self, texts: str | Iterable[str], pairs: str | Iterable[str] | None) -> PackedBatch:
        first = [texts] if isinstance(texts, str) else list(texts)
        second = None if pairs is None else [pairs] if isinstance(pairs, str) else list(pairs)
        rows = self.tokenizer.encode_batch(first, second, offsets=False)
        long = next((i for i, row in enumerate(rows) if len(row[0].ids) > self.max_tokens), None)
        if long is not None:
            raise DataError(
                f"row {long} has {len(rows[long][0].ids):,} tokens, more than the {self.max_tokens:,} that the encoder reads: shorten it, "
                "or encode it in parts"
            )
        return PackedBatch.from_sequences([row[0].ids for row in rows], [row[0].segment_ids for row in rows])


def _pad_square(probabilities: list[Float[Array, "heads length length"]]) -> Float[Array, "sequences heads length length"]:
    longest = max(p.shape[-1] for p in probabilities)
    out = np.zeros((len(probabilities), probabilities[0].shape[0], longest, longest), dtype=np.float32)
    for i, p in enumerate(probabilities):
        out[i, :, : p.shape[1], : p.shape[2]] = p
    return out
