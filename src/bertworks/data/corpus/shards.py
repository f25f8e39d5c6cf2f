"""A shard: the token ids of many documents in one memory-mapped file, with the borders of words, sentences and documents.

The file is a safetensors file, so that any tool of the field can look into it. A document is a run of sentences, a
sentence a run of tokens; special tokens stand in none, they are added when sequences are cut.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt, UInt8

from bertworks.batch import Array
from bertworks.checkpoints.files import write_tensors
from bertworks.checkpoints.safetensors_file import SafetensorsFile
from bertworks.errors import DataError

_NAMES = ("tokens", "word_starts", "sentences", "documents")


class Documents(Protocol):
    """Documents as the plans of sequences read them, wherever they are: in a shard, or in memory."""

    @property
    def tokens(self) -> UInt[Array, "tokens"]:
        """The token ids of all documents, one behind the other."""
        ...

    @property
    def sentences(self) -> Int[Array, "sentences_plus_one"]:
        """Where each sentence begins among the tokens; the last entry is the number of tokens."""
        ...

    @property
    def documents(self) -> Int[Array, "documents_plus_one"]:
        """Where each document begins among the sentences; the last entry is the number of sentences."""
        ...

    @property
    def document_tokens(self) -> Int[Array, "documents_plus_one"]:
        """Where each document begins among the tokens."""
        ...

    def word_starts(self, start: int, stop: int) -> Bool[Array, "taken"]:
        """For tokens `start` to `stop`, whether each begins a word."""
        ...


class Shard:
    """Read access to one shard; nothing is in memory but what was looked at.

    Raises `DataError` where the file's borders do not fit its tokens, `CheckpointError` where it is no whole file.
    """

    def __init__(self, path: Path) -> None:
        file = SafetensorsFile(path)
        missing = [name for name in _NAMES if name not in file.entries]
        if missing:
            raise DataError(f"{path} is no shard of a corpus: it has no '{missing[0]}'. Prepare the corpus again")
        self._file = file
        self.path = path
        self.about: Mapping[str, str] = file.metadata
        """What the writer noted in the file's header."""
        self.tokens: UInt[Array, "tokens"] = file.array("tokens")
        """Token ids in 16 bits, or in 32 where the vocabulary is larger than 65,536."""
        self._word_bits: UInt8[Array, "bytes"] = file.array("word_starts")
        self.sentences: UInt[Array, "sentences_plus_one"] = file.array("sentences")
        """Where each sentence begins among the tokens; the last entry is the number of tokens."""
        self.documents: UInt[Array, "documents_plus_one"] = file.array("documents")
        """Where each document begins among the sentences; the last entry is the number of sentences."""
        borders = ((self.sentences, len(self.tokens)), (self.documents, len(self.sentences) - 1))
        fits = all(len(starts) and starts[0] == 0 and starts[-1] == size and (starts[1:] > starts[:-1]).all() for starts, size in borders)
        if not fits or len(self._word_bits) != -(-len(self.tokens) // 8):
            raise DataError(f"{path}: the borders of documents, sentences and words do not fit the tokens. Prepare the corpus again")

    def word_starts(self, start: int, stop: int) -> Bool[Array, "taken"]:
        """For tokens `start` to `stop`, whether each begins a word."""
        bits = np.unpackbits(self._word_bits[start // 8 : -(-stop // 8)], bitorder="little")
        return bits[start % 8 : start % 8 + stop - start].astype(bool)

    def further(self, name: str) -> Array:
        """One of the arrays that the writer added. Raises `DataError` where the file has none of that name."""
        if name not in self._file.entries:
            raise DataError(f"{self.path} has no '{name}': it was not written by 'bertworks corpus prepare'")
        return self._file.array(name)

    @cached_property
    def document_tokens(self) -> Int[Array, "documents_plus_one"]:
        """Where each document begins among the tokens."""
        return self.sentences[self.documents].astype(np.int64)


def write_shard(
    path: Path,
    tokens: Int[Array, "tokens"],
    word_starts: Bool[Array, "tokens"],
    sentences: Int[Array, "sentences_plus_one"],
    documents: Int[Array, "documents_plus_one"],
    *,
    vocabulary: int,
    about: Mapping[str, str] | None = None,
    further: Mapping[str, Array] | None = None,
) -> None:
    """Writes what `Shard` reads. `vocabulary` is the number of token ids and decides their width; `about` is kept in
    the file's header, `further` are more arrays to keep. Raises `DataError` for a token beyond the vocabulary."""
    if len(tokens) and int(tokens.max()) >= vocabulary:
        raise DataError(f"the token {int(tokens.max())} is outside the vocabulary of {vocabulary:,} tokens")
    arrays = {
        "tokens": tokens.astype(np.uint16 if vocabulary <= 1 << 16 else np.uint32),
        "word_starts": np.packbits(word_starts, bitorder="little"),
        "sentences": sentences.astype(np.uint32),
        "documents": documents.astype(np.uint32),
        **(further or {}),
    }
    write_tensors(path, arrays, metadata=about)
