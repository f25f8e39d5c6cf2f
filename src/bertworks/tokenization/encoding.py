"""An encoded sequence: token ids as the model sees them, and where each token came from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from tokenizers import Encoding as BackendEncoding

from bertworks.batch import Array
from bertworks.errors import SettingsError
from bertworks.tokenization.windows import Selection

SPECIAL = -1
"""What stands for "no text", "no word" and "no token of a text" where a special token is."""

# The characters with Unicode's property White_Space, which is what the tokenizers library takes for white space.
WHITE_SPACE = np.array(
    [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000], np.uint32
)


class EncodedText:
    """One whole text as tokens, before special tokens and windows. All windows of a text share it.

    Spans and word numbers are made when first asked for; the library's own, larger object is let go then.
    """

    def __init__(self, text: str, encoding: BackendEncoding, offsets: bool, words_by_space: bool) -> None:
        self.ids: Int[Array, "text_tokens"] = np.array(encoding.ids, dtype=np.int64)
        self._text = text
        self._source: BackendEncoding | None = encoding if offsets else None
        self._words_by_space = words_by_space
        self._aligned: tuple[Int[Array, "text_tokens 2"], Int[Array, "text_tokens"]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def offsets(self) -> Int[Array, "text_tokens 2"]:
        """Span of each token in the text, in characters, without white space around it."""
        return self._align()[0]

    @property
    def word_ids(self) -> Int[Array, "text_tokens"]:
        """Number of the word that each token is a part of."""
        return self._align()[1]

    def _align(self) -> tuple[Int[Array, "text_tokens 2"], Int[Array, "text_tokens"]]:
        if self._aligned is None:
            if self._source is None:
                raise SettingsError("encoded with offsets=False, so without character spans and word numbers: encode with offsets=True")
            count = len(self)
            flat = np.fromiter(chain.from_iterable(self._source.offsets), dtype=np.int64, count=2 * count)
            characters = np.frombuffer(self._text.encode("utf-32-le"), dtype=np.uint32)
            space = np.isin(characters, WHITE_SPACE)
            offsets = without_outer_space(flat.reshape(count, 2), space)
            if self._words_by_space:
                words = space_separated_words(offsets, space)
            else:
                words = np.array([SPECIAL if word is None else word for word in self._source.word_ids], dtype=np.int64)
            self._aligned = offsets, words
            self._source = None
        return self._aligned


def without_outer_space(offsets: Int[Array, "text_tokens 2"], space: Array) -> Int[Array, "text_tokens 2"]:
    """Spans without the white space at their ends; a span of nothing but white space stays as it is.

    `space` says of each character of the text whether it is white space. Byte-level vocabularies count the space
    before a word to the word's first token, and libraries differ in whether its span does too.
    """
    if not space.any():
        return offsets
    places = np.arange(len(space), dtype=np.int64)
    next_solid = np.append(np.minimum.accumulate(np.where(space, len(space), places)[::-1])[::-1], len(space))
    last_solid_end = np.concatenate([[0], np.maximum.accumulate(np.where(space, 0, places + 1))])
    trimmed = np.stack([next_solid[offsets[:, 0]], last_solid_end[offsets[:, 1]]], axis=1)
    return np.where((trimmed[:, 0] < trimmed[:, 1])[:, None], trimmed, offsets)


def space_separated_words(offsets: Int[Array, "text_tokens 2"], space: Array) -> Int[Array, "text_tokens"]:
    """Word numbers for tokenizers that do not split a text into words themselves: words end at white space."""
    begins = ~space & np.concatenate([[True], space[:-1]]) if len(space) else space
    number = np.maximum(np.cumsum(begins) - 1, 0)
    return np.append(number, 0)[offsets[:, 0]].astype(np.int64)


class Piece(NamedTuple):
    """A run of tokens in a sequence: special tokens, or what is read of one of its texts."""

    text: int
    """0 for the first text, 1 for the second, -1 for special tokens."""
    segment: int
    length: int
    selection: Selection
    """Which tokens of the text; empty for special tokens."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """One sequence as the model sees it, special tokens included.

    What the model does not need is made when first asked for. All arrays are int64 and have one entry a token.
    """

    ids: Int[Array, "length"]
    """Token ids."""
    truncated_tokens: int
    """Tokens of the row's texts that stand in none of the row's sequences; 0 where it was read in windows."""
    pieces: tuple[Piece, ...] = field(repr=False)
    """What the sequence is put together from, in order."""
    texts: tuple[EncodedText, ...] = field(repr=False)
    """The row's whole texts."""
    unknown_id: int | None = field(repr=False)
    name_of: Callable[[int], str | None] = field(repr=False)
    """From an id to its token."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def segment_ids(self) -> Int[Array, "length"]:
        """0 for the first text, 1 for the second, as the tokenizer's family counts them (`token_type_ids`)."""
        return np.repeat(np.array([piece.segment for piece in self.pieces], dtype=np.int64), [piece.length for piece in self.pieces])

    @cached_property
    def sequence_ids(self) -> Int[Array, "length"]:
        """0 where the token is of the first text, 1 of the second, -1 where it is a special token."""
        return np.repeat(np.array([piece.text for piece in self.pieces], dtype=np.int64), [piece.length for piece in self.pieces])

    @cached_property
    def token_numbers(self) -> Int[Array, "length"]:
        """Number of each token within its own whole text, which is the same in all windows; -1 for special tokens."""
        out = np.full(len(self), SPECIAL, dtype=np.int64)
        place = 0
        for piece in self.pieces:
            at = place
            for start, end in piece.selection:
                out[at : at + end - start] = np.arange(start, end)
                at += end - start
            place += piece.length
        return out

    @cached_property
    def offsets(self) -> Int[Array, "length 2"]:
        """Span of each token in its own original text, in characters, without white space around it; (0, 0) for
        special tokens. Raises `SettingsError` where the texts were encoded with `offsets=False`."""
        out = np.zeros((len(self), 2), dtype=np.int64)
        for number, text in enumerate(self.texts):
            mask = self.sequence_ids == number
            out[mask] = text.offsets[self.token_numbers[mask]]
        return out

    @cached_property
    def word_ids(self) -> Int[Array, "length"]:
        """Number of each token's word within its own whole text, -1 for special tokens. Words are what the
        tokenizer splits a text into first. Raises `SettingsError` as `offsets` does."""
        out = np.full(len(self), SPECIAL, dtype=np.int64)
        for number, text in enumerate(self.texts):
            mask = self.sequence_ids == number
            out[mask] = text.word_ids[self.token_numbers[mask]]
        return out

    @cached_property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary writes them."""
        return [self.name_of(int(token)) or "" for token in self.ids]

    @cached_property
    def unknown_tokens(self) -> int:
        """Tokens of the texts that the vocabulary does not know."""
        if self.unknown_id is None:
            return 0
        return int(np.count_nonzero((self.ids == self.unknown_id) & (self.sequence_ids != SPECIAL)))


def best_places(windows: Sequence[Encoding]) -> list[tuple[int, int]]:
    """Every token of a row's first text once, in order: the window that shows most on the token's poorer side, and the token's
    place there."""
    best: dict[int, tuple[int, int, int]] = {}
    for number, window in enumerate(windows):
        for place in np.flatnonzero(window.sequence_ids == 0).tolist():
            shown, name = min(place, len(window) - 1 - place), int(window.token_numbers[place])
            if name not in best or shown > best[name][0]:
                best[name] = (shown, number, place)
    return [(number, place) for _, (_, number, place) in sorted(best.items())]
