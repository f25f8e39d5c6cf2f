"""`tokenizer train` and `tokenizer inspect`: a tokenizer from text files, and how well one fits text files."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import write_json
from bertworks.data.documents import Unit, read_documents
from bertworks.data.faults import OnBadRows
from bertworks.data.text_files import Sources, find_files
from bertworks.data.text_stream import OnBadBytes, TextCounts
from bertworks.errors import CheckpointError, DataError
from bertworks.estimators.runs import free_name
from bertworks.tokenization.statistics import TextStatistics, statistics_of_texts, statistics_of_words
from bertworks.tokenization.tokenizer import Tokenizer
from bertworks.tokenization.training import Kind, SpecialTokens, TokenizerSettings, TrainedTokenizer, learn_tokenizer, word_counter

REPORT = "tokenizer_report.json"
"""The file beside the tokenizer's own that says how it came about."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is: megabytes of text, or pieces."""


@dataclass(frozen=True)
class TokenizerReport:
    """What a tokenizer was trained on, what came of it, and how it fits."""

    output: Path
    """The folder in which it is."""
    trained: TrainedTokenizer
    read: TextCounts
    training: TextStatistics
    """On the text that it was trained on."""
    held_out: TextStatistics | None
    """On other text, where some was named."""
    notes: list[str]
    reading_seconds: float
    learning_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        seconds = {"reading_seconds": self.reading_seconds, "learning_seconds": self.learning_seconds}
        return {"output": str(self.output), **self.facts(), **seconds}

    def facts(self) -> dict[str, Any]:
        """Plain values of all that depends on texts and settings alone."""
        trained = self.trained
        return {
            "settings": asdict(trained.settings),
            "vocabulary_size": trained.tokenizer.vocabulary_size,
            "special_tokens": list(trained.settings.roles.values()),
            "alphabet": trained.alphabet,
            "characters_met": trained.characters,
            "pieces": trained.pieces,
            "unused_tokens": trained.unused_tokens,
            "read": self.read.to_dict(),
            "training": self.training.to_dict(),
            "held_out": None if self.held_out is None else self.held_out.to_dict(),
            "notes": self.notes,
        }


@dataclass(frozen=True)
class TokenizerInspection:
    """How a tokenizer fits texts."""

    tokenizer: Tokenizer = field(repr=False)
    read: TextCounts
    texts: TextStatistics
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        found = {"read": self.read.to_dict(), "texts": self.texts.to_dict(), "seconds": self.seconds}
        return {"vocabulary_size": self.tokenizer.vocabulary_size, "notes": list(self.tokenizer.notes), **found}


def train_tokenizer(
    files: Sources,
    *,
    output: str | Path | None = None,
    kind: Kind = "wordpiece",
    vocabulary_size: int = 30_000,
    lower_case: bool | None = None,
    strip_accents: bool | None = None,
    chinese_characters: bool | None = None,
    special_tokens: SpecialTokens | None = None,
    limit_alphabet: int | None = None,
    minimum_frequency: int = 2,
    multiple_of: int = 1,
    held_out: Sources | None = None,
    text: str | None = None,
    unit: Unit = "line",
    encoding: str = "utf-8",
    on_bad_rows: OnBadRows = "error",
    on_bad_bytes: OnBadBytes = "error",
    progress: Progress | None = None,
) -> TokenizerReport:
    """Trains a tokenizer on text files of any size and saves it in the folder `output`, by default the next free
    runs/tokenizer-N.

    `files` and `held_out` are read as `read_documents` reads them, which explains `text`, `unit`, `encoding`,
    `on_bad_rows` and `on_bad_bytes`; the others are the fields of `TokenizerSettings`. The folder holds what
    transformers' `AutoTokenizer` and `Tokenizer.load` read, to the same bytes for the same texts, and the report.

    Raises `DataError` where there is no text or it cannot be read, `SettingsError` for wrong settings,
    `CheckpointError` where the folder exists or cannot be written.
    """
    settings = TokenizerSettings(
        kind=kind,
        vocabulary_size=vocabulary_size,
        lower_case=lower_case,
        strip_accents=strip_accents,
        chinese_characters=chinese_characters,
        special_tokens=special_tokens,
        limit_alphabet=limit_alphabet,
        minimum_frequency=minimum_frequency,
        multiple_of=multiple_of,
    )
    folder = _free_folder(output)
    _check_apart(files, held_out)
    read = partial(_texts, text=text, unit=unit, encoding=encoding, on_bad_rows=on_bad_rows, on_bad_bytes=on_bad_bytes, progress=progress)
    started = time.perf_counter()
    counts, counter = TextCounts(), word_counter(settings)
    counter.add(read(files, counts, "reading"))
    _check_read(counts)
    counted = time.perf_counter()
    trained = learn_tokenizer(counter, settings, None if progress is None else partial(progress, "learning"))
    learnt = time.perf_counter()
    statistics = statistics_of_words(trained.tokenizer, counter)
    other = None if held_out is None else _statistics(trained.tokenizer, read, held_out, "held-out text")[1]
    notes = [*trained.notes, *counts.lines()[1:]]
    report = TokenizerReport(folder, trained, counts, statistics, other, notes, counted - started, learnt - counted)
    with atomic_folder(folder) as new:
        trained.tokenizer.save(new)
        write_json(new / REPORT, report.facts())
    return report


