"""How well a tokenizer fits texts: tokens a word, characters a token, what is unknown, which of its tokens are used."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from tokenizers import decoders

from bertworks.batch import Array
from bertworks.tokenization.bulk import BulkTokenizer
from bertworks.tokenization.encoding import SPECIAL
from bertworks.tokenization.tokenizer import Tokenizer
from bertworks.tokenization.word_counts import WordCounter

_TEXTS_AT_ONCE = 1024
_LOOKED_AT = 10_000_000
"""Characters of texts of which the words are looked at one by one, for examples."""
_MOST_LOOKED_AT = 20_000
_LONGEST = 12
_OF_EACH = 3
_MOST_PIECES = 5
_MOST_UNKNOWN = 12
_SPACE = "Ġ"
"""How a byte-level vocabulary writes a space."""


class CutWord(NamedTuple):
    """A word as a tokenizer cuts it."""

    word: str
    pieces: tuple[str, ...]
    times: int
    """How often the word was met."""


@dataclass(frozen=True)
class TextStatistics:
    """What a tokenizer makes of texts, special tokens not counted."""

    texts: int
    characters: int
    words: int
    """Words as people count them: what stands between white space."""
    tokens: int
    unknown_tokens: int
    tokens_used: int
    """Different tokens of the vocabulary that were met."""
    vocabulary: int
    """Tokens of the vocabulary that are not special."""
    longest: tuple[str, ...] = ()
    """The longest tokens that were met."""
    examples: tuple[CutWord, ...] = field(default=())
    """The most frequent words of two, three and more pieces."""
    unknown_words: tuple[CutWord, ...] = ()
    """The most frequent words that are unknown or partly so."""

    @property
    def tokens_per_word(self) -> float:
        return self.tokens / max(1, self.words)

    @property
    def characters_per_token(self) -> float:
        return self.characters / max(1, self.tokens)

    @property
    def unknown_share(self) -> float:
        """Share of the tokens that are unknown."""
        return self.unknown_tokens / max(1, self.tokens)

    @property
    def used_share(self) -> float:
        """Share of the vocabulary that was met."""
        return self.tokens_used / max(1, self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        shares = ("tokens_per_word", "characters_per_token", "unknown_share", "used_share")
        cuts = {name: [cut._asdict() for cut in getattr(self, name)] for name in ("examples", "unknown_words")}
        return asdict(self) | {name: round(getattr(self, name), 6) for name in shares} | cuts


def statistics_of_words(tokenizer: Tokenizer, counter: WordCounter) -> TextStatistics:
    """The statistics of the texts whose words were counted; the counter must split texts as the tokenizer does.

    Special tokens written out in a text count as the text they are made of. Words that the counter does not keep
    count as one unknown token each where the tokenizer has one, else not at all.
    """
    model, usage, examples = tokenizer._backend.model, Counter[int](), _Examples(tokenizer)
    for word, times in _by_frequency(counter.words):
        ids = [token.id for token in model.tokenize(word)]
        for number in ids:
            usage[number] += times
        examples.add(_readable(tokenizer, word), ids, times)
    if tokenizer.unknown_id is not None and not _is_byte_level(tokenizer):
        usage[tokenizer.unknown_id] += counter.too_long
    return _statistics(tokenizer, counter.texts, counter.characters, counter.space_separated_words, usage, examples)


def statistics_of_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> TextStatistics:
    """The statistics of texts, which are taken one by one and not kept. Examples are of the first ten million characters.

    >>> from bertworks.tokenization.training import TokenizerSettings, train_tokenizer
    >>> tokenizer = train_tokenizer(["hug hug hugs", "pug pun bun"], TokenizerSettings(vocabulary_size=18)).tokenizer
    >>> found = statistics_of_texts(tokenizer, ["Hugs bug!"])
    >>> found.tokens_per_word, found.unknown_tokens, found.examples[0].pieces
    (2.5, 1, ('hug', '##s'))
    """
    tokenize = BulkTokenizer(tokenizer)
    rows, waiting = 0, iter(texts)
    usage: Int[Array, "vocabulary"] = np.zeros(tokenizer.vocabulary_size, dtype=np.int64)
    characters = words = 0
    seen: Counter[str] = Counter()
    while batch := list(islice(waiting, _TEXTS_AT_ONCE)):
        rows += len(batch)
        usage += np.bincount(tokenize(batch).ids, minlength=len(usage))
        for text in batch:
            parts = text.split()
            words += len(parts)
            if characters < _LOOKED_AT:
                seen.update(parts)
            characters += len(text)
    before, examples = " " if _is_byte_level(tokenizer) else "", _Examples(tokenizer)
    for word, times in _by_frequency(seen)[:_MOST_LOOKED_AT]:
        encoding = tokenizer.encode(before + word)
        examples.add(word, encoding.ids[encoding.sequence_ids != SPECIAL].tolist(), times)
    counts = Counter({int(number): int(usage[number]) for number in np.flatnonzero(usage)})
    return _statistics(tokenizer, rows, characters, words, counts, examples)


class _Examples:
    """The first words of two pieces, of three and so on, and the first unknown ones, of words that come by frequency."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._by_number: dict[int, list[CutWord]] = {number: [] for number in range(2, _MOST_PIECES + 1)}
        self.unknown: list[CutWord] = []

    def add(self, word: str, ids: list[int], times: int) -> None:
        if self._tokenizer.unknown_id in ids:
            place, most = self.unknown, _MOST_UNKNOWN
        elif len(ids) > 1 and any(character.isalpha() for character in word):
            place, most = self._by_number[min(len(ids), _MOST_PIECES)], _OF_EACH
        else:
            return
        if len(place) < most:
            pieces = (_readable(self._tokenizer, self._tokenizer.id_to_token(number) or "") for number in ids)
            place.append(CutWord(word, tuple(pieces), times))

    @property
    def cut(self) -> tuple[CutWord, ...]:
        return tuple(one for some in self._by_number.values() for one in some)


def _by_frequency(words: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(words.items(), key=lambda item: (-item[1], item[0]))


def _statistics(tokenizer: Tokenizer, texts: int, characters: int, words: int, usage: Counter[int], examples: _Examples) -> TextStatistics:
    used = [number for number, count in usage.items() if count and number not in tokenizer.special_ids]
    names = (_readable(tokenizer, tokenizer.id_to_token(number) or "") for number in used)
    return TextStatistics(
        texts=texts,
        characters=characters,
        words=words,
        tokens=usage.total(),
        unknown_tokens=0 if tokenizer.unknown_id is None else usage[tokenizer.unknown_id],
        tokens_used=len(used),
        vocabulary=tokenizer._backend.get_vocab_size(with_added_tokens=True) - len(tokenizer.special_ids),
        longest=tuple(sorted(names, key=lambda name: (-len(name.removeprefix("##")), name))[:_LONGEST]),
        examples=examples.cut,
        unknown_words=tuple(examples.unknown),
    )


def _readable(tokenizer: Tokenizer, token: str) -> str:
    """A token or word as people read it: that of a byte-level vocabulary as text with `Ġ` for a space, where its bytes are text."""
    if not _is_byte_level(tokenizer) or token.isascii():
        return token
    text = str(decoders.ByteLevel().decode([token]))
    if "\ufffd" in text or not text.isprintable():
        return token
    return _SPACE + text[1:] if text.startswith(" ") else text


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    return isinstance(tokenizer._backend.decoder, decoders.ByteLevel)
