"""Texts of many shapes, and preparations of them that read what was written back in a plain form."""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bertworks.data.corpus.corpus import Corpus, Shards
from bertworks.data.corpus.prepare import PreparationProgress, prepare
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.tokenization import Tokenizer
from tests.conftest import BAD, GOOD, PLAIN, VOCABULARY

Documents = list[list[str]]
"""The sentences of each document."""
Tokens = list[tuple[int, bool]]
"""Token ids, and whether each begins a word."""

WORDS = [*GOOD, *BAD, *PLAIN, "unheard-of", "naïve", "42", "Zebra", "x", "日"]


def random_documents(count: int, seed: int = 0, longest: int = 12) -> Documents:
    draw = random.Random(seed)
    documents = []
    for _ in range(count):
        sentences = [draw.choices(WORDS, k=draw.randint(1, 14)) for _ in range(draw.randint(1, longest))]
        documents.append([" ".join(words).capitalize() + draw.choice(".?!") for words in sentences])
    return documents


def as_text(documents: Documents) -> str:
    return "\n\n".join("\n".join(document) for document in documents) + "\n"


class Watcher(PreparationProgress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.documents = 0
        self.read_bytes: list[tuple[int, int]] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def read(self, done: int, total: int) -> None:
        self.read_bytes.append((done, total))

    def encoded(self, documents: int, tokens: int) -> None:
        self.documents += documents


Prepare = Callable[..., Corpus]


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small WordPiece tokenizer."""
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in VOCABULARY), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return folder


@pytest.fixture(scope="session")
def tokenizer(vocabulary: Path) -> Tokenizer:
    return Tokenizer.load(vocabulary)


@pytest.fixture
def prepared(tokenizer: Tokenizer, tmp_path: Path) -> Prepare:
    """Prepares a corpus from files, or from one file of the documents that are given, in this process."""

    def call(files: Any, output: str = "corpus", *, processes: int = 1, watcher: Watcher | None = None, **settings: Any) -> Corpus:
        if isinstance(files, list) and files and isinstance(files[0], list):
            (tmp_path / "text.txt").write_text(as_text(files), encoding="utf-8")
            files = tmp_path / "text.txt"
        settings = {"lines": "sentences", "held_out": 0.0} | settings
        chosen = settings.pop("tokenizer", tokenizer)
        return prepare(files, chosen, tmp_path / output, PreparationSettings(**settings), processes=processes, progress=watcher)

    return call


def slowly(tokenizer: Tokenizer, documents: Documents) -> list[list[Tokens]]:
    """Each sentence tokenized alone, by the tokenizer that everybody uses."""
    out = []
    for document in documents:
        sentences = []
        for sentence in document:
            encoding = tokenizer.encode(sentence)
            words = encoding.word_ids.tolist()
            inner = [place for place, text in enumerate(encoding.sequence_ids.tolist()) if text == 0]
            sentences.append([(int(encoding.ids[i]), i == inner[0] or words[i] != words[i - 1] or words[i] == -1) for i in inner])
        out.append([sentence for sentence in sentences if sentence])
    return [document for document in out if document]


def content(shards: Shards) -> list[list[Tokens]]:
    """All that shards hold, document by document and sentence by sentence."""
    return [document for shard in shards for document in _documents(shard)]


def _documents(shard: Any) -> Iterator[list[Tokens]]:
    borders = shard.sentences.tolist()
    tokens = list(zip(shard.tokens.tolist(), shard.word_starts(0, len(shard.tokens)).tolist(), strict=True))
    for first, last in pairwise(shard.documents.tolist()):
        yield [tokens[a:b] for a, b in pairwise(borders[first : last + 1])]


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
