"""`QuestionAnswerer`: from questions with answers in their contexts to a model that finds such answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from bertworks.accounting import Accounting
from bertworks.batch import PackedBatch
from bertworks.data.faults import OnBadRows
from bertworks.data.question_examples import QuestionExample
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.answers.assessment import Assessment, assess
from bertworks.estimators.answers.explanation import explain_answer
from bertworks.estimators.answers.rows import fitting, question_examples
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.taught_estimator import SHARE, TEMPERATURE, TaughtEstimator
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.explain import Explanation
from bertworks.inference import LoadedModel, score
from bertworks.nn.machine import MachineChoice
from bertworks.tasks.question_answering import MOST_CANDIDATES, Answer, QuestionAnswering
from bertworks.tasks.question_windows import HEAD, LostAnswer
from bertworks.tasks.span_search import Spans
from bertworks.tokenization import Tokenizer
from bertworks.training.progress import Progress

QUESTIONS_AT_ONCE = 512
"""Questions that are answered together: memory does not grow with the set."""


class QuestionAnswerer(TaughtEstimator):
    """Finds the words of a context that answer a question, or says that it has none.

    Parameters (besides every field of `TrainingConfig`: epochs, learning_rate, batch_size, patience, seed …):

    - `model`: a model folder, a hub name, or None for the default encoder;
    - `revision`: branch, tag or commit of a hub name;
    - `unanswerable`: whether a question may have no answer in its context; "auto" sees it from the training data;
    - `max_tokens`: longest sequence, None for the model's limit; a longer context is read whole, in overlapping windows;
    - `stride`: overlap of windows in tokens, None for a quarter of the room;
    - `max_answer_tokens`: longest answer that is given;
    - `new_tokens`: words to add to the vocabulary;
    - `teacher`: the folder or hub name of a finished model for the same task, of which its scores are learnt besides the labels, each
      softened by `temperature` (Hinton et al. 2015): `teacher_share` of the loss, 1 for the teacher alone;
    - `output`: a run folder for settings, log, checkpoints and the finished model; None writes nothing;
    - `progress`: whether the terminal shows what goes on; or who watches it instead.

    Learnt: `task_`, `accounting_` (what became of the training data), `lost_answers_` (answers that were not found, with the
    reason), `history_` (evaluations), `machine_` (device, precision … and why), `loading_report_`.

    >>> from bertworks import QuestionAnswerer
    >>> QuestionAnswerer(max_answer_tokens=20)
    QuestionAnswerer(max_answer_tokens=20)
    """

    settings_table = "answerer"
    _estimator_type: ClassVar[str] = "question_answerer"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        unanswerable: bool | Literal["auto"] = "auto",
        max_tokens: int | None = None,
        stride: int | None = None,
        max_answer_tokens: int = 30,
        new_tokens: Sequence[str] = (),
        teacher: str | Path | None = None,
        teacher_share: float = SHARE,
        temperature: float = TEMPERATURE,
        output: str | Path | None = None,
        progress: bool | Progress = True,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.model = model
        self.revision = revision
        self.unanswerable = unanswerable
        self.max_tokens = max_tokens
        self.stride = stride
        self.max_answer_tokens = max_answer_tokens
        self.new_tokens = new_tokens
        self.teacher = teacher
        self.teacher_share = teacher_share
        self.temperature = temperature
        self.output = output
        self.progress = progress

    # ---- training

    def fit(
        self,
        questions: Any,
        contexts: Any = None,
        answers: Any = None,
        *,
        validation: Any = None,
        on_bad_rows: OnBadRows = "error",
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains on questions, their contexts and their answers; or on `questions` alone, if that is a SQuAD file, a list of
        `QuestionExample`s or dictionaries, or whatever else `read_questions` reads.

        An answer is a text that stands once in its context, or a pair (text, first character), or a list of such; None, or
        an empty list, where the context has none. Answers that cannot be found are counted in `accounting_`, listed in
        `lost_answers_`, and not trained on; `on_bad_rows="drop"` leaves out questions that are too long as well.

        With `validation`, examples as here or a tuple of the three columns, it is evaluated as training goes on, the best
        model is kept, and the threshold and the probability of there being an answer are tuned on it. With `resume`, a run that
        was interrupted in `output` goes on, and ends in the same bits as one that was not.

        Raises `SettingsError` for wrong parameters, `DataError` for data that cannot be learnt from, `Interrupted`
        after Ctrl-C, once the state is saved.
        """
        self.training_config()  # says what is wrong before any text is looked at
        examples = question_examples(questions, contexts, answers, purpose="training", require_answers=True)
        if not examples:
            raise DataError("there are no questions to train on: give some, each with its context and its answer")
        held = None if validation is None else _columns(validation, "validation")
        task = self._task(examples, held)

        def encode_training(task: QuestionAnswering, tokenizer: Tokenizer) -> tuple[PackedBatch, Accounting]:
            encoded = task.encode(examples, tokenizer, targets=True, on_bad_rows=on_bad_rows)
            self.lost_answers_: list[LostAnswer] = encoded.lost
            if not encoded.batch.sequences:
                told = "; ".join(f"{count:,} × {reason}" for reason, count in encoded.accounting.dropped.items())
                raise DataError(f"none of {len(examples):,} questions can be learnt from: {told}")
            return encoded.batch, encoded.accounting

        def encode_validation(task: QuestionAnswering, tokenizer: Tokenizer) -> tuple[PackedBatch, Accounting]:
            encoded = task.encode(held or [], tokenizer, on_bad_rows=on_bad_rows)
            return encoded.batch, encoded.accounting

        return self._train(
            lambda limit: replace(task, max_tokens=self._limited(limit)),
            encode_training,
            rows=len(examples),
            validation=None if held is None else encode_validation,
            resume=resume,
            provenance=provenance,
        )

    def _task(self, examples: Sequence[QuestionExample], held: Sequence[QuestionExample] | None) -> QuestionAnswering:
        if self.unanswerable not in ("auto", True, False):
            raise SettingsError(f"unanswerable is True, False or 'auto', not {self.unanswerable!r}")
        unanswerable = any(not example.answerable for example in examples) if self.unanswerable == "auto" else bool(self.unanswerable)
        fitting(examples, unanswerable, "training")
        task = QuestionAnswering(
            unanswerable=unanswerable, stride=self.stride, max_answer_tokens=self.max_answer_tokens, references=tuple(held or ())
        )
        if task.contradictions():
            raise SettingsError("; ".join(task.contradictions()))
        return task

    def _finish(
        self, task: QuestionAnswering, loaded: LoadedModel, machine: MachineChoice, held_out: PackedBatch | None
    ) -> tuple[QuestionAnswering, dict[str, Any]]:
        """Tunes the threshold and the probability on held-out questions."""
        if held_out is not None:
            scores = score(loaded.model, held_out, device=machine.torch_device, token_budget=machine.token_budget)[HEAD]
            task = task.tuned(task.references, held_out, scores)
        return replace(task, references=()), {"threshold": task.threshold if task.unanswerable else None}

    def tune(self, questions: Any, contexts: Any = None, answers: Any = None) -> Self:
        """Tunes, on questions with and without answers, from when on there is no answer, and the probability of that.

        It makes a model give no answer where it sees none, even one that was loaded as one that always gives some. `fit`
        does this with its validation data. Raises `DataError` where questions of one kind are missing.
        """
        task: QuestionAnswering = replace(self._require("task_"), unanswerable=True)
        examples = question_examples(questions, contexts, answers, purpose="tuning", require_answers=True)
        if len({example.answerable for example in examples}) < 2:
            raise DataError("to tune, some questions must have an answer in their context and some must have none")
        batch = task.encode(examples, self.tokenizer_).batch
        self.task_ = task.tuned(examples, batch, self._scores(batch)[HEAD])
        return self

    # ---- use

    def answer(self, question: str, context: str) -> Answer:
        """The answer to one question: a span of the context, `context[answer.start:answer.end]`; see `Answer`."""
        return self.predict([question], [context])[0]

    def candidates(self, question: str, context: str, count: int = 5) -> list[Answer]:
        """The answer and, after it, the next best ones, with their scores; 20 at most."""
        found, _ = self.predict_with_accounting([question], [context])
        return found[0][:count]

    def predict(self, questions: Any, contexts: Any = None) -> list[Answer]:
        """An answer for each question; `contexts` are as many, or one string for all questions. `questions` may also be
        examples, or a source of such, which have contexts of their own."""
        return [candidates[0] for candidates in self.predict_with_accounting(questions, contexts)[0]]

    def predict_with_accounting(self, questions: Any, contexts: Any = None) -> tuple[list[list[Answer]], Accounting]:
        """All candidates for each question, the answer first, and what became of the texts."""
        task: QuestionAnswering = self._require("task_")
        examples, seen, out = question_examples(questions, contexts), Accounting(), []
        for rows, spans, accounting in self.spans(examples):
            out += [task.decide(found, examples[row].context) for row, found in zip(rows, spans, strict=True)]
            seen += accounting
        return out, seen

    def spans(
        self, examples: Sequence[QuestionExample], *, count: int = MOST_CANDIDATES, on_bad_rows: OnBadRows = "error", first_row: int = 0
    ) -> Iterator[tuple[list[int], list[Spans], Accounting]]:
        """The best spans of the questions, some questions at a time: their numbers, what was found, and what became of their texts.
        `first_row` is the number of the first question in messages.

        Raises `DataError` for a question that is too long, unless such are to be dropped.
        """
        task: QuestionAnswering = self._require("task_")
        for start in range(0, len(examples), QUESTIONS_AT_ONCE):
            some = examples[start : start + QUESTIONS_AT_ONCE]
            encoded = task.encode(some, self.tokenizer_, on_bad_rows=on_bad_rows, first_row=first_row + start)
            rows = (start + np.unique(encoded.batch.groups)).tolist()
            scores = self._scores(encoded.batch)[HEAD] if rows else np.zeros((0, 2))
            yield rows, list(task.spans(encoded.batch, scores, count=count)), encoded.accounting

    def evaluate(
        self,
        questions: Any,
        contexts: Any = None,
        answers: Any = None,
        *,
        intervals: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Exact match and F1, as shares, by the official definitions (`evaluation.squad`), with the accounting of the texts under
        `accounting`; the arguments are those of `fit`.

        With `intervals`, the 95 % confidence interval of each stands under `intervals`. Where some questions have no answer
        the definition is that of SQuAD v2.0, else v1.1. `progress` is called with the number of questions done since the last call.
        """
        found = self.assess(questions, contexts, answers, replicates=DEFAULT_REPLICATES if intervals else 0, mistakes=0, progress=progress)
        return {**found.metrics, "accounting": found.accounting.to_dict()}

    def assess(self, questions: Any, contexts: Any = None, answers: Any = None, **options: Any) -> Assessment:
        """Metrics, the worst mistakes and, on request, all answers; `options` are those of `assessment.assess`."""
        self._require("task_")
        examples = question_examples(questions, contexts, answers, purpose="evaluation", require_answers=True)
        if not examples:
            raise DataError("evaluation: there are no questions")
        return assess(self, examples, **options)

    def score(self, questions: Any, contexts: Any = None, answers: Any = None) -> float:
        """The F1 of the answers."""
        return float(self.evaluate(questions, contexts, answers, intervals=False)["f1"])

    def explain(
        self, question: str, context: str, *, target: str | None = None, window: int | None = None, baseline: BaselineName = "pad"
    ) -> Explanation:
        """Why the model gives this answer: attention maps, what each word of question and context adds to the scores of the
        answer's first and last token, and whether that is faithful. All is computed when it is asked for.

        `target` is another text of the context to explain instead, "" for "no answer". `window` is the one whose attention is
        shown of a long context, by default that of the answer. `baseline` is what stands for no word where
        attributions begin: "pad", "mask" or "zero" (vectors). Raises `SettingsError` for a target or window that does not exist.
        """
        self._require("task_")
        return explain_answer(self, question, context, target=target, window=window, baseline=baseline)


def _columns(data: Any, purpose: str) -> list[QuestionExample]:
    """Examples of a tuple of columns, or of a source."""
    if isinstance(data, tuple) and len(data) == 3 and not isinstance(data[0], QuestionExample | Mapping):
        examples = question_examples(*data, purpose=purpose, require_answers=True)
    else:
        examples = question_examples(data, purpose=purpose, require_answers=True)
    if not examples:
        raise DataError(f"{purpose}: there are no questions")
    return examples
