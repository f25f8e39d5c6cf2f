"""One document as a model reads it: its windows, and the words of the original text that their tokens belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array, PackedBatch
from bertworks.tokenization.encoding import SPECIAL, Encoding


@dataclass(frozen=True)
class Word:
    """A word of a text: what the tokenizer splits the text into before it makes tokens."""

    text: str
    """As it stands in the original text."""
    start: int
    """Its first character in its own text …"""
    end: int
    """… and the one after its last."""
    part: int
    """0 in the first text, 1 in the second."""


@dataclass(frozen=True)
class Reading:
    """A text, or a pair of texts, with all windows in which it is read."""

    texts: tuple[str, ...]
    windows: tuple[Encoding, ...]
    words: tuple[Word, ...]
    """All words that are read, in the order of the texts."""
    word_of_token: Int[Array, "tokens"]
    """Number of each token's word, over all windows in a row; -1 for special tokens."""
    batch: PackedBatch
    """The windows, as one group."""

    @classmethod
    def of(cls, texts: Sequence[str], windows: Sequence[Encoding]) -> "Reading":
        """`windows` are the sequences of one row as `Tokenizer.encode_batch` makes them, with offsets."""
        spans: dict[tuple[int, int, int], tuple[int, int]] = {}
        keys: list[tuple[int, int, int] | None] = []
        for window in windows:
            rows = zip(window.sequence_ids, window.word_ids, window.token_numbers, window.offsets, strict=True)
            for part, word, token, (start, end) in rows:
                if part == SPECIAL:
                    keys.append(None)
                    continue
                # a token that the tokenizer counts to no word is a word of its own
                key = (int(part), int(word), SPECIAL if word != SPECIAL else int(token))
                begin, stop = spans.get(key, (int(start), int(end)))
                spans[key] = (min(begin, int(start)), max(stop, int(end)))
                keys.append(key)
        order = sorted(spans, key=lambda key: (key[0], spans[key], key))
        number = {key: i for i, key in enumerate(order)}
        return cls(
            texts=tuple(texts),
            windows=tuple(windows),
            words=tuple(Word(texts[key[0]][slice(*spans[key])], *spans[key], key[0]) for key in order),
            word_of_token=np.array([SPECIAL if key is None else number[key] for key in keys], dtype=np.int64),
            batch=PackedBatch.from_sequences([w.ids for w in windows], [w.segment_ids for w in windows], groups=[0] * len(windows)),
        )

    @property
    def special(self) -> Array:
        """True where a token is a special one, over all windows."""
        return np.asarray(self.word_of_token == SPECIAL)

    @property
    def truncated_tokens(self) -> int:
        """Tokens of the texts that no window reads."""
        return self.windows[0].truncated_tokens

    def by_word(self, of_tokens: Float[Array, "tokens"]) -> Float[Array, "words"]:
        """The sum over each word's tokens; a token that stands in several windows counts in each."""
        own = ~self.special
        return np.bincount(self.word_of_token[own], weights=of_tokens[own], minlength=len(self.words))

    def entries(self, window: int) -> tuple[list[str], Int[Array, "length"]]:
        """The words and special tokens of a window, in order, and for each of its tokens which of them it belongs to."""
        start, stop = self.batch.offsets[window : window + 2]
        words, tokens = self.word_of_token[start:stop].tolist(), self.windows[window].tokens
        numbers: dict[tuple[bool, int], int] = {}
        keys = [(word == SPECIAL, place if word == SPECIAL else word) for place, word in enumerate(words)]
        entry_of_token = [numbers.setdefault(key, len(numbers)) for key in keys]
        names = [tokens[number] if special else self.words[number].text for special, number in numbers]
        return names, np.array(entry_of_token, dtype=np.int64)

    def runs(self, part: int) -> list[tuple[str, int | None]]:
        """A text from its first character to its last, in runs: a word with its number, or what stands between words
        (white space, and whatever is not read) with None."""
        text, place = self.texts[part], 0
        out: list[tuple[str, int | None]] = []
        for number, word in enumerate(self.words):
            if word.part != part or word.end <= place:
                continue
            if word.start > place:
                out.append((text[place : word.start], None))
            out.append((text[max(place, word.start) : word.end], number))
            place = word.end
        return [*out, (text[place:], None)] if place < len(text) else out
