"""Documents as tokens, many at once, on their way from a text into a shard."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt32, UInt64

from bertworks.batch import Array
from bertworks.data.corpus.shards import Shard, write_shard


@dataclass(frozen=True, eq=False)
class EncodedDocuments:
    """Documents one behind the other: tokens of sentences, sentences of documents."""

    tokens: UInt32[Array, "tokens"]
    word_starts: Bool[Array, "tokens"]
    sentence_lengths: Int[Array, "sentences"]
    """Tokens of each sentence, at least 1."""
    document_lengths: Int[Array, "documents"]
    """Sentences of each document; 0 where nothing was left of it."""
    hashes: UInt64[Array, "documents"]
    """A hash of each document's text."""
    sources: UInt32[Array, "documents"]
    """The number of each document's file."""
    numbers: UInt32[Array, "documents"]
    """The number of each document in its file."""

    def __len__(self) -> int:
        return len(self.document_lengths)

    @property
    def document_tokens(self) -> Int[Array, "documents"]:
        """Tokens of each document."""
        ends = np.concatenate([[0], np.cumsum(self.sentence_lengths)])[np.concatenate([[0], np.cumsum(self.document_lengths)])]
        return np.diff(ends)

    def take(self, keep: Bool[Array, "documents"]) -> "EncodedDocuments":
        """The documents where `keep` is true, in their order."""
        if keep.all():
            return self
        of_sentences = np.repeat(keep, self.document_lengths)
        of_tokens = np.repeat(of_sentences, self.sentence_lengths)
        return EncodedDocuments(
            self.tokens[of_tokens],
            self.word_starts[of_tokens],
            self.sentence_lengths[of_sentences],
            self.document_lengths[keep],
            self.hashes[keep],
            self.sources[keep],
            self.numbers[keep],
        )

    def between(self, start: int, stop: int) -> "EncodedDocuments":
        """Documents `start` to `stop`."""
        places = np.arange(len(self))
        return self.take((places >= start) & (places < stop))

    @classmethod
    def joined(cls, parts: Sequence["EncodedDocuments"]) -> "EncodedDocuments":
        """The documents of several such objects, of at least one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def in_memory(self) -> "DocumentsInMemory":
        """What plans of sequences read of a shard, without a file. Each must have at least one sentence."""
        return DocumentsInMemory(self)

    def write(self, path: Path, *, vocabulary: int, about: dict[str, str]) -> None:
        """Writes them as a shard. Each must have at least one sentence."""
        write_shard(
            path,
            self.tokens,
            self.word_starts,
            np.concatenate([[0], np.cumsum(self.sentence_lengths)]),
            np.concatenate([[0], np.cumsum(self.document_lengths)]),
            vocabulary=vocabulary,
            about=about,
            further={"hashes": self.hashes, "sources": self.sources, "numbers": self.numbers},
        )

    @classmethod
    def of_shard(cls, shard: Shard) -> "EncodedDocuments":
        """What `write` wrote."""
        return cls(
            shard.tokens.astype(np.uint32),
            shard.word_starts(0, len(shard.tokens)),
            np.diff(shard.sentences.astype(np.int64)),
            np.diff(shard.documents.astype(np.int64)),
            *(shard.further(name) for name in ("hashes", "sources", "numbers")),
        )


class DocumentsInMemory:
    """Encoded documents in the form of a shard (`shards.Documents`)."""

    def __init__(self, encoded: EncodedDocuments) -> None:
        self._encoded = encoded
        self.tokens = encoded.tokens
        self.sentences: Int[Array, "sentences_plus_one"] = np.concatenate([[0], np.cumsum(encoded.sentence_lengths)])
        self.documents: Int[Array, "documents_plus_one"] = np.concatenate([[0], np.cumsum(encoded.document_lengths)])

    @cached_property
    def document_tokens(self) -> Int[Array, "documents_plus_one"]:
        return self.sentences[self.documents]

    def word_starts(self, start: int, stop: int) -> Bool[Array, "taken"]:
        return self._encoded.word_starts[start:stop]
