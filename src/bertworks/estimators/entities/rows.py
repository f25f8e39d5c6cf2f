"""What users hand in, as the task takes it: sentences that are texts or lists of words, and their labels."""

from collections.abc import Iterable, Sequence
from typing import Any

from bertworks.data.tag_schemes import Convention, Scheme, Span, spans_of
from bertworks.data.tagged import entity_spans
from bertworks.errors import DataError
from bertworks.estimators.rows import plain_list
from bertworks.tasks.sentence_reading import Sentence, Truth


def sentence_rows(sentences: Any, first_row: int = 0) -> list[str | list[str]]:
    """Sentences as a list: texts, or lists of words. Raises `DataError` for one string, and where both kinds are mixed; `first_row` is
    the number of the first sentence in messages."""
    if isinstance(sentences, str):
        raise DataError("expected a list of texts or of lists of words, got one string: put it in a list, [text]")
    rows = [row if isinstance(row, str) else plain_list(row, "the words of a sentence") for row in plain_list(sentences, "sentences")]
    if len({isinstance(row, str) for row in rows}) > 1:
        raise DataError("some sentences are texts and some are lists of words: give one or the other")
    for number, row in enumerate(rows, first_row):
        wrong = None if isinstance(row, str) else next((word for word in row if not isinstance(word, str)), None)
        if wrong is not None:
            raise DataError(f"sentence {number}: a word is {wrong!r:.40} ({type(wrong).__name__}), not a text")
    return rows


def truth_rows(labels: Any, sentences: Sequence[str | list[str]], purpose: str) -> list[Truth]:
    """The labels of sentences. Raises `DataError` where they do not fit."""
    rows = plain_list(labels, "labels")
    if len(rows) != len(sentences):
        raise DataError(f"{purpose}: {len(sentences)} sentences but {len(rows)} rows of labels")
    if not rows:
        raise DataError(f"{purpose}: there are no sentences: give some, each with its labels")
    out = []
    for number, (row, sentence) in enumerate(zip(rows, sentences, strict=True)):
        if isinstance(sentence, str):
            try:
                out.append(Truth(None, entity_spans(None if row is None else plain_list(row, "entities"), sentence)))
            except ValueError as error:
                raise DataError(f"{purpose}: sentence {number}: {error}") from None
            continue
        tags = plain_list(row, "tags")
        if len(tags) != len(sentence):
            raise DataError(f"{purpose}: sentence {number} has {len(sentence)} words but {len(tags)} tags: give a tag for each word")
        wrong = next((tag for tag in tags if not isinstance(tag, str) or not tag), None)
        if wrong is not None:
            raise DataError(f"{purpose}: sentence {number}: a tag is {wrong!r:.40}, not a name such as B-PER")
        out.append(Truth(tags))
    return out


def readable(sentences: Iterable[str | list[str]]) -> list[Sentence]:
    """Sentences as the task takes them."""
    return [Sentence.of(sentence) for sentence in sentences]


def spans_in(row: Truth, scheme: Scheme, convention: Convention = "conlleval") -> list[Span]:
    """The labelled spans of a sentence, in words or in characters."""
    return sorted(row.spans or ()) if row.tags is None else spans_of(row.tags, scheme, convention)


def types_of(truth: Iterable[Truth], scheme: Scheme) -> list[str]:
    """The names of all labels that occur."""
    return list(dict.fromkeys(span.label for row in truth for span in spans_in(row, scheme)))
