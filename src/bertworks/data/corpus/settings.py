"""The settings of a corpus's preparation."""

from dataclasses import dataclass
from typing import Literal, get_args

from bertworks.data.corpus.duplicates import Deduplicate
from bertworks.data.corpus.sentences import LineStyle
from bertworks.data.faults import OnBadRows
from bertworks.data.files import check_encoding
from bertworks.errors import SettingsError, nearest


@dataclass(frozen=True)
class PreparationSettings:
    """How text becomes a corpus."""

    lines: Literal["auto", LineStyle] = "auto"
    """What a line is: a sentence, a paragraph, or (wrapped) part of a text that was broken at a margin. auto looks at each file."""
    language: str = "en"
    """Language of the text, by its code (ISO 639), for splitting paragraphs into sentences."""
    text: str | None = None
    """The column of the text in JSONL, Parquet and CSV files; guessed where the guess is safe."""
    encoding: str = "utf-8"
    """Encoding of text files."""
    on_bad_rows: OnBadRows = "error"
    """Rows of a table that cannot be read or hold no text: stop, or drop and count them."""
    shard_tokens: int = 4_000_000
    """A shard ends with the document that brings it to so many tokens."""
    held_out: float = 0.005
    """Share of the documents that are kept out of training, drawn by a hash of their text."""
    deduplicate: Deduplicate = "none"
    """none, exact (the same text but for white space) or near (at least 80% of the runs of five words shared): of such
    documents the first is kept."""

    def __post_init__(self) -> None:
        choices = {"lines": ("auto", *get_args(LineStyle)), "deduplicate": get_args(Deduplicate), "on_bad_rows": get_args(OnBadRows)}
        problems = [
            f"{name} is one of {', '.join(kinds)}, not {value!r}.{nearest(str(value), kinds)}"
            for name, kinds in choices.items()
            if (value := getattr(self, name)) not in kinds
        ]
        if self.shard_tokens < 1:
            problems.append(f"shard_tokens is a number of tokens, at least 1, not {self.shard_tokens}")
        if not 0 <= self.held_out <= 0.5:
            problems.append(f"held_out is a share of the documents, from 0 to 0.5, not {self.held_out}")
        if not (self.language.isascii() and self.language.replace("-", "").isalnum()):
            problems.append(f"language is a code such as en, de or zh, not {self.language!r}")
        if problems:
            raise SettingsError("; ".join(problems))
        check_encoding(self.encoding)
