"""A prepared corpus: a folder of shards, the tokenizer that made them, and a manifest that says what it all is.

    manifest.json               what the corpus was made from and how, its counts, and the hash of every file
    tokenizer/                  a copy of the tokenizer
    train-00000.safetensors …   shards for training
    held-out-00000.safetensors … documents kept out of training
    unfinished/                 while the corpus is being prepared: what is finished of it

The folder is self-contained and may be moved anywhere.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.checkpoints.files import read_json
from bertworks.data.corpus.recipe import FORMAT, sha256_of
from bertworks.data.corpus.segments import WrittenShard
from bertworks.data.corpus.shards import Shard
from bertworks.data.corpus.totals import CorpusAccounting, Totals
from bertworks.errors import CheckpointError, DataError
from bertworks.tokenization import Tokenizer

MANIFEST, TOKENIZER, UNFINISHED = "manifest.json", "tokenizer", "unfinished"
KIND = "bertworks corpus"


class Origin(NamedTuple):
    """Where a document comes from."""

    file: str
    number: int
    """Its number in the file, from 0."""


class Shards(Sequence[Shard]):
    """The shards of a corpus, each opened when it is first asked for."""

    def __init__(self, folder: Path, written: Sequence[WrittenShard], key: str) -> None:
        self._folder, self._key = folder, key
        self.written = tuple(written)
        """What the manifest says of each."""
        self._opened: dict[int, Shard] = {}

    def __len__(self) -> int:
        return len(self.written)

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> list[Shard]: ...
    def __getitem__(self, index: int | slice) -> Shard | list[Shard]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        if number not in self._opened:
            shard = Shard(self._folder / self.written[number].file)
            if shard.about.get("key") != self._key:
                raise DataError(f"{shard.path} belongs to another corpus than {MANIFEST}: prepare the corpus again")
            self._opened[number] = shard
        return self._opened[number]

    @property
    def totals(self) -> Totals:
        """What all of them hold."""
        return sum((shard.totals for shard in self.written), Totals())

    def token_counts(self, vocabulary: int, *, most: int = 100_000_000) -> Int[Array, "vocabulary"]:
        """How often each id occurs in the first shards, as many of them as come to `most` tokens."""
        counts = np.zeros(vocabulary, dtype=np.int64)
        for shard in self:
            counts += np.bincount(shard.tokens, minlength=vocabulary)
            if counts.sum() >= most:
                break
        return counts


class Corpus:
    """Read access to a prepared corpus; nothing of its text is in memory but what was looked at."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        """All that `manifest.json` says."""
        self.key: str = manifest["key"]
        """A hash of all that the corpus was made from. Corpora of equal keys are equal, byte for byte."""
        self.settings: dict[str, Any] = manifest["settings"]
        self.shards = Shards(folder, [WrittenShard.from_dict(entry) for entry in manifest["shards"]], self.key)
        """The text for training."""
        self.held_out = Shards(folder, [WrittenShard.from_dict(entry) for entry in manifest["held_out"]], self.key)
        """Documents kept out of training."""
        self.accounting = CorpusAccounting.from_dict(manifest["accounting"])
        """What became of the text that the corpus was made from."""

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = False) -> "Corpus":
        """The corpus in a folder. Sizes of its files are compared with the manifest, with `verify` their hashes too.

        Raises `DataError` where there is no finished corpus, or a file is missing, damaged or of another corpus.
        """
        folder = Path(folder).expanduser()
        if not (folder / MANIFEST).is_file():
            raise DataError(_no_corpus(folder))
        try:
            manifest = read_json(folder / MANIFEST)
            corpus = cls(folder, manifest) if manifest.get("kind") == KIND and manifest.get("version") == FORMAT else None
        except (CheckpointError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{folder / MANIFEST} is damaged ({error}): prepare the corpus again") from error
        if corpus is None:
            raise DataError(f"{folder / MANIFEST} was not written by this version of 'bertworks corpus prepare': prepare the corpus again")
        corpus._check(verify)
        return corpus

    def _check(self, verify: bool) -> None:
        files = [(shard.file, shard.bytes, shard.sha256) for shard in (*self.shards.written, *self.held_out.written)]
        files += [(f"{TOKENIZER}/{entry['file']}", entry["bytes"], entry["sha256"]) for entry in self.manifest["tokenizer_files"]]
        for name, size, sha256 in files:
            path = self.folder / name
            try:
                found = path.stat().st_size
                sound = found == size and not (verify and sha256_of(path) != sha256)
            except OSError as error:
                raise DataError(f"{path} is missing or cannot be read ({error.strerror}): copy the corpus or prepare it again") from None
            if not sound:
                what = f"has {found:,} bytes, not {size:,}" if found != size else "is damaged: its content is not what was written"
                raise DataError(f"{path} {what}: copy the corpus again, or prepare it again")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the corpus. Raises `DataError` where it was changed since."""
        tokenizer = Tokenizer.load(self.folder / TOKENIZER)
        if tokenizer.fingerprint() != self.manifest["tokenizer"]["fingerprint"]:
            raise DataError(f"{self.folder / TOKENIZER} is not the tokenizer that made this corpus: prepare it again")
        return tokenizer

    @property
    def totals(self) -> Totals:
        """What the text for training consists of."""
        return self.shards.totals

    def sentences(self, shard: Shard, document: int) -> list[str]:
        """The sentences of a document, as the tokenizer puts their tokens together, without white space around them."""
        return [self.tokenizer.decode(tokens, skip_special_tokens=False).strip() for tokens in sentence_tokens(shard, document)]

    def decode(self, shard: Shard, document: int) -> str:
        """The text of a document, a sentence a line."""
        return "\n".join(self.sentences(shard, document))

    def origin(self, shard: Shard, document: int) -> Origin:
        """Where a document comes from."""
        source = int(shard.further("sources")[document])
        return Origin(self.manifest["files"][source]["name"], int(shard.further("numbers")[document]))

    def __repr__(self) -> str:
        return f"Corpus({str(self.folder)!r}, {len(self.shards)} shards, {self.totals.tokens:,} tokens)"


def sentence_tokens(shard: Shard, document: int) -> Iterator[Any]:
    """The tokens of each sentence of a document. Raises `DataError` where the shard has no such document."""
    count = len(shard.documents) - 1
    if not 0 <= document < count:
        raise DataError(f"{shard.path} has {count:,} documents, numbered from 0: there is no document {document}")
    first, last = shard.documents[document : document + 2].tolist()
    for start, stop in pairwise(shard.sentences[first : last + 1].tolist()):
        yield shard.tokens[start:stop]


def _no_corpus(folder: Path) -> str:
    if (folder / UNFINISHED).is_dir():
        return f"the corpus in '{folder}' is unfinished: run the same 'bertworks corpus prepare' again, which goes on where it stopped"
    if not folder.exists():
        return f"there is no folder '{folder}'"
    return f"'{folder}' holds no corpus (no {MANIFEST}): make one with 'bertworks corpus prepare FILES --tokenizer … --output {folder}'"
