"""Counting the words of texts of any size: what a tokenizer is trained on."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from tokenizers import Tokenizer as Backend
from tokenizers import pre_tokenizers

from bertworks.tokenization.encoding import WHITE_SPACE

MOST_WORDS = 2_000_000
"""Different words that are kept; about a gigabyte while merges are learnt."""
LONGEST_WORD = 1_000
"""Characters (bytes, for a byte-level tokenizer) of the longest word that is kept."""
_MOST_RUNS = 500_000
_MOST_CHARACTERS = 1 << 27
_SPACE = "".join(map(chr, WHITE_SPACE.tolist()))
_RUN = re.compile(f"[{_SPACE}]*[^{_SPACE}]+|[{_SPACE}]+")


class WordCounter:
    """Counts words as a tokenizer makes them of a text, by its own cleaning and splitting.

    Texts are first split where every tokenizer of the family ends a word: at spaces, and for a byte-level one
    between a word and white space behind it. What is between is counted as it is; only the different ones are cleaned
    and split further. The result is the same as for whole texts. Where there are more than `most_words` different words
    at a time, the rarest are forgotten, so that memory stays bounded; `forgotten` says how much that was.

    >>> from bertworks.tokenization.families import wordpiece
    >>> counter = WordCounter(wordpiece({"[UNK]": 0}, {}, lower_case=True))
    >>> counter.add(["A dog, a Dog"])
    >>> counter.words
    {'a': 2, 'dog': 2, ',': 1}
    """

    def __init__(self, backend: Backend, special_tokens: Iterable[str] = (), most_words: int = MOST_WORDS) -> None:
        """Takes the normalizer and the pre-tokenizer of `backend`: BERT's, or a byte-level one with or without a normalizer."""
        self._normalize: Callable[[str], str] = str if backend.normalizer is None else backend.normalizer.normalize_str
        self._split = backend.pre_tokenizer.pre_tokenize_str
        self._byte_level = isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel)
        self._special_tokens = tuple(special_tokens)
        self._most_words = most_words
        self._runs: Counter[str] = Counter()
        self._pending = 0
        self._words: dict[str, int] = {}
        self.texts = 0
        self.characters = 0
        self.texts_with_special_tokens = 0
        """Texts in which a special token is written out."""
        self._space_separated = 0
        self._too_long = 0
        self._forgotten = 0

    def add(self, texts: Iterable[str]) -> None:
        """Counts the words of texts, which are independent of each other."""
        for text in texts:
            self.texts += 1
            self.characters += len(text)
            self._pending += len(text)
            if any(token in text for token in self._special_tokens):
                self.texts_with_special_tokens += 1
            if self._byte_level:
                self._runs.update(_RUN.findall(self._normalize(text)))
            else:
                self._runs.update(text.split(" "))
            if len(self._runs) > _MOST_RUNS or self._pending > _MOST_CHARACTERS:
                self._settle()

    @property
    def words(self) -> dict[str, int]:
        """How often each word was seen, in the form that the tokenizer's model gets it."""
        self._settle()
        return self._words

    @property
    def space_separated_words(self) -> int:
        """Words as people count them: what stands between white space."""
        self._settle()
        return self._space_separated

    @property
    def too_long(self) -> int:
        """Words of more than `LONGEST_WORD` characters, which are not among the words."""
        self._settle()
        return self._too_long

    @property
    def forgotten(self) -> int:
        """How often words were seen that are not among the words any more, because they were the rarest of too many."""
        self._settle()
        return self._forgotten

    def _settle(self) -> None:
        """Makes words of the runs counted so far."""
        words = self._words
        for run, count in self._runs.items():
            self._space_separated += count * len(run.split())
            for word, _ in self._split(run if self._byte_level else self._normalize(run)):
                if len(word) <= LONGEST_WORD:
                    words[word] = words.get(word, 0) + count
                else:
                    self._too_long += count
        self._runs.clear()
        self._pending = 0
        if len(words) > self._most_words:
            self._forget_the_rarest()

    def _forget_the_rarest(self) -> None:
        """Leaves half as many different words as may be kept, or fewer: those that were met more often than the rest."""
        half = self._most_words // 2
        order = sorted(self._words.items(), key=lambda item: (-item[1], item[0]))
        least = order[half][1]
        kept = {word: count for word, count in order[:half] if count > least} or dict(order[:half])
        self._forgotten += sum(self._words.values()) - sum(kept.values())
        self._words = kept
