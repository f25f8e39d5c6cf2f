"""Extractive question answering: the words of a context that answer a question, or that there are none.

Question and context are one sequence; a context that is too long is read in overlapping windows, each with the whole
question before it. A head scores each token to be the answer's first and its last; the first token of the sequence stands
for "no answer in here" (Devlin et al. 2019, sections 4.2 and 4.3). The best span of all windows is the answer, unless "no answer"
is above it by more than a threshold, which is tuned on validation data.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.data.faults import OnBadRows
from bertworks.data.question_examples import QuestionExample
from bertworks.errors import DataError, SettingsError
from bertworks.evaluation.logistic import LogisticCurve, fit_logistic
from bertworks.evaluation.squad import AnswerMetrics, answer_scores
from bertworks.tasks.question_windows import CHARACTERS, HEAD, EncodedQuestions, encode_questions
from bertworks.tasks.span_search import Spans, best_spans
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.task import Scores
from bertworks.tokenization import Tokenizer

MOST_CANDIDATES = 20
"""Spans that share the probability: the n best of BERT's and the usual recipes."""
_SMOKE = (
    ("Who wound the clock?", "On the first of the month the porter wound the clock in the hall."),
    ("When does the ferry leave?", "The ferry leaves at noon, and returns at half past three if the wind allows it."),
    ("What is the bridge made of?", "Nobody in the village could say who had built the bridge, nor why."),
)


