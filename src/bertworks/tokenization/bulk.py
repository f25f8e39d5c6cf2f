"""Tokens of very much text, fast: what a corpus is prepared with.

The families that split at spaces tokenize what stands between two spaces without regard to its surroundings. So each
such stretch is tokenized once and remembered: a hundred thousand of them make up nearly all of a language's text. For
every other tokenizer, and every text where this would not hold, the text is tokenized whole; the result is the same.
"""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt32

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError
from bertworks.tokenization.encoding import SPECIAL, EncodedText
from bertworks.tokenization.library import explained
from bertworks.tokenization.tokenizer import Tokenizer

_MOST_REMEMBERED = 400_000
"""Stretches that are remembered before all are forgotten."""
_MOST_CHARACTERS = 8_000_000
"""Characters of stretches that are remembered: twice those of so many words, and soon full where a language has no spaces."""
_FIRST, _WHOLE = "\ud800", "\ud801"
"""What marks the key of a stretch at the beginning of a text, where no space stands before it, and that of a whole
text. Halves of characters, which no text has."""
_LOCAL_NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}


class Tokens(NamedTuple):
    """Texts as tokens, one behind the other, without special tokens."""

    ids: UInt32[Array, "tokens"]
    word_starts: Bool[Array, "tokens"]
    """Whether each token begins a word, as the tokenizer sees words. The first token of a text does."""
    offsets: Int[Array, "texts_and_one"]
    """Where each text begins among the tokens; the last entry is their number."""


class BulkTokenizer:
    """Makes the token ids and the words of `Tokenizer.encode_batch`. What it remembers takes up to about 100 MB.

    Raises `SettingsError` for a tokenizer that does not cut equal texts equally (BPE dropout).

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "vocab.txt").write_text("[UNK]\\nthe\\ndog\\n##s\\n")
    ...     tokenize = BulkTokenizer(Tokenizer.load(folder))
    >>> tokens = tokenize(["The dogs", "", "the dog"])
    >>> tokens.ids.tolist(), tokens.word_starts.tolist(), tokens.offsets.tolist()
    ([1, 2, 3, 1, 2], [True, True, False, True, True], [0, 3, 3, 5])
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._backend = tokenizer._backend
        self._words_by_space = tokenizer._words_by_space
        description = json.loads(self._backend.to_str())
        if description["model"].get("dropout"):
            raise SettingsError('this tokenizer cuts words at random: set "dropout" to null in its tokenizer.json')
        splitter = description["pre_tokenizer"] or {}
        self.keeps_spaces = any(step["type"] == "ByteLevel" for step in splitter.get("pretokenizers", [splitter] if splitter else []))
        """Whether a word behind a space is another token than the same word without one (GPT-2, RoBERTa)."""
        self._spaces = _spaces(description)
        self._awkward = _awkward_tokens(description)
        if any(token["normalized"] for token in self._awkward):
            self._spaces = None  # what the normalizer may turn into such a token cannot be told beforehand
        self._forget()

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokenizes `texts`. Raises `DataError` where one has half a character in it."""
        keys: list[str] = []
        counts: list[int] = []
        for text in texts:
            if not text.isascii():
                _check(text)
            stretches = self._stretches(text)
            keys += stretches
            counts.append(len(stretches))
        numbers: Int[Array, "stretches"] = np.fromiter(map(self._known.__getitem__, keys), dtype=np.int64, count=len(keys))
        if self._known.new:
            self._learn()
        lengths = self._ends[numbers + 1] - self._ends[numbers]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        source = np.arange(ends[-1]) + np.repeat(self._ends[numbers] - ends[:-1], lengths)
        tokens = Tokens(self._ids[source], self._word_starts[source], ends[np.cumsum([0, *counts])])
        if len(self._known) > _MOST_REMEMBERED or self._known.characters > _MOST_CHARACTERS or self._spaces is None:
            self._forget()
        return tokens

    def _stretches(self, text: str) -> list[str]:
        if self._spaces is None or any(token["content"] in text for token in self._awkward):
            return [_WHOLE + text]
        if self._spaces == "dropped":
            return text.split(" ")
        stretches = text.split()
        before = " " if text[:1] == " " else ""
        if not stretches or before + " ".join(stretches) != text:
            return [_WHOLE + text]  # other white space, or more of it: runs of that are words of their own
        if not before:
            stretches[0] = _FIRST + stretches[0]
        return stretches

    def _forget(self) -> None:
        self._known = _Numbers()
        self._ids: UInt32[Array, "remembered"] = np.zeros(0, dtype=np.uint32)
        self._word_starts: Bool[Array, "remembered"] = np.zeros(0, dtype=bool)
        self._ends: Int[Array, "stretches_and_one"] = np.zeros(1, dtype=np.int64)

    def _learn(self) -> None:
        """Tokenizes the stretches that were met for the first time."""
        texts = [self._text(key) for key in self._known.new]
        self._known.new.clear()
        with explained(lambda reason: DataError(f"a text cannot be tokenized: {reason}")):
            encodings = self._backend.encode_batch(texts, add_special_tokens=False)
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.uint32)
        words: list[list[int]] = []
        for text, encoding in zip(texts, encodings, strict=True):
            if self._words_by_space:
                words.append(EncodedText(text, encoding, offsets=True, words_by_space=True).word_ids.tolist())
            else:
                words.append([SPECIAL if word is None else word for word in encoding.word_ids])
        starts = (word != before or word == SPECIAL for some in words for word, before in zip(some, [None, *some], strict=False))
        self._ids = np.concatenate([self._ids, ids])
        self._word_starts = np.concatenate([self._word_starts, np.fromiter(starts, dtype=bool, count=len(ids))])
        self._ends = np.concatenate([self._ends, self._ends[-1] + np.cumsum([len(some) for some in words])])

    def _text(self, key: str) -> str:
        if key[:1] in (_FIRST, _WHOLE):
            return key[1:]
        return " " + key if self._spaces == "kept" else key


class _Numbers(dict[str, int]):
    """Numbers keys in the order in which they are first asked for; `new` holds those to be learnt, `characters` is the length of
    all of them together."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []
        self.characters = 0

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        self.new.append(key)
        self.characters += len(key)
        return number


def _check(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"a text has a lone surrogate (half a character) at place {error.start}: {text[:60]!r}") from error


def _spaces(description: dict[str, Any]) -> str | None:
    """What becomes of a space between two words: it is dropped (BERT), kept at the beginning of the word behind it (GPT-2,
    RoBERTa), or, None, something else, so that texts cannot be split at spaces."""
    normalizer = description["normalizer"]
    steps = normalizer.get("normalizers", [normalizer]) if normalizer else []
    if any(step["type"] not in _LOCAL_NORMALIZERS for step in steps):
        return None
    splitter = description["pre_tokenizer"] or {}
    if splitter.get("type") == "BertPreTokenizer":
        return "dropped"
    return "kept" if splitter.get("type") == "ByteLevel" and splitter.get("use_regex", True) else None


def _awkward_tokens(description: dict[str, Any]) -> list[dict[str, Any]]:
    """Added tokens that reach over a space where a text has them, such as RoBERTa's `<mask>`, which takes the space before
    it. Tokens of two spaces and more are none of them: texts with such runs are tokenized whole anyway."""
    reaching = [token for token in description["added_tokens"] if token["lstrip"] or token["rstrip"] or " " in token["content"]]
    return [token for token in reaching if len(token["content"]) == 1 or not token["content"].isspace()]
