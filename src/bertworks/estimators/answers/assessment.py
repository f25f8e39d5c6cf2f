"""What a trained answerer is worth: metrics with intervals, its surest mistakes, and what answers without a model reach."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import TYPE_CHECKING, Any

from bertworks.accounting import Accounting
from bertworks.data.faults import OnBadRows
from bertworks.data.question_examples import QuestionExample
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.squad import AnswerMetrics, answer_scores, normalized
from bertworks.tasks.question_answering import Answer

if TYPE_CHECKING:
    from bertworks.estimators.answers.answerer import QuestionAnswerer

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_OVERLAP, _NOTHING = "sentence that shares most words with the question", "no answer, always"


@dataclass(frozen=True)
class Assessment:
    """What was found on a set of questions with answers."""

    metrics: dict[str, Any]
    """All metrics, with `intervals`."""
    accounting: Accounting
    mistakes: list[dict[str, Any]]
    """The worst mistakes, the worst first."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """Every question's id, answer and scores, where they were asked for."""


def assess(
    answerer: "QuestionAnswerer",
    examples: Sequence[QuestionExample],
    *,
    replicates: int = DEFAULT_REPLICATES,
    mistakes: int = 20,
    results: bool = False,
    on_bad_rows: OnBadRows = "error",
    progress: Callable[[int], None] | None = None,
) -> Assessment:
    """Evaluates a model, some questions at a time. The worst mistakes are the surest answers with an F1 of 0, or those that are
    missing where the model is surest that there is none. `progress` is called with the number of questions done since the
    last call. Questions that are too long are an error, or dropped and counted."""
    task = answerer.task_
    metrics = metrics_for(task.unanswerable, examples, replicates)
    seen, worst, told = Accounting(), [], []
    for rows, spans, accounting in answerer.spans(examples, on_bad_rows=on_bad_rows):
        task.count_rows(metrics, [examples[row] for row in rows], spans)
        for row, found in zip(rows, spans, strict=True):
            example = examples[row]
            answer = task.decide(found, example.context)[0]
            exact, f1 = answer_scores(answer.text, [right.text for right in example.answers or ()], metrics.version)
            if not f1 and not exact:
                worst.append(_mistake(row, example, answer))
            if results:
                told.append({"id": example.id, **answer.to_dict(), "exact_match": exact, "f1": f1})
        worst = sorted(worst, key=lambda mistake: (-mistake["confidence"], mistake["row"]))[:mistakes]
        seen += accounting
        if progress is not None:
            progress(accounting.rows)
    return Assessment(metrics.compute(), seen, worst, told)


def metrics_for(unanswerable: bool, examples: Sequence[QuestionExample], replicates: int) -> AnswerMetrics:
    """The metrics of SQuAD v2.0 where a question may have, or has, no answer; else those of v1.1."""
    some = unanswerable or any(not example.answerable for example in examples)
    return AnswerMetrics("2.0" if some else "1.1", replicates=replicates)


def _mistake(row: int, example: QuestionExample, answer: Answer) -> dict[str, Any]:
    """A mistake as reports show it."""
    right = " / ".join(dict.fromkeys(each.text for each in example.answers or ())) or "(no answer)"
    shown = {"row": row, "id": example.id, "text": example.question, "pair": _around(example.context, answer)}
    return {**shown, "label": right, "prediction": answer.text or "(no answer)", "confidence": answer.score}


def _around(context: str, answer: Answer, reach: int = 120) -> str:
    """The part of a context where an answer was taken from."""
    start, end = max(0, answer.start - reach), min(len(context), answer.end + reach)
    return ("…" if start else "") + context[start:end] + ("…" if end < len(context) else "")


def compare_with_baselines(examples: Sequence[QuestionExample]) -> dict[str, dict[str, Any]]:
    """What two answers without a model reach on the same questions, by name: the sentence of the context that shares most words
    with the question, rare ones counting more; and, where questions may have no answer, none at all."""
    texts = {_OVERLAP: nearest_sentences(examples)}
    if any(not example.answerable for example in examples):
        texts[_NOTHING] = [""] * len(examples)
    found = {}
    for name, predicted in texts.items():
        metrics = metrics_for(False, examples, replicates=0)
        metrics.update([[right.text for right in example.answers or ()] for example in examples], predicted)
        found[name] = metrics.compute()
    return found


def nearest_sentences(examples: Sequence[QuestionExample]) -> list[str]:
    """Of each context the sentence that shares most words with the question, a word counting the less the more contexts have
    it (1 / number of them); the first of equals."""
    contexts = Counter(word for context in {example.context for example in examples} for word in set(normalized(context).split()))

    def shared(sentence: str, question: set[str]) -> float:
        return fsum(1 / contexts[word] for word in question.intersection(normalized(sentence).split()))

    found = []
    for example in examples:
        question = set(normalized(example.question).split())
        found.append(max(_SENTENCE_END.split(example.context), key=lambda sentence: shared(sentence, question)))
    return found
