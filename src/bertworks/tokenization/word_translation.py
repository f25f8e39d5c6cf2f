"""From the tokens of one tokenizer to those of another, word by word: how a model learns from one with another vocabulary."""

import numpy as np
from jaxtyping import Bool, Int

from bertworks.batch import Array
from bertworks.errors import DataError
from bertworks.tokenization.tokenizer import Tokenizer

_MOST_REMEMBERED = 200_000
"""Words that are remembered before all are forgotten: about 60 MB."""


class WordTranslation:
    """Translates packed tokens of `source` into tokens of `target`, and keeps which word each came from.

    A word is spelled as `source` decodes it, and tokenized by `target` as if it stood alone; words are remembered, so that
    text costs a look-up a word. What `target` makes nothing of (a control character) is its unknown token.
    """

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
        """Raises `DataError` where `target` has no special tokens to put around a text, or none for what it does not know."""
        if target.cls_id is None or target.sep_id is None or target.unknown_id is None:
            raise DataError("a teacher's tokenizer needs special tokens for the beginning, the end and the unknown ([CLS], [SEP], [UNK])")
        self._source, self._target = source, target
        target.warns_of_scripts = False  # a foreign name in a text is no foreign text
        self._start, self._end, self._unknown = target.cls_id, target.sep_id, target.unknown_id
        self._words: dict[bytes, Int[Array, "pieces"]] = {}

    def word(self, ids: Int[Array, "pieces"]) -> Int[Array, "pieces"]:
        """The tokens of `target` for one word, given as tokens of `source`; at least one."""
        key = ids.tobytes()
        found = self._words.get(key)
        if found is None:
            text = self._source.decode(ids, skip_special_tokens=False).strip()
            inner = self._target.encode(text).ids[1:-1]
            found = np.array(inner if len(inner) else [self._unknown], dtype=np.int64)
            if len(self._words) >= _MOST_REMEMBERED:
                self._words.clear()
            self._words[key] = found
        return found

    def __call__(
        self, ids: Int[Array, "tokens"], begins: Bool[Array, "tokens"], texts: Int[Array, "tokens"], count: int, max_tokens: int
    ) -> "Translated":
        """Translates texts: `begins` marks the first token of each word, `texts` numbers the text of each token from 0 to
        `count` - 1, -1 for tokens of none (special ones). Each text gets special tokens around it. What is longer than
        `max_tokens` then is cut, and the words that are cut have no tokens.
        """
        of_text = texts >= 0
        starts = np.flatnonzero(begins & of_text)
        edges = np.append(np.flatnonzero(begins | ~of_text), len(ids))
        stops = edges[np.searchsorted(edges, starts, side="right")]
        words = [self.word(ids[a:b]) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        pieces = np.array([len(word) for word in words], dtype=np.int64)
        text_of_word = texts[starts]
        ends_within = _running_sums(pieces, text_of_word, count)
        kept = ends_within <= max_tokens - 2
        lengths = 2 + np.bincount(text_of_word[kept], weights=pieces[kept], minlength=count).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        word_starts = offsets[text_of_word] + 1 + ends_within - pieces
        out = np.empty(int(offsets[-1]), dtype=np.int64)
        out[offsets[:-1]], out[offsets[1:] - 1] = self._start, self._end
        for word, start in zip((w for w, k in zip(words, kept.tolist(), strict=True) if k), word_starts[kept].tolist(), strict=True):
            out[start : start + len(word)] = word
        return Translated(out, offsets, starts, stops, word_starts, np.where(kept, pieces, 0))


class Translated:
    """Texts in the tokens of another tokenizer, and where their words stand on both sides."""

    def __init__(
        self,
        ids: Int[Array, "target_tokens"],
        offsets: Int[Array, "texts_plus_one"],
        source_starts: Int[Array, "words"],
        source_stops: Int[Array, "words"],
        starts: Int[Array, "words"],
        pieces: Int[Array, "words"],
    ) -> None:
        self.ids = ids
        """Tokens of all texts, one text after the other, with the special tokens around each."""
        self.offsets = offsets
        """Where each text begins in `ids`; the last entry is their number."""
        self.source_starts, self.source_stops = source_starts, source_stops
        """The tokens of each word in the source."""
        self.starts, self.pieces = starts, pieces
        """The first token of each word in `ids`, and the number of its tokens: 0 where the text was cut before its end."""


def _running_sums(values: Int[Array, "words"], groups: Int[Array, "words"], count: int) -> Int[Array, "words"]:
    """Sums of the values of a group up to and with each; groups stand together and in order."""
    totals = np.cumsum(values)
    per_group = np.bincount(groups, weights=values, minlength=count).astype(np.int64)
    before = np.cumsum(per_group) - per_group
    sums: Array = totals - before[groups]
    return sums
