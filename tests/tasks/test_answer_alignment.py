"""Where marked answers are: by characters, with wrong places repaired where that is safe, and by tokens."""

import numpy as np
import pytest

from bertworks.data.question_examples import GoldAnswer
from bertworks.tasks.answer_alignment import NARROWED, REPAIRED, WIDENED, AnswerNotFoundError, place_in_text, place_in_tokens

TEXT = "It rained at noon, and it rained at four. The snow came at four, too."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (GoldAnswer("noon", 13), (13, 17, None)),
        (GoldAnswer(" noon, ", 12), (13, 18, None)),
        (GoldAnswer("noon", 15), (13, 17, REPAIRED)),  # near it, and the only one
        (GoldAnswer("noon", 60), (13, 17, REPAIRED)),  # far off, but the only one of all
        (GoldAnswer("rained", 4), (3, 9, REPAIRED)),  # two, but one alone is near
        (GoldAnswer("snow"), (46, 50, None)),  # no place told, and none needed
    ],
)
def test_characters(answer: GoldAnswer, expected: tuple[int, int, str | None]) -> None:
    found = place_in_text(TEXT, answer)
    assert tuple(found) == expected
    assert TEXT[found.first : found.last] == answer.text.strip()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GoldAnswer("hail", 3), "does not stand in its context"),
        (GoldAnswer("Noon", 13), "does not stand in its context"),  # another case is another text
        (GoldAnswer("at four"), "several times in its context, and no answer_start says which"),
        (GoldAnswer("rained", 60), "several times in its context, and its answer_start is at none"),
        (GoldAnswer("rained", 16), "several times"),  # both are near
    ],
)
def test_what_is_lost_has_a_reason(answer: GoldAnswer, reason: str) -> None:
    with pytest.raises(AnswerNotFoundError, match=reason):
        place_in_text(TEXT, answer)


SPANS = np.array([[0, 3], [3, 5], [6, 10], [10, 11]])


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 3, (0, 0, None)),
        (3, 11, (1, 3, None)),
        (1, 3, (0, 0, WIDENED)),
        (4, 8, (1, 2, WIDENED)),
        (5, 10, (2, 2, NARROWED)),  # a character that no token holds
    ],
)
def test_tokens(first: int, last: int, expected: tuple[int, int, str | None]) -> None:
    assert tuple(place_in_tokens(SPANS, first, last)) == expected


def test_characters_of_no_token() -> None:
    with pytest.raises(AnswerNotFoundError, match="does not read"):
        place_in_tokens(SPANS, 5, 6)
