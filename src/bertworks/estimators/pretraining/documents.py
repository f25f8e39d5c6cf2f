"""The documents that a pretrained model is judged by: of text files, of a prepared corpus or of a table, some at a time."""

import glob
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bertworks.data.corpus.corpus import MANIFEST, UNFINISHED, Corpus
from bertworks.data.corpus.encoded import EncodedDocuments
from bertworks.data.corpus.encoder import DocumentEncoder, RawDocument
from bertworks.data.corpus.recipe import documents_of, style_of
from bertworks.data.corpus.segments import EMPTY
from bertworks.data.corpus.sentences import SentenceSplitter, line_style
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.data.faults import OnBadRows
from bertworks.data.text_data import check_one_text, read_texts
from bertworks.data.text_files import find_files
from bertworks.data.text_stream import TextCounts
from bertworks.errors import DataError, MissingExtraError, SettingsError
from bertworks.tokenization import Tokenizer

_TOKENS_AT_ONCE = 500_000
"""Tokens of a part: as many are in memory, however long the text is, and the second text of a pair comes from among them."""
_CHARACTERS_AT_ONCE = 1 << 18
_SAMPLE = 1000
"""Rows of a table by which it is judged what the lines of a text are."""


@dataclass(frozen=True)
class Part:
    """Some documents of a source, whole and in their order."""

    text: EncodedDocuments
    """As they are read for masked words. What their sentences are does not matter, and need not be so."""
    sentences: EncodedDocuments | None
    """Split into sentences; None where that was not asked for, or cannot be done."""


@dataclass
class Documents(ABC):
    """Documents to be judged by."""

    name: str
    tokenizer: Tokenizer
    pairs: bool
    """Whether sentences are wanted."""
    limit: int | None
    """The most documents that are read."""
    read: int = 0
    """Documents that were read so far."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows and documents that are not judged by, with the reason, as far as they are known."""
    unsplit: str = ""
    """Why there are no sentences although they are wanted."""

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """All documents once; every call reads anew."""

    @abstractmethod
    def lines(self) -> list[str]:
        """What was read, for a person."""

    @property
    def expected(self) -> int:
        """How many documents there will be, as far as can be told by now."""
        return self.read

    @property
    def left_out(self) -> Counter[str]:
        """Documents without a token, and rows that could not be read or have no text, by reason."""
        return self.dropped

    @property
    def usable(self) -> int:
        """Documents with a text."""
        return self.read - self.dropped[EMPTY]

    @property
    def rows(self) -> int:
        """Documents, and rows that are none."""
        return self.usable + self.left_out.total()


@dataclass
class _HeldOut(Documents):
    """The documents that a prepared corpus holds out."""

    corpus: Corpus = field(kw_only=True)

    def parts(self) -> Iterator[Part]:
        for shard in self.corpus.held_out:
            documents = EncodedDocuments.of_shard(shard)
            if self.limit is not None:
                documents = documents.between(0, self.limit - self.read)
            self.read += len(documents)
            if not len(documents):
                return
            yield Part(documents, documents if self.pairs else None)

    def lines(self) -> list[str]:
        return [f"{self.name}: {self.read:,} documents that the corpus holds out"]

    @property
    def expected(self) -> int:
        held_out = self.corpus.held_out.totals.documents
        return held_out if self.limit is None else min(self.limit, held_out)


@dataclass
class _Texts(Documents):
    """Documents that are tokenized as they are read."""

    texts: Callable[[], Iterable[RawDocument]] = field(kw_only=True)
    language: ClassVar[str] = PreparationSettings.language

    def parts(self) -> Iterator[Part]:
        encode = DocumentEncoder(self.tokenizer, self.language)
        if self.pairs:
            self.unsplit = _why_unsplit(self.language)
        text: list[EncodedDocuments] = []
        sentences: list[EncodedDocuments] = []
        for batch in _batches(islice(self.texts(), self.limit)):
            self.read += len(batch)
            # lines are tokenized as they are: so the masks do not depend on whether sentences are wanted
            as_lines = _sound(encode([document._replace(style="sentences") for document in batch]).documents)
            self.dropped += Counter({EMPTY: len(batch) - len(as_lines)})
            text.append(as_lines)
            if self.pairs:
                sentences += self._split(encode, batch, as_lines)
            if sum(len(some.tokens) for some in text) >= _TOKENS_AT_ONCE:
                yield _part(text, sentences)
                text, sentences = [], []
        if sum(map(len, text)):
            yield _part(text, sentences)

    def _split(self, encode: DocumentEncoder, batch: list[RawDocument], as_lines: EncodedDocuments) -> list[EncodedDocuments]:
        """The documents in sentences; without those that would have to be split, where that cannot be done."""
        ready = [document for document in batch if document.style == "sentences" or not self.unsplit]
        if not ready:
            return []
        return [as_lines if all(document.style == "sentences" for document in batch) else _sound(encode(ready).documents)]


