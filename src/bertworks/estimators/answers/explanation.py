"""Explanations of answers: what the words of question and context add to the scores of that very span."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.data.question_examples import QuestionExample
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.explanation import BaselineName, resolve_baseline
from bertworks.explain import Answer as Explained
from bertworks.explain import Explanation, Question, Reading, Target, Term
from bertworks.explain.question import ORIGINAL_TOKEN
from bertworks.tasks import Scores
from bertworks.tasks.answer_alignment import AnswerNotFoundError, occurrences, place_in_tokens
from bertworks.tasks.question_answering import Answer, QuestionAnswering
from bertworks.tasks.question_windows import CHARACTERS, HEAD
from bertworks.tasks.span_search import NOWHERE, Spans

if TYPE_CHECKING:
    from bertworks.estimators.answers.answerer import QuestionAnswerer

NO_ANSWER = "no answer"
_SHOWN = 5
"""Candidates that are told beside the answer."""


def explain_answer(
    answerer: "QuestionAnswerer",
    question: str,
    context: str,
    *,
    target: str | None = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    **options: Any,
) -> Explanation:
    """See `QuestionAnswerer.explain`; `options` are those of `Explanation` (`tolerance`, `progress`)."""
    task: QuestionAnswering = answerer.task_
    machine, tokenizer, model = answerer.machine_, answerer.tokenizer_, answerer.loaded_.model
    stands_for_nothing = resolve_baseline(tokenizer, baseline)
    if not isinstance(question, str) or not isinstance(context, str):
        raise DataError("an answer is explained by its question and its context: give two strings")
    batch = task.encode([QuestionExample(question, context)], tokenizer).batch
    (windows,) = tokenizer.encode_batch([question], [context], max_tokens=task.max_tokens, stride=task.stride)
    reading = Reading.of([question, context], windows)
    if not any(word.part == 1 for word in reading.words):
        raise DataError("the context has no word: there is nothing to explain")
    model.to(machine.torch_device).compute_in(machine.dtype)
    scores = answerer._scores(batch)[HEAD]
    (spans,) = task.spans(batch, scores)
    candidates = task.decide(spans, context)
    first, last = _chosen(task, spans, batch, scores, context, target)
    text = (
        NO_ANSWER
        if first in batch.offsets[:-1]
        else context[batch.token_targets[CHARACTERS][first, 0] : batch.token_targets[CHARACTERS][last, 1]]
    )
    sequence = int(np.searchsorted(batch.offsets, first, side="right")) - 1
    return Explanation(
        model,
        machine,
        reading,
        answer=Explained(candidates[0].text or NO_ANSWER, _shares(candidates[:_SHOWN])),
        question=_question(text, first, last, sequence, batch),
        baseline=stands_for_nothing,
        window=sequence if window is None else window,
        **options,
    )


def _shares(candidates: Sequence[Answer]) -> dict[str, float]:
    """The score of each text; of a text at several places that of the best."""
    found: dict[str, float] = {}
    for each in candidates:
        found.setdefault(each.text or NO_ANSWER, each.score)
    return found


def _chosen(
    task: QuestionAnswering, spans: Spans, batch: PackedBatch, scores: Float[Array, "tokens 2"], context: str, target: str | None
) -> tuple[int, int]:
    """First and last token, over the whole batch, of the span that is explained; the first of a window for "no answer"."""
    if target is None and not task.is_none(spans):
        return int(spans.tokens[0, 0]), int(spans.tokens[0, 1])
    if target is None or target in ("", NO_ANSWER):
        return spans.no_answer_token, spans.no_answer_token
    characters = batch.token_targets[CHARACTERS]
    found: list[tuple[float, int, int]] = []
    for begin in occurrences(context, target):
        for start, stop in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
            inside = start + np.flatnonzero(characters[start:stop, 0] != NOWHERE)
            try:
                place = place_in_tokens(characters[inside], begin, begin + len(target))
            except AnswerNotFoundError:
                continue
            first, last = int(inside[place.first]), int(inside[place.last])
            whole = characters[first, 0] <= begin and begin + len(target) <= characters[last, 1]
            if whole:
                found.append((float(scores[first, 0] + scores[last, 1]), first, last))
    if not found:
        raise SettingsError(f"the context has no '{target:.60}' that a window holds whole: name a text as it stands there, or leave it out")
    return max(found)[1:]


def _question(text: str, first: int, last: int, sequence: int, batch: PackedBatch) -> Question:
    start = int(batch.offsets[sequence])
    terms = (Term(sequence, 0, row=first - start), Term(sequence, 1, row=last - start))
    return Question(
        name=text,
        score=f"the scores of the first and the last token of '{text:.40}', summed",
        quantity=f"P('{text:.40}')",
        target=Target(HEAD, terms),
        confidence=lambda scores, variants: _probabilities(scores, variants, batch, sequence, first, last),
    )


def _probabilities(
    scores: Scores, variants: PackedBatch, batch: PackedBatch, sequence: int, first: int, last: int
) -> Float[Array, "groups"]:
    """The probability that the answer goes from token `first` to `last`, by softmax over the tokens of the context and the first of the
    window, in each shortened variant of it; 0 where one of the two is gone."""
    tokens = variants.token_targets[ORIGINAL_TOKEN]
    out = []
    for number in np.flatnonzero((np.arange(variants.sequences) % batch.sequences) == sequence):
        here = slice(int(variants.offsets[number]), int(variants.offsets[number + 1]))
        allowed = batch.token_targets[CHARACTERS][tokens[here], 0] != NOWHERE
        allowed[0] = True
        share = 1.0
        for column, token in enumerate((first, last)):
            values = np.where(allowed, scores[HEAD][here, column].astype(np.float64), -np.inf)
            powers = np.exp(values - values.max())
            share *= float(powers[tokens[here] == token].sum() / powers.sum())
        out.append(share)
    return np.array(out)
