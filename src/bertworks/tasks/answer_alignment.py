"""Where a marked answer stands in its context: first the characters, then the tokens. What cannot be found has a reason."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from bertworks.batch import Array
from bertworks.data.question_examples import GoldAnswer

NEAR = 20
"""Characters by which a wrong answer_start may be off for the nearest place of the text to count as meant."""

REPAIRED = "an answer_start was wrong, and repaired: the text stands but once there"
WIDENED = "an answer begins or ends within a token, and was widened to whole tokens"
NARROWED = "an answer begins or ends with characters that no token holds, and was narrowed to its tokens"


class AnswerNotFoundError(ValueError):
    """An answer has no place in its context; the message is the reason."""


class Place(NamedTuple):
    """Where an answer was found."""

    first: int
    """First character, or token …"""
    last: int
    """… and the one after the last character, or the last token."""
    note: str | None = None
    """What had to be done for it."""


def place_in_text(context: str, answer: GoldAnswer) -> Place:
    """The characters of an answer, without white space around it.

    Where its text does not stand at its `start`, or none is given, it must be clear which place is meant: the only one
    within 20 characters, or the only one of all. Raises `AnswerNotFoundError` otherwise.

    >>> place_in_text("One by one.", GoldAnswer("one", 6))
    Place(first=7, last=10, note='an answer_start was wrong, and repaired: the text stands but once there')
    """
    text = answer.text.strip()
    start = None if answer.start is None else answer.start + len(answer.text) - len(answer.text.lstrip())
    if start is not None and context[start : start + len(text)] == text:
        return Place(start, start + len(text))
    found = occurrences(context, text)
    if not found:
        raise AnswerNotFoundError("an answer does not stand in its context")
    near = [place for place in found if start is not None and abs(place - start) <= NEAR]
    meant = near if len(near) == 1 else found
    if len(meant) > 1:
        which = "no answer_start says which is meant" if start is None else "its answer_start is at none of them"
        raise AnswerNotFoundError(f"an answer stands several times in its context, and {which}")
    return Place(meant[0], meant[0] + len(text), None if start is None else REPAIRED)


def occurrences(context: str, text: str) -> list[int]:
    """All places where a text begins, overlapping ones too.

    >>> occurrences("banana", "ana")
    [1, 3]
    """
    found, place = [], context.find(text)
    while place >= 0:
        found.append(place)
        place = context.find(text, place + 1)
    return found


def place_in_tokens(spans: Int[Array, "tokens 2"], first: int, last: int) -> Place:
    """The tokens that hold the characters from `first` to before `last`; `spans` are the tokens' own characters.

    Raises `AnswerNotFoundError` where no token holds any of them.

    >>> place_in_tokens(np.array([[0, 3], [4, 9], [9, 10]]), 4, 8)[:2]
    (1, 1)
    """
    inside = np.flatnonzero((spans[:, 1] > first) & (spans[:, 0] < last) & (spans[:, 1] > spans[:, 0]))
    if not len(inside):
        raise AnswerNotFoundError("an answer consists of characters that the tokenizer does not read")
    begin, end = int(spans[inside[0], 0]), int(spans[inside[-1], 1])
    note = WIDENED if begin < first or end > last else NARROWED if begin > first or end < last else None
    return Place(int(inside[0]), int(inside[-1]), note)
