"""One document, two that are compared, or one beside several, as a model reads them: windows, and the words of the original texts that
their tokens are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bertworks.batch import Array, PackedBatch
from bertworks.tokenization.encoding import SPECIAL, Encoding

PAIR = ("first text", "second text")
"""What texts are called that have no names of their own."""


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
    """The number of that text: 0 in the first, 1 in the second."""


@dataclass(frozen=True)
class Reading:
    """A text, or several, with all windows in which they are read: a pair in one, each text in windows of its own, or the first with
    each of the others."""

    texts: tuple[str, ...]
    windows: tuple[Encoding, ...]
    words: tuple[Word, ...]
    """All words that are read, in the order of the texts."""
    word_of_token: Int[Array, "tokens"]
    """Number of each token's word, over all windows in a row; -1 for special tokens."""
    batch: PackedBatch
    """The windows: those of a text, of a pair that is read in one or of a text beside others as one group, of texts that are read
    apart a group each."""
    texts_of_window: tuple[tuple[int, ...], ...]
    """The numbers of the texts that each window reads of."""
    names: tuple[str, ...]
    """What the texts are called."""

    @classmethod
    def of(cls, texts: Sequence[str], windows: Sequence[Encoding]) -> "Reading":
        """`windows` are the sequences of one row as `Tokenizer.encode_batch` makes them, with offsets."""
        return cls._of(texts, windows, [tuple(range(len(texts)))] * len(windows), [0] * len(windows))

    @classmethod
    def apart(
        cls,
        texts: Sequence[str],
        windows: Sequence[Sequence[Encoding]],
        prompts: Sequence[int] | None = None,
        targets: Mapping[str, Array] | None = None,
    ) -> "Reading":
        """Texts that are read each by itself. `windows` are the sequences of each; its first so many characters `prompts` are none
        of the text's own: their tokens count as special ones. `targets` are those of the batch, which the model needs."""
        text_of_window = [number for number, own in enumerate(windows) for _ in own]
        texts_of_window, flat = [(number,) for number in text_of_window], [window for own in windows for window in own]
        return cls._of(texts, flat, texts_of_window, text_of_window, [0 if not prompts else prompts[n] for n in text_of_window], targets)

    @classmethod
    def beside(cls, text: str, others: Sequence[str], windows: Sequence[Encoding], names: Sequence[str]) -> "Reading":
        """A text that is read with each of several others, in a window each. `names` are those of all the texts."""
        texts_of_window = [(0, number) for number in range(1, len(others) + 1)]
        return cls._of([text, *others], windows, texts_of_window, [0] * len(windows), names=names)

    @classmethod
    def _of(
        cls,
        texts: Sequence[str],
        windows: Sequence[Encoding],
        texts_of_window: Sequence[tuple[int, ...]],
        groups: Sequence[int],
        prompts: Sequence[int] = (),
        targets: Mapping[str, Array] | None = None,
        names: Sequence[str] = PAIR,
    ) -> "Reading":
        """`prompts` are the characters to skip at the beginning of each window's text."""
        spans: dict[tuple[int, int, int], tuple[int, int]] = {}
        keys: list[tuple[int, int, int] | None] = []
        for window, own, skipped in zip(windows, texts_of_window, prompts or [0] * len(windows), strict=True):
            rows = zip(window.sequence_ids, window.word_ids, window.token_numbers, window.offsets, strict=True)
            for part, word, token, (start, end) in rows:
                if part == SPECIAL or (skipped and end <= skipped):
                    keys.append(None)
                    continue
                begin, stop = max(0, int(start) - skipped), int(end) - skipped
                # a token that the tokenizer counts to no word is a word of its own
                key = (own[part], int(word), SPECIAL if word != SPECIAL else int(token))
                first, last = spans.get(key, (begin, stop))
                spans[key] = (min(first, begin), max(last, stop))
                keys.append(key)
        order = sorted(spans, key=lambda key: (key[0], spans[key], key))
        number = {key: i for i, key in enumerate(order)}
        return cls(
            texts=tuple(texts),
            windows=tuple(windows),
            words=tuple(Word(texts[key[0]][slice(*spans[key])], *spans[key], key[0]) for key in order),
            word_of_token=np.array([SPECIAL if key is None else number[key] for key in keys], dtype=np.int64),
            batch=PackedBatch.from_sequences([w.ids for w in windows], [w.segment_ids for w in windows], groups=groups, targets=targets),
            texts_of_window=tuple(texts_of_window),
            names=tuple(names[: len(texts)]),
        )

    @property
    def firsts(self) -> list[int]:
        """The first window of each text that is read by itself, or with the first one, and of what is read in one."""
        return np.unique([own[-1] for own in self.texts_of_window], return_index=True)[1].tolist()  # type: ignore[no-any-return]

    @property
    def special(self) -> Array:
        """True where a token is a special one, over all windows."""
        return np.asarray(self.word_of_token == SPECIAL)

    @property
    def truncated_tokens(self) -> int:
        """Tokens that are cut off; of a text beside others, where most are."""
        of_group: dict[int, int] = {}
        for first in self.firsts:
            group = int(self.batch.groups[first])
            cut = self.windows[first].truncated_tokens
            of_group[group] = max(cut, of_group.get(group, 0))
        return sum(of_group.values())

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
