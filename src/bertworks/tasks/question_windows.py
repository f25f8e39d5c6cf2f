"""Questions as the model reads them: windows of the context, each behind the whole question, and where the answers are in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from bertworks.accounting import Accounting
from bertworks.batch import Array, PackedBatch
from bertworks.data.faults import OnBadRows
from bertworks.data.question_examples import QuestionExample
from bertworks.errors import DataError
from bertworks.tasks.answer_alignment import AnswerNotFoundError, Place, place_in_text, place_in_tokens
from bertworks.tasks.span_search import NOWHERE
from bertworks.tasks.task import count_windows, window_weights
from bertworks.tokenization import Encoding, Tokenizer

HEAD = "answer"
"""The name of the head and of its targets."""
CHARACTERS = "characters"
"""The name of the tokens' places in the context among the token targets of a batch."""
TOO_LONG = "a question too long to be read beside its context"
_IGNORED = -100
_CHUNK = 500


@dataclass(frozen=True)
class LostAnswer:
    """An answer that training cannot use."""

    row: int
    """The question's number, from 0."""
    id: str
    answer: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))


@dataclass(frozen=True)
class EncodedQuestions:
    """Questions as the model reads them, and what became of them."""

    batch: PackedBatch
    accounting: Accounting
    lost: list[LostAnswer]
    """Every answer that was not found, with the reason."""


def encode_questions(
    examples: Sequence[QuestionExample],
    tokenizer: Tokenizer,
    *,
    max_tokens: int,
    stride: int | None = None,
    max_answer_tokens: int = 30,
    targets: bool = False,
    on_bad_rows: OnBadRows = "error",
    first_row: int = 0,
) -> EncodedQuestions:
    """The whole data set as one packed batch; question `i` is group `i`. `first_row` is the number of the first one in messages.

    With `targets` (training) each window marks the first answer that it holds whole, or "no answer" at its first token; a
    question whose answers are all lost is left out and counted. Without (use), the tokens' places in the context stand in
    the batch. Raises `DataError` for a question that leaves no room for its context, unless such are to be dropped.
    """
    packing, seen, lost = _Packing(targets), Accounting(rows=len(examples)), []
    never = f"an answer of more than {max_answer_tokens} tokens, longer than any that will be given"
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        questions, contexts = [example.question for example in chunk], [example.context for example in chunk]
        rows = tokenizer.encode_batch(questions, contexts, max_tokens=max_tokens, stride=stride, first_row=first_row + start)
        for row, windows in enumerate(rows, start):
            example = examples[row]
            if not _reads_question(windows):
                if on_bad_rows == "error":
                    raise _too_long(example.name if example.id else f"the question of row {first_row + row}", windows, max_tokens)
                seen.dropped[TOO_LONG] += 1
                continue
            places: list[Place] = []
            if targets:
                places, missing = _places(example, windows)
                lost += [LostAnswer(first_row + row, example.id, answer, reason) for answer, reason in missing]
                if example.answers and not places:
                    seen.dropped[missing[0][1]] += 1
                    continue
                notes = {place.note for place in places if place.note} | {never for p in places if p.last - p.first >= max_answer_tokens}
                seen.notes.update(notes | ({"an answer was lost, but another one was found"} if missing else set()))
            count_windows(seen, windows)
            packing.add(row, windows, places)
    return EncodedQuestions(packing.batch(), seen, lost)


def _too_long(where: str, windows: Sequence[Encoding], max_tokens: int) -> DataError:
    return DataError(
        f"{where} has {len(windows[0].texts[0]):,} tokens; of max_tokens={max_tokens:,} a question may take half, since its "
        'context is read in windows beside it: shorten it, raise max_tokens, or leave it out with on_bad_rows="drop" (--on-bad-rows drop)'
    )


class _Packing:
    """Sequences with their token targets, as they are made."""

    def __init__(self, targets: bool) -> None:
        self._targets = targets
        self._ids: list[Array] = []
        self._segments: list[Array] = []
        self._of_tokens: list[Array] = []
        self._groups: list[int] = []

    def add(self, row: int, windows: Sequence[Encoding], places: Sequence[Place]) -> None:
        for window in windows:
            begin, first, last = _context_part(window)
            here = slice(begin, begin + last - first)
            if self._targets:
                of_tokens = np.full((len(window), 2), _IGNORED, dtype=np.int8)
                of_tokens[here] = 0
                held = next((place for place in places if first <= place.first and place.last < last), None)
                ends = (0, 0) if held is None else (begin + held.first - first, begin + held.last - first)
                of_tokens[0] = 0
                of_tokens[ends, (0, 1)] = 1
            else:
                of_tokens = np.full((len(window), 2), NOWHERE, dtype=np.int32)
                of_tokens[here] = window.texts[1].offsets[first:last]
            self._ids.append(window.ids)
            self._segments.append(window.segment_ids)
            self._of_tokens.append(of_tokens)
            self._groups.append(row)

    def batch(self) -> PackedBatch:
        groups: Int[Array, "sequences"] = np.array(self._groups, dtype=np.int64)
        number = np.arange(len(groups)) - np.searchsorted(groups, groups)
        values = np.concatenate(self._of_tokens) if self._of_tokens else np.zeros((0, 2), dtype=np.int32)
        return PackedBatch.from_sequences(
            self._ids,
            self._segments,
            groups=groups,
            keys=(groups << 20) | number,
            targets={f"{HEAD}_weights": window_weights(groups)} if self._targets else {},
            token_targets={HEAD if self._targets else CHARACTERS: values},
        )


def _context_part(window: Encoding) -> tuple[int, int, int]:
    """Where the context begins in a window, and which of the context's tokens are read there: from the first to before the last."""
    place = 0
    for piece in window.pieces:
        if piece.text == 1:
            ((first, last),) = piece.selection
            return place, first, last
        place += piece.length
    return place, 0, 0


def _reads_question(windows: Sequence[Encoding]) -> bool:
    """Whether every window has the whole question."""
    whole = ((0, len(windows[0].texts[0])),)
    return all(piece.selection == whole for window in windows for piece in window.pieces if piece.text == 0)


def _places(example: QuestionExample, windows: Sequence[Encoding]) -> tuple[list[Place], list[tuple[str, str]]]:
    """The tokens of the context that each answer consists of, and the answers that were lost, with the reason."""
    places, lost = [], []
    parts = [_context_part(window)[1:] for window in windows]
    for answer in example.answers or ():
        try:
            in_text = place_in_text(example.context, answer)
            place = place_in_tokens(windows[0].texts[1].offsets, in_text.first, in_text.last)
            if not any(first <= place.first and place.last < last for first, last in parts):
                raise AnswerNotFoundError("an answer is held by no window whole")
            places.append(place._replace(note=in_text.note or place.note))
        except AnswerNotFoundError as error:
            lost.append((answer.text, str(error)))
    return places, lost
