"""What stays the same in every record: the text, the tokenizer, the held-out tokens, and the loss to reach."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bertworks.batch import PackedBatch
from bertworks.data.corpus.corpus import Corpus
from bertworks.data.corpus.plans import SequenceSettings
from bertworks.data.corpus.sequences import Sequences
from bertworks.estimators.workflows import prepare_corpus, train_tokenizer
from bertworks.tasks.masked_lm import MaskedLM
from bertworks.tasks.masking import Masking
from bertworks.tokenization import Tokenizer

VOCABULARY = 16_384
LENGTH = 128
HELD_OUT = 0.01
"""Share of the documents that nobody trains on."""
HELD_OUT_TOKENS = 65_536
SEED = 20_261_122
"""Of the held-out sequences and of their masks: 15 % of the tokens, as in Devlin et al. 2019."""
TARGET = 6.75
"""Masked-LM loss on the held-out tokens, in nats a token, that the mean of a record's three seeds must not exceed."""


@dataclass(frozen=True)
class Course:
    """The prepared text."""

    folder: Path

    @classmethod
    def prepare(cls, text: Path, folder: Path) -> "Course":
        """Trains the tokenizer and prepares the corpus where that is not done yet; the same text gives the same bytes."""
        if not (folder / "tokenizer").exists():
            train_tokenizer([text], output=folder / "tokenizer", vocabulary_size=VOCABULARY, lower_case=True)
        prepare_corpus([text], folder / "tokenizer", folder / "corpus", held_out=HELD_OUT, processes=1)
        return cls(folder)

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.open(self.folder / "corpus")

    @property
    def tokenizer(self) -> Tokenizer:
        return self.corpus.tokenizer

    def sequences(self, seed: int) -> Sequences:
        """Full sequences of the training text, for those who train without bertworks."""
        return self._sequences(self.corpus.shards, SequenceSettings(LENGTH, "none", 0.0, True, seed))

    def _sequences(self, shards: object, settings: SequenceSettings) -> Sequences:
        start, end = self.tokenizer.cls_id, self.tokenizer.sep_id
        assert start is not None
        assert end is not None
        return Sequences(list(shards), settings, start_id=start, end_id=end)  # type: ignore[call-overload]

    def objective(self, seed: int) -> MaskedLM:
        """Masked LM as in the paper."""
        return MaskedLM(self.tokenizer, Masking(seed=seed), vocabulary=VOCABULARY)

    @cached_property
    def held_out(self) -> PackedBatch:
        """The tokens that every record is judged by, with the same masks."""
        source = self._sequences(self.corpus.held_out, SequenceSettings(LENGTH, "none", 0.0, False, SEED))
        batch, word_starts = source.take(np.arange(HELD_OUT_TOKENS // LENGTH))
        return self.objective(SEED).prepare(batch, word_starts)