def inspect_tokenizer(
    tokenizer: str | Path,
    files: Sources,
    *,
    text: str | None = None,
    unit: Unit = "line",
    encoding: str = "utf-8",
    on_bad_rows: OnBadRows = "error",
    on_bad_bytes: OnBadBytes = "error",
    progress: Progress | None = None,
) -> TokenizerInspection:
    """How the tokenizer in a folder fits text files, which are read as `read_documents` reads them.

    Raises `CheckpointError` where there is no tokenizer, `DataError` where there is no text or it cannot be read.
    """
    loaded = Tokenizer.load(tokenizer)
    read = partial(_texts, text=text, unit=unit, encoding=encoding, on_bad_rows=on_bad_rows, on_bad_bytes=on_bad_bytes, progress=progress)
    started = time.perf_counter()
    counts, statistics = _statistics(loaded, read, files, "reading")
    return TokenizerInspection(loaded, counts, statistics, time.perf_counter() - started)


def _texts(files: Sources, counts: TextCounts, what: str, *, progress: Progress | None, **options: Any) -> Iterator[str]:
    def watch(done: int, total: int) -> None:
        if progress is not None:
            progress(what, done >> 20, total >> 20)

    return (document.text for document in read_documents(files, counts=counts, progress=watch, **options))


def _statistics(
    tokenizer: Tokenizer, read: Callable[[Sources, TextCounts, str], Iterator[str]], files: Sources, what: str
) -> tuple[TextCounts, TextStatistics]:
    counts = TextCounts()
    statistics = statistics_of_texts(tokenizer, read(files, counts, what))
    _check_read(counts)
    return counts, statistics


def _check_read(counts: TextCounts) -> None:
    if not counts.documents:
        dropped = "".join(f"; {count:,} rows: {reason}" for reason, count in counts.dropped.items())
        raise DataError(f"there is no text in the files that were read ({counts.files:,}){dropped}")


def _free_folder(output: str | Path | None) -> Path:
    if output is None:
        return free_name(Path("runs", "tokenizer"))
    folder = Path(output).expanduser()
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise CheckpointError(f"'{folder}' exists already: choose another folder, such as {free_name(folder, numbered=False)}")
    return folder


def _check_apart(files: Sources, held_out: Sources | None) -> None:
    """Raises `DataError` where a file that is held out is one of those to train on, or one does not exist."""
    training = {os.path.realpath(path) for path in find_files(files)}
    for path in [] if held_out is None else find_files(held_out):
        if os.path.realpath(path) in training:
            raise DataError(f"'{path}' is to be trained on and held out: text that was trained on says nothing about other text")