@dataclass
class _Files(_Texts):
    """Documents of files, of which only a part is ever in memory (`data.documents`)."""

    counts: TextCounts = field(kw_only=True)
    progress: list[int] = field(kw_only=True)
    """Bytes read, and bytes of all files."""

    @property
    def left_out(self) -> Counter[str]:
        return self.dropped + self.counts.dropped

    def lines(self) -> list[str]:
        _, *more = self.counts.lines()
        return [f"{self.name}: {self.read:,} documents, {self.counts.characters:,} characters", *more]

    @property
    def expected(self) -> int:
        done, whole = self.progress
        expected = max(self.read, round(self.read * whole / max(done, 1)))
        return expected if self.limit is None else max(self.read, min(self.limit, expected))


@dataclass
class _Rows(_Texts):
    """The texts of a table."""

    count: int = field(kw_only=True)
    column: str = field(kw_only=True)

    def lines(self) -> list[str]:
        return [f"{self.name}: {self.read:,} rows, each a document; text '{self.column}'"]

    @property
    def expected(self) -> int:
        return self.count


def open_documents(
    data: Any,
    tokenizer: Tokenizer,
    *,
    pairs: bool,
    text: str | None = None,
    split: str | None = None,
    shuffle_seed: int | None = None,
    limit: int | None = None,
    on_bad_rows: OnBadRows = "error",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> Documents:
    """The documents of `data`: the folder of a prepared corpus (those that it holds out), files, folders and patterns of texts
    (`data.documents`), or whatever else `read_table` reads, a row a document.

    Files that need the reading of a table (`split`, `shuffle_seed`, `delimiter`) are read as one. Raises `DataError` where there is
    nothing of the sort, `SettingsError` for an option that makes no sense.
    """
    if limit is not None and (not isinstance(limit, int | np.integer) or limit < 1):
        raise SettingsError(f"limit is a number of documents, at least 1, not {limit!r}")
    of_tables = {"split": split, "shuffle_seed": shuffle_seed, "delimiter": delimiter}
    path = Path(data).expanduser() if isinstance(data, str | Path) and str(data) else None
    if path is not None and ((path / MANIFEST).is_file() or (path / UNFINISHED).is_dir()):
        given = [name for name, value in {"text": text, **of_tables}.items() if value is not None]
        if given:
            raise SettingsError(f"{data} is a prepared corpus, which has no columns and no splits: leave out {', '.join(given)}")
        return _of_corpus(path, tokenizer, pairs, limit)
    if path is not None and (path.exists() or glob.has_magic(str(path))) and not any(value is not None for value in of_tables.values()):
        return _of_files(path, tokenizer, pairs, limit, PreparationSettings(text=text, encoding=encoding, on_bad_rows=on_bad_rows))
    reading: dict[str, Any] = {"text": text, "limit": limit, "on_bad_rows": on_bad_rows, "encoding": encoding, **of_tables}
    read = read_texts(data, label=False, require_labels=False, **reading)
    check_one_text(read, "documents")
    style = line_style(read.texts[:_SAMPLE])
    rows = [RawDocument(text, 0, number, style) for number, text in enumerate(read.texts)]
    found = _Rows(read.table.name, tokenizer, pairs, None, texts=lambda: rows, count=len(rows), column=read.text_column)
    found.dropped += read.accounting.dropped
    return found


def _of_corpus(folder: Path, tokenizer: Tokenizer, pairs: bool, limit: int | None) -> Documents:
    corpus = Corpus.open(folder)
    if corpus.tokenizer.fingerprint() != tokenizer.fingerprint():
        raise DataError(
            f"the corpus in '{folder}' was not prepared with the model's tokenizer: name the text that it was made from, or prepare it "
            "again with that (bertworks corpus prepare … --tokenizer MODEL)"
        )
    if not len(corpus.held_out):
        raise DataError(
            f"the corpus in '{folder}' holds no documents out to judge by: name a text file, or prepare the corpus with a larger "
            f"share of them (bertworks corpus prepare … --held-out 0.05)"
        )
    return _HeldOut(str(folder), tokenizer, pairs, limit, corpus=corpus)


def _of_files(path: Path, tokenizer: Tokenizer, pairs: bool, limit: int | None, settings: PreparationSettings) -> Documents:
    counts, progress = TextCounts(), [0, 0]
    paths = find_files(path, counts.notes)
    progress[1] = sum(file.stat().st_size for file in paths)

    def texts() -> Iterator[RawDocument]:
        for number, file in enumerate(paths):
            style, before = style_of(file, settings), progress[0]

            def watch(read: int, _: int, before: int = before) -> None:
                progress[0] = before + read

            for document in documents_of(file, settings, counts, progress=watch):
                yield RawDocument(document.text, number, document.number, style)

    return _Files(str(path), tokenizer, pairs, limit, texts=texts, counts=counts, progress=progress)


def _why_unsplit(language: str) -> str:
    try:
        SentenceSplitter(language)
    except MissingExtraError as error:
        return str(error)
    return ""


def _batches(documents: Iterable[RawDocument]) -> Iterator[list[RawDocument]]:
    held: list[RawDocument] = []
    size = 0
    for document in documents:
        held.append(document)
        size += len(document.text)
        if size >= _CHARACTERS_AT_ONCE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _sound(documents: EncodedDocuments) -> EncodedDocuments:
    """Without documents of no token."""
    return documents.take(documents.document_lengths > 0)


def _part(text: list[EncodedDocuments], sentences: list[EncodedDocuments]) -> Part:
    return Part(EncodedDocuments.joined(text), EncodedDocuments.joined(sentences) if sentences else None)
