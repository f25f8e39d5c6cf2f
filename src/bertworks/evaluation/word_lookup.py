"""The baseline of word labelling: each word gets the tag that it had most often in the training data."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from bertworks.data.tag_schemes import OUTSIDE, Scheme


class WordLookup:
    """A list of words with their most frequent tags, which knows nothing of what stands around a word.

    A word that was not seen gets "O", or, where tags are plain labels of words, the most frequent label.

    >>> lookup = WordLookup("IOB2")
    >>> lookup.add(["Rome", "is", "Rome"], ["B-LOC", "O", "B-LOC"])
    >>> lookup.tags(["Rome", "was"])
    ['B-LOC', 'O']
    """

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._all: Counter[str] = Counter()

    def add(self, words: Sequence[str], tags: Sequence[str]) -> None:
        """Learns a sentence."""
        for word, tag in zip(words, tags, strict=True):
            self._counts[word][tag] += 1
            self._all[tag] += 1

    def tags(self, words: Sequence[str]) -> list[str]:
        """The tags of a sentence. Of equally frequent ones the first seen."""
        usual = self._all.most_common(1)[0][0] if self.scheme == "words" and self._all else OUTSIDE
        return [self._counts[word].most_common(1)[0][0] if word in self._counts else usual for word in words]
