"""From the text of documents to their tokens, sentence by sentence: the work that is done in parallel."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.corpus.sentences import LineStyle, SentenceSplitter, cut, sentences_of, space_behind
from bertworks.tokenization import Tokenizer
from bertworks.tokenization.bulk import BulkTokenizer


class RawDocument(NamedTuple):
    """A document as it was read."""

    text: str
    source: int
    """The number of its file."""
    number: int
    """Its number in the file."""
    style: LineStyle
    """What its lines are."""


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """Documents as tokens, as many as were handed in; what happened to them, for each of them by itself."""

    documents: EncodedDocuments
    notes: list[tuple[int, str, int]] = field(default_factory=list)
    """(place of the document in the batch, what happened, how often)."""

    def counts(self, start: int, stop: int) -> Counter[str]:
        """What happened to the documents from `start` to `stop`."""
        found: Counter[str] = Counter()
        for place, what, count in self.notes:
            if start <= place < stop:
                found[what] += count
        return found


class DocumentEncoder:
    """Splits documents into sentences and tokenizes these, each by itself and without special tokens.

    Where the tokenizer tells a word behind a space from the same word without one, all sentences of a document but the first
    have a space before them, as in running text.

    Raises `MissingExtraError` where sentences must be split off and the library for it is not installed.
    """

    def __init__(self, tokenizer: Tokenizer, language: str) -> None:
        self._tokenize = BulkTokenizer(tokenizer)
        self._language = language
        self._splitter: SentenceSplitter | None = None

    def __call__(self, batch: Sequence[RawDocument]) -> EncodedBatch:
        """The documents as tokens. White space around sentences, empty sentences and empty documents leave nothing."""
        sentences: list[str] = []
        counts: list[int] = []
        notes: list[tuple[int, str, int]] = []
        for place, document in enumerate(batch):
            found = self._sentences(document, place, notes)
            if self._tokenize.keeps_spaces:
                found[1:] = [space_behind(before) + sentence for before, sentence in pairwise(found)]
            sentences += found
            counts.append(len(found))
        tokens = self._tokenize(sentences)
        lengths = np.diff(tokens.offsets)
        sound = lengths > 0
        ends = np.concatenate([[0], np.cumsum(sound)])
        documents = EncodedDocuments(
            tokens.ids,
            tokens.word_starts,
            lengths[sound],
            np.diff(ends[np.cumsum([0, *counts])]),
            np.array([content_hash(document.text) for document in batch], dtype=np.uint64),
            np.array([document.source for document in batch], dtype=np.uint32),
            np.array([document.number for document in batch], dtype=np.uint32),
        )
        empty = np.array(counts, dtype=np.int64) - documents.document_lengths
        notes += [(place, EMPTY_SENTENCES, int(empty[place])) for place in np.flatnonzero(empty).tolist()]
        return EncodedBatch(documents, notes)

    def _sentences(self, document: RawDocument, place: int, notes: list[tuple[int, str, int]]) -> list[str]:
        if self._splitter is None and document.style != "sentences":
            self._splitter = SentenceSplitter(self._language)
        failures = self._splitter.unsplit if self._splitter else 0
        out: list[str] = []
        for sentence in sentences_of(document.text, document.style, self._splitter):
            parts = cut(sentence)
            if len(parts) > 1:
                notes.append((place, LONG_SENTENCES, 1))
            out += parts
        if self._splitter and self._splitter.unsplit > failures:
            notes.append((place, UNSPLIT, self._splitter.unsplit - failures))
        return out


EMPTY_SENTENCES = "sentences without a token, left out"
LONG_SENTENCES = "sentences of more than 10,000 characters, cut"
UNSPLIT = "stretches of text that the sentence splitter failed on, left whole"


def content_hash(text: str) -> int:
    """A hash of a document in 64 bits, the same for texts that differ in white space or in the composition of characters only.

    >>> content_hash("one  fine\\nday") == content_hash(" one fine day"), content_hash("One") == content_hash("one")
    (True, False)
    """
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    return int.from_bytes(blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
