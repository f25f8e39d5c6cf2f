"""`corpus prepare` and `corpus show`: text to a corpus for pretraining, and what is in one."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bertworks.checkpoints.hub import resolve
from bertworks.data.corpus.corpus import Corpus, Origin
from bertworks.data.corpus.duplicates import Deduplicate
from bertworks.data.corpus.prepare import PreparationProgress, prepare
from bertworks.data.corpus.sentences import LineStyle
from bertworks.data.corpus.settings import PreparationSettings
from bertworks.data.corpus.totals import Totals
from bertworks.data.faults import OnBadRows
from bertworks.data.text_files import Sources
from bertworks.errors import DataError, Interrupted
from bertworks.tokenization import Tokenizer


def prepare_corpus(
    files: Sources,
    tokenizer: str | Path | Tokenizer,
    output: str | Path,
    *,
    lines: Literal["auto"] | LineStyle = "auto",
    language: str = "en",
    text: str | None = None,
    encoding: str = "utf-8",
    on_bad_rows: OnBadRows = "error",
    shard_tokens: int = 4_000_000,
    held_out: float = 0.005,
    deduplicate: Deduplicate = "none",
    processes: int | None = None,
    progress: PreparationProgress | None = None,
) -> Corpus:
    """Makes of text files of any size a folder of shards: tokens with the borders of words, sentences and documents.

    `files` are files, folders or patterns: plain text, in which a blank line ends a document, or JSONL, Parquet and CSV,
    in which each row is one; also compressed (.gz .xz .bz2 .zst). `tokenizer` is a `Tokenizer`, its folder or file, or a
    hub name; a copy goes into `output`. `processes` (by default one a processor, a single one for little text) decide the
    speed only; the other settings are those of `PreparationSettings`.

    The same files, settings and tokenizer give the same bytes. What was interrupted, even by a power cut, goes on behind
    its last finished shard when it is called again. Where a file's content, a setting or the tokenizer has changed, all
    is made anew, and `progress` is told so. Memory does not grow with the text: about 0.2 GB, and as much again for each
    further process. `deduplicate="exact"` needs 8 bytes a document besides, "near" 16 bytes a word.

    Bytes that are no text become U+FFFD; that, and whatever else is changed or left out, is counted in `Corpus.accounting`.

    Raises `DataError` where files are missing or cannot be read, `SettingsError` for wrong settings or an output folder
    that holds other things, `CheckpointError` for the tokenizer or a disk that cannot be written, and `Interrupted` at
    Ctrl-C.
    """
    settings = PreparationSettings(lines, language, text, encoding, on_bad_rows, shard_tokens, float(held_out), deduplicate)
    if not isinstance(tokenizer, Tokenizer):
        path = Path(tokenizer).expanduser()
        tokenizer = Tokenizer.load(path if path.exists() else resolve(tokenizer))
    try:
        return prepare(files, tokenizer, Path(output).expanduser(), settings, processes=processes, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; the same command goes on behind the last finished shard of {output}") from None


@dataclass(frozen=True)
class ShownDocument:
    """A document of a corpus as text."""

    number: int
    """Its number in the corpus: first those for training, then those held out."""
    shard: str
    origin: Origin
    held_out: bool
    tokens: int
    words: int
    sentences: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**vars(self), "origin": self.origin._asdict()}


@dataclass(frozen=True)
class CorpusReport:
    """A corpus, and one of its documents where that was asked for."""

    corpus: Corpus
    document: ShownDocument | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        facts = {name: value for name, value in self.corpus.manifest.items() if name not in ("kind", "tokenizer_files")}
        shown = {} if self.document is None else {"document": self.document.to_dict()}
        return {"folder": str(self.corpus.folder), **facts, **shown}


def show_corpus(folder: str | Path, *, document: int | None = None, verify: bool = False) -> CorpusReport:
    """The facts of a corpus, and document number `document` as text; with `verify` every byte is checked.

    Raises `DataError` where there is no finished corpus, a file of it is damaged, or no document has that number.
    """
    corpus = Corpus.open(folder, verify=verify)
    return CorpusReport(corpus, None if document is None else _document(corpus, document))


def _document(corpus: Corpus, number: int) -> ShownDocument:
    left = number
    for shards in (corpus.shards, corpus.held_out):
        for place, written in enumerate(shards.written):
            if 0 <= left < written.totals.documents:
                shard = shards[place]
                start, stop = shard.document_tokens[left : left + 2].tolist()
                words = int(shard.word_starts(start, stop).sum())
                sentences = corpus.sentences(shard, left)
                origin = corpus.origin(shard, left)
                return ShownDocument(number, written.file, origin, shards is corpus.held_out, stop - start, words, sentences)
            left -= written.totals.documents
    count = (corpus.totals + corpus.held_out.totals).documents
    raise DataError(f"{corpus.folder} has {count:,} documents, numbered from 0: there is no document {number:,}")


def facts(corpus: Corpus) -> dict[str, str]:
    """What a person should know of a corpus, by name."""
    totals, held_out = corpus.totals, corpus.held_out.totals
    tokenizer, files = corpus.manifest["tokenizer"], corpus.manifest["files"]
    styles = Counter(file["lines"] for file in files)
    means = [f"{totals.tokens / totals.sentences:.1f} tokens a sentence", f"{totals.tokens / totals.words:.3f} a word"]
    out = {
        "training": _counted(totals),
        "held out": _counted(held_out) if held_out.documents else "no document",
        "shards": f"{len(corpus.shards):,} + {len(corpus.held_out):,} held out",
        "on average": ", ".join([*means, f"{totals.sentences / totals.documents:,.1f} sentences a document"]),
        "tokenizer": f"{tokenizer['vocabulary']:,} tokens; {totals.unknown_tokens / totals.tokens:.3%} of the text unknown to it",
        "lines": ", ".join(f"{style} in {count:,} of {len(files):,} files" for style, count in sorted(styles.items())),
    }
    if totals.special_tokens:
        out["special tokens"] = f"{totals.special_tokens:,} that the text itself holds"
    if totals.single_sentences:
        out["one sentence only"] = f"{totals.single_sentences:,} documents, which have no pairs of sentences"
    return out


def _counted(totals: Totals) -> str:
    return f"{totals.documents:,} documents, {totals.sentences:,} sentences, {totals.words:,} words, {totals.tokens:,} tokens"
