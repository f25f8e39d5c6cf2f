"""Documents as sentences, whatever their lines are: sentences, paragraphs, or text that was broken at a margin.

Paragraphs are split by `sentencex` (Wikimedia; the extra `corpus`). Of the libraries that are there for it, this is the one
that is kept up, knows some three hundred languages, needs nothing besides itself, and is fast: on 65 hard English texts of
our own (abbreviations, initials, quotations, decimals, lists) it was right on 56, as pysbd was (blingfire 57, nupunkt
58, syntok 53, segtok 47), on 24 in ten other languages on 20 (pysbd 19, blingfire 17, the others 12 and fewer), at three
million words a second, where pysbd does twenty thousand.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal
from unicodedata import east_asian_width

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.errors import MissingExtraError

LineStyle = Literal["sentences", "paragraphs", "wrapped"]
"""What a line is: a sentence; one or more whole sentences; or a part of a text that goes on in the next line."""

LONGEST_SENTENCE = 10_000
"""Characters of the longest sentence; a longer one, most likely no sentence at all, is cut."""

_BLOCK = 20_000
"""Characters that are split at once: the splitter's time grows with the square of a text's quotations."""
_SPACES = re.compile(r"[^\S ]")
_END = re.compile(r"""[.!?…。！？।॥؟۔։።᙮‼⁇⁈⁉]["'”’»›)\]」』】]*$""")
_INNER_END = re.compile(r"""\w{4}["'”’»)\]]*\s?[.!?…؟۔][.!?…"'”’»)\]]*\s+["'“‘«(\[¿¡]*(\w)|[。！？।](?!["'”’»)\]」』】]|$)""")
"""Where a sentence may end inside a line: behind a word that is too long for most abbreviations."""
_LONG, _SHORT = 40, 130
"""Characters: a text broken at a margin has no lines longer than the second, and most of at least the first."""


def line_style(documents: Iterable[str]) -> LineStyle:
    """What the lines of some documents are, by where sentences end.

    Lines that have few ends of sentences inside, and mostly one at their own end, are sentences. Lines of about the same
    length of which most do not end with a sentence were broken at a margin. All others are taken for paragraphs, which is
    safe: they are split where they hold several sentences.

    >>> line_style(["It rained.\\nThe cat slept.", "Nobody came."])
    'sentences'
    >>> line_style(["It rained. The cat slept.", "Nobody came. So what?"])
    'paragraphs'
    """
    texts = [[line.strip() for line in document.split("\n") if line.strip()] for document in documents]
    lines = [line for text in texts for line in text]
    if not lines:
        return "paragraphs"
    running = [line for text in texts for line in text[:-1]]  # the last line of a text ends anyhow
    lengths = _lengths(running)
    if len(running) >= 2 and np.median(lengths) >= _LONG and lengths.max() <= _SHORT:
        alike = (lengths >= 0.75 * np.percentile(lengths, 95)).mean()
        if alike > 0.6 and np.mean([bool(_END.search(line)) for line in running]) < 0.4:
            return "wrapped"
    # by characters, not by lines: a file of long paragraphs may have as many headings
    several = np.average([_ends_inside(line) for line in lines], weights=_lengths(lines))
    ended = np.average([bool(_END.search(line)) for line in lines], weights=_lengths(lines))
    return "sentences" if several < 0.1 and ended >= 0.6 else "paragraphs"


def _lengths(lines: Sequence[str]) -> Int[Array, "lines"]:
    return np.array([len(line) for line in lines], dtype=np.int64)


def _ends_inside(line: str) -> bool:
    """Whether a sentence seems to end in a line and another to begin there, with no small letter."""
    return any(found[1] is None or not found[1].islower() for found in _INNER_END.finditer(line))


class SentenceSplitter:
    """Splits texts of one language. Raises `MissingExtraError` where the library is not installed."""

    def __init__(self, language: str) -> None:
        try:
            import sentencex
        except ImportError:
            raise MissingExtraError.for_package("sentencex", "corpus", "text whose lines are no sentences") from None
        self._segment: Callable[[str, str], list[str]] = sentencex.segment
        self._language = language
        self.unsplit = 0
        """Texts that the library failed on; they were left whole."""

    def __call__(self, text: str) -> Iterator[str]:
        """The sentences of a paragraph, without white space around them."""
        # The library splits a text at two line feeds, and fails at an initial with a space that is no plain one.
        plain = _SPACES.sub(" ", text)
        start = 0
        while start < len(plain):
            lengths = self._lengths(plain[start : start + _BLOCK])
            if start + _BLOCK < len(plain) and len(lengths) > 1:
                lengths.pop()  # the last sentence of a block may go on in the next
            for length in lengths:
                sentence = text[start : start + length].strip()
                if sentence:
                    yield sentence
                start += length

    def _lengths(self, text: str) -> list[int]:
        try:
            return [len(sentence) for sentence in self._segment(self._language, text)]
        except BaseException as error:  # a panic of Rust is no Exception
            if type(error).__name__ != "PanicException":
                raise
            self.unsplit += 1
            return [len(text)]


def sentences_of(document: str, style: LineStyle, splitter: SentenceSplitter | None) -> Iterator[str]:
    """The sentences of a document, in order, none of them empty; `splitter` is needed unless lines are sentences.

    >>> list(sentences_of("It rained. \\n\\n The cat slept.", "sentences", None))
    ['It rained.', 'The cat slept.']
    """
    lines = [line for line in map(str.strip, document.split("\n")) if line]
    if style == "sentences":
        yield from lines
        return
    assert splitter is not None
    for paragraph in [joined(lines)] if lines and style == "wrapped" else lines:
        yield from splitter(paragraph)


def joined(lines: Sequence[str]) -> str:
    """Lines that were broken at a margin as one text. A word that was broken at a hyphen stays so: it may be one of two words.

    >>> joined(["The cat sat on the", "mat."]), joined(["今日は", "雨です。"])
    ('The cat sat on the mat.', '今日は雨です。')
    """
    return "".join(chain.from_iterable(zip(lines, [*map(space_behind, lines[:-1]), ""], strict=True)))


def space_behind(text: str) -> str:
    """What stands between a text and the one that follows it: a space, or nothing behind a wide character, as in Chinese."""
    return "" if east_asian_width(text[-1]) in "WF" else " "


def cut(sentence: str, longest: int = LONGEST_SENTENCE) -> list[str]:
    """A sentence of more than `longest` characters in parts, cut at spaces where there are some.

    >>> cut("some words here", 9)
    ['some', 'words', 'here']
    """
    parts, start = [], 0
    while len(sentence) - start > longest:
        space = sentence.rfind(" ", start + 1, start + longest + 1)
        end = space if space > start else start + longest
        parts.append(sentence[start:end].rstrip())
        start = end
        while sentence[start] == " ":
            start += 1
    return [*parts, sentence[start:]]