@dataclass(frozen=True)
class Answer:
    """What a context answers to a question. `context[start:end]` is the text; without an answer all three are empty: 0, 0, ""."""

    text: str
    """As it stands in the context."""
    start: int
    """First character …"""
    end: int
    """… and the one after the last."""
    score: float
    """Its share of the probability that the 20 best answers have, "no answer" among them where it may be one."""
    answerable: float
    """Probability that the context answers the question at all; 1 where the model takes every question to have an answer."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))


@dataclass(frozen=True)
class QuestionAnswering:
    """The settings of one answering problem, and its text side."""

    unanswerable: bool = False
    """Whether there are questions without an answer in their context, so that an answer may be empty (SQuAD v2.0)."""
    max_tokens: int = 512
    """Longest sequence, question and special tokens included."""
    stride: int | None = None
    """Overlap of neighbouring windows in tokens; None is a quarter of the room that the question leaves."""
    max_answer_tokens: int = 30
    """Longest answer, in tokens."""
    threshold: float = 0.0
    """There is no answer where its score is above the best span's by more than this."""
    slope: float = 1.0
    """The probability that there is an answer: the logistic function of slope · (best span - no answer) + intercept."""
    intercept: float = 0.0
    references: tuple[QuestionExample, ...] = field(default=(), compare=False, repr=False)
    """The questions on which a model is judged while it is trained, by the numbers of their groups. Not stored."""

    name = "question_answering"
    imitation = "token_divergence"
    pairs = True  # a row has two texts

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return {HEAD: ("question_answering", 2)}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        return {HEAD: ("token_choice", {})}

    # ---- from questions to a packed data set

    def encode(
        self,
        examples: Sequence[QuestionExample],
        tokenizer: Tokenizer,
        *,
        targets: bool = False,
        on_bad_rows: OnBadRows = "error",
        first_row: int = 0,
    ) -> EncodedQuestions:
        """The whole data set as one packed batch; question `i` is group `i`. See `question_windows.encode_questions`."""
        options: dict[str, Any] = {"max_tokens": self.max_tokens, "stride": self.stride, "max_answer_tokens": self.max_answer_tokens}
        return encode_questions(examples, tokenizer, targets=targets, on_bad_rows=on_bad_rows, first_row=first_row, **options)

    # ---- from scores to answers

    def spans(self, batch: PackedBatch, scores: Float[Array, "tokens 2"], count: int = MOST_CANDIDATES) -> Iterator[Spans]:
        """The best spans of each question of a batch without targets, in order."""
        places = batch.token_targets[CHARACTERS]
        return best_spans(scores, places, batch.offsets, batch.groups, longest=self.max_answer_tokens, count=count)

    def is_none(self, spans: Spans) -> bool:
        """Whether there is no answer."""
        return not len(spans.scores) or (self.unanswerable and spans.doubt > self.threshold)

    def decide(self, spans: Spans, context: str) -> list[Answer]:
        """The answer to a question, and after it the other candidates by their scores."""
        answerable = self.answerable(np.array([spans.doubt]))[0] if self.unanswerable else float(len(spans.scores) > 0)
        logits = np.append(spans.scores, spans.no_answer if self.unanswerable or not len(spans.scores) else -np.inf)
        shares = np.exp(logits - logits.max())
        shares = shares / shares.sum()
        found = [
            Answer(context[start:end], start, end, share, float(answerable))
            for (start, end), share in zip(spans.characters.tolist(), shares.tolist(), strict=False)
        ]
        if not self.unanswerable and found:
            return found
        none = Answer("", 0, 0, float(shares[-1]), float(answerable))
        if self.is_none(spans):
            return [none, *found]
        return [found[0], *sorted([none, *found[1:]], key=lambda answer: -answer.score)]

    def answerable(self, doubts: Float[Array, "rows"]) -> Float[Array, "rows"]:
        """Probability that there is an answer, given by how much "no answer" is above the best span."""
        return LogisticCurve(self.slope, self.intercept)(-np.nan_to_num(doubts, posinf=1e300))

    def tuned(self, examples: Sequence[QuestionExample], batch: PackedBatch, scores: Float[Array, "tokens 2"]) -> Self:
        """The same with the threshold that gives the best F1 on questions with answers, and the probability fitted to them.

        Where all questions have an answer, or none has, nothing can be tuned; questions that no span could answer do not count.
        """
        has: Array = np.array([examples[group].answerable for group in np.unique(batch.groups)], dtype=bool)
        if not self.unanswerable or has.all() or not has.any():
            return self
        spans = list(self.spans(batch, scores, count=1))
        f1 = [
            answer_scores(
                examples[group].context[slice(*found.characters[0])] if len(found.scores) else "", _texts(examples[group]), "2.0"
            )[1]
            for group, found in zip(np.unique(batch.groups).tolist(), spans, strict=True)
        ]
        doubts = np.array([found.doubt for found in spans])
        known = np.isfinite(doubts)
        if has[known].all() or not has[known].any():
            return self
        curve = fit_logistic(-doubts[known], has[known])
        threshold = best_doubt(np.array(f1)[known], has[known], doubts[known])
        return replace(self, threshold=threshold, slope=curve.slope, intercept=curve.intercept)

    # ---- metrics and settings

    def metrics(self, replicates: int = 0) -> AnswerMetrics:
        """Empty metrics, those of SQuAD v2.0 where there are questions without answers; see `AnswerMetrics`."""
        return AnswerMetrics("2.0" if self.unanswerable else "1.1", replicates=replicates)

    def update_metrics(self, metrics: AnswerMetrics, batch: PackedBatch, scores: Scores) -> None:
        numbers = np.unique(batch.groups).tolist()
        self.count_rows(metrics, [self.references[number] for number in numbers], list(self.spans(batch, scores[HEAD], count=1)))

    def count_rows(self, metrics: AnswerMetrics, examples: Sequence[QuestionExample], spans: Sequence[Spans]) -> None:
        """Adds questions with the spans that were found."""
        forced = [
            example.context[slice(*found.characters[0])] if len(found.scores) else ""
            for example, found in zip(examples, spans, strict=True)
        ]
        predicted = ["" if self.is_none(found) else text for found, text in zip(spans, forced, strict=True)]
        doubts = np.array([found.doubt for found in spans])
        metrics.update([_texts(example) for example in examples], predicted, forced, doubts if self.unanswerable else None)

    def settings(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "references"}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Raises `SettingsError` for settings that are not known, of a wrong type, or that cannot be."""
        if isinstance(settings, Mapping) and "references" in settings:
            raise SettingsError("question answering has no setting 'references'")
        task = from_stored(cls, settings, "question answering")
        if task.contradictions():
            raise SettingsError(f"question answering: {'; '.join(task.contradictions())}")
        return task

    def contradictions(self) -> list[str]:
        """What is wrong with the settings, in words; empty where all is well."""
        wrong = {
            "max_tokens is below 1": self.max_tokens < 1,
            "stride is below 0": self.stride is not None and self.stride < 0,
            "max_answer_tokens is below 1": self.max_answer_tokens < 1,
            "slope is below 0": self.slope < 0,
        }
        return [words for words, is_wrong in wrong.items() if is_wrong]

    def config_changes(self) -> dict[str, Any]:
        return {}

    def check_room(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_batch([], [], max_tokens=self.max_tokens, stride=self.stride)

    def smoke_inputs(self) -> list[Any]:
        return [list(pair) for pair in _SMOKE]

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """Start, end, score and answerability of each answer."""
        for value in inputs:
            if not (isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)):
                raise DataError(f"a case's input is {value!r:.60}, not a question and a context")
        examples = [QuestionExample(question, context) for question, context in inputs]
        batch = self.encode(examples, tokenizer).batch
        answers = [self.decide(found, e.context)[0] for found, e in zip(self.spans(batch, score(batch)[HEAD]), examples, strict=True)]
        return [[answer.start, answer.end, answer.score, answer.answerable] for answer in answers]


def best_doubt(f1: Float[Array, "rows"], has_answer: Array, doubts: Float[Array, "rows"]) -> float:
    """The threshold on the doubts that gives the best mean F1 (`evaluation.squad.best_threshold`), half way to the next doubt,
    so that rounding does not decide; one below the lowest, or above the highest, where all or none are in doubt.

    >>> best_doubt(np.array([1.0, 0.5, 0.0]), np.array([True, True, False]), np.array([-4.0, -1.0, 3.0]))
    1.0
    """
    order = np.argsort(doubts, kind="stable")
    ordered = doubts[order]
    gains = np.cumsum(np.where(has_answer, f1, -1.0)[order])  # of answering the questions up to this one
    ends = np.append(ordered[1:] > ordered[:-1], True)  # equal doubts are told apart by no threshold
    sums = np.append(0.0, np.where(ends, gains, -np.inf))
    edges = np.concatenate([[ordered[0] - 2], ordered, [ordered[-1] + 2]])
    best = int(sums.argmax())
    return float((edges[best] + edges[best + 1]) / 2)


def _texts(example: QuestionExample) -> list[str]:
    return [answer.text for answer in example.answers or ()]
