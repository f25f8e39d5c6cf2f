"""A pretrained encoder as the teacher of another (`tasks/distillation.py`, `tasks/attention_relations.py`)."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from bertworks.batch import Array, PackedBatch, ragged_positions
from bertworks.data.sampler import cut_by_tokens
from bertworks.nn.inputs import model_inputs
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.word_translation import WordTranslation


class WordTeacher:
    """Vectors of words and of whole texts, by an encoder that reads each text of a student's batch by itself."""

    def __init__(self, model: Model, tokenizer: Tokenizer, student: Tokenizer, machine: MachineChoice) -> None:
        """`tokenizer` is the model's own, `student` the one that batches are made with."""
        self._model = model.to(machine.torch_device).compute_in(machine.dtype)
        self._machine = machine
        self._translate = WordTranslation(student, tokenizer)
        self._special = np.array(sorted(student.special_ids))

    @property
    def width(self) -> int:
        return self._model.spec.hidden

    def __call__(self, batch: PackedBatch, word_starts: Bool[Array, "tokens"]) -> Float[Array, "tokens width"]:
        """The vectors, in float16, of each token's word; see `tasks/distillation.py` for those of special tokens."""
        special = np.isin(batch.input_ids, self._special)
        after_special = np.concatenate([[True], special[:-1]])
        first = ~special & after_special  # of each text
        texts = np.where(special, -1, np.cumsum(first) - 1)
        count = int(first.sum())
        translated = self._translate(batch.input_ids, word_starts | first, texts, count, self._model.spec.max_tokens)
        states = self._states(translated.ids, translated.offsets)

        vectors = np.zeros((batch.tokens, self.width), dtype=np.float16)
        learnt = translated.pieces > 0
        of_words = _unit(_means(states, translated.starts[learnt], translated.pieces[learnt]))
        lengths = (translated.source_stops - translated.source_starts)[learnt]
        vectors[np.repeat(translated.source_starts[learnt], lengths) + ragged_positions(lengths)] = np.repeat(of_words, lengths, axis=0)
        of_texts = _unit(_means(states, translated.offsets[:-1], np.diff(translated.offsets)))
        closing = np.flatnonzero(special & ~after_special)  # the token behind each text
        vectors[closing] = of_texts
        sequence = np.searchsorted(batch.offsets, closing, side="right") - 1
        sums = np.zeros((batch.sequences, self.width), dtype=np.float32)
        np.add.at(sums, sequence, of_texts)
        vectors[batch.offsets[:-1]] = _unit(sums)
        return vectors

    def _states(self, ids: Int[Array, "target_tokens"], offsets: Int[Array, "texts_plus_one"]) -> Float[Array, "target_tokens width"]:
        """The last hidden state of every token of every text."""
        lengths = np.diff(offsets)
        states = np.empty((len(ids), self.width), dtype=np.float32)
        with torch.inference_mode():
            for part in cut_by_tokens(lengths, self._machine.token_budget):
                rows = np.repeat(offsets[:-1][part], lengths[part]) + ragged_positions(lengths[part])
                batch = PackedBatch.from_sequences(np.split(ids[rows], np.cumsum(lengths[part])[:-1]))
                hidden = self._model.encoder(model_inputs(batch, self._machine.torch_device)).hidden
                states[rows] = hidden.float().cpu().numpy()
        return states


class AttentionTeacher:
    """Queries, keys and values of an encoder's last layer, for a student that has the same tokenizer."""

    def __init__(self, model: Model, machine: MachineChoice) -> None:
        self._model = model.to(machine.torch_device).compute_in(machine.dtype)
        self._machine = machine
        self._last = len(model.spec.layers) - 1

    @property
    def heads(self) -> int:
        return self._model.spec.layers[-1].attention.heads

    def __call__(self, batch: PackedBatch) -> Float[Array, "tokens width"]:
        """Query, key and value of each token, side by side, in float16."""
        attention = self._model.spec.layers[-1].attention
        out = np.empty((batch.tokens, 3 * attention.heads * attention.head_dim), dtype=np.float16)
        with torch.inference_mode():
            for part in cut_by_tokens(batch.lengths, self._machine.token_budget):
                inputs = model_inputs(batch.take(part), self._machine.torch_device)
                attended = self._model.encoder(inputs, attentions=[self._last]).attended[self._last]
                told = torch.cat([x.flatten(1) for x in (attended.q, attended.k, attended.v)], dim=1)
                rows = np.repeat(batch.offsets[part], batch.lengths[part]) + ragged_positions(batch.lengths[part])
                out[rows] = told.to(torch.float16).cpu().numpy()
        return out


def _means(states: Float[Array, "tokens width"], starts: Int[Array, "spans"], lengths: Int[Array, "spans"]) -> Float[Array, "spans width"]:
    """The mean state of spans of tokens, none of them empty."""
    sums = states[starts]
    for further in range(1, int(lengths.max(initial=1))):
        rows = np.flatnonzero(lengths > further)
        sums[rows] += states[starts[rows] + further]
    return sums / lengths[:, None]


def _unit(vectors: Float[Array, "rows width"]) -> Float[Array, "rows width"]:
    scaled: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
