"""`EntityRecognizer`: from labelled words to a model that finds named entities, or gives every word a label."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.batch import Array, PackedBatch
from bertworks.data.tag_schemes import Scheme, checked_scheme, faults, guess_scheme
from bertworks.errors import SettingsError
from bertworks.estimators.assessment import Assessment
from bertworks.estimators.entities.assessment import assess
from bertworks.estimators.entities.explanation import explain_entity
from bertworks.estimators.entities.rows import readable, sentence_rows, truth_rows
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.rows import held_out_columns
from bertworks.estimators.stored_task import read_task
from bertworks.estimators.task_estimator import model_path
from bertworks.estimators.taught_estimator import SHARE, TEMPERATURE, TaughtEstimator
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.explain import Explanation
from bertworks.inference import LoadedModel
from bertworks.inference.engine import transitions_of
from bertworks.nn.machine import MachineChoice
from bertworks.tasks.sentence_reading import Reading, Truth
from bertworks.tasks.tagging import HEAD, Entity, Tagging, infer
from bertworks.tokenization import Overflow, Tokenizer
from bertworks.tokenization.words import joiners_of
from bertworks.training.progress import Progress

SENTENCES_AT_ONCE = 512
"""Sentences that are computed together: memory does not grow with the set."""

Sentences = Iterable[str] | Iterable[Sequence[str]]


@dataclass(frozen=True)
class Loss:
    """A labelled span that a model which learnt its row perfectly would not give back."""

    row: int
    label: str
    text: str
    """The words, as they stand in the data."""
    why: str


class EntityRecognizer(TaughtEstimator):
    """Finds named entities in texts; or gives every word a label, such as its part of speech.

    Parameters (besides every field of `TrainingConfig`: epochs, learning_rate, batch_size, patience, seed …):

    - `model`: a model folder, a hub name, or None for the default encoder;
    - `revision`: branch, tag or commit of a hub name;
    - `scheme`: what tags mean: "IOB1", "IOB2", "BIOES", "BILOU", "IO", or "words" for labels of single words; "auto" sees it
      from the tags, and is "IOB2" for spans of texts;
    - `overflow`: what happens to sentences longer than `max_tokens`: "window" reads them whole, in overlapping windows, and
      predicts each word from the one in which it has most context; "head_tail" and "truncate" read a part, which is counted;
      "error" refuses;
    - `max_tokens`: longest sequence, None for the model's limit; `stride`: overlap of windows, in tokens;
    - `new_tokens`: words to add to the vocabulary;
    - `transitions`: whether scores of tags that follow each other are learnt, too, by the probability of whole sequences of tags (a
      linear-chain conditional random field: Lafferty et al. 2001, Lample et al. 2016); not beside a teacher;
    - `teacher`: the folder or hub name of a finished model for the same task, of which its scores are learnt besides the labels, each
      softened by `temperature` (Hinton et al. 2015): `teacher_share` of the loss, 1 for the teacher alone;
    - `output`: a run folder for settings, log, checkpoints and the finished model; None writes nothing;
    - `progress`: whether the terminal shows what goes on; or who watches it instead.

    Learnt: `classes_` (the tags), `task_`, `accounting_` (what became of the training data), `losses_` (labels that the model
    cannot give back), `history_` (evaluations), `machine_` (device, precision … and why), `loading_report_`.

    >>> from bertworks import EntityRecognizer
    >>> EntityRecognizer(epochs=2)
    EntityRecognizer(epochs=2)
    """

    settings_table = "entities"
    _estimator_type: ClassVar[str] = "entity_recognizer"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        scheme: Literal["auto"] | Scheme = "auto",
        overflow: Overflow = "window",
        max_tokens: int | None = None,
        stride: int | None = None,
        new_tokens: Sequence[str] = (),
        transitions: bool = False,
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
        self.scheme = scheme
        self.overflow = overflow
        self.max_tokens = max_tokens
        self.stride = stride
        self.new_tokens = new_tokens
        self.transitions = transitions
        self.teacher = teacher
        self.teacher_share = teacher_share
        self.temperature = temperature
        self.output = output
        self.progress = progress

    # ---- training

    def fit(
        self,
        sentences: Sentences,
        labels: Iterable[Any],
        *,
        validation: tuple[Sentences, Iterable[Any]] | None = None,
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains on sentences: lists of words with a list of tags each, or texts with a list of entities each, as
        (start, end, label), dictionaries with these keys, or `Entity`; the end is the character after the last.

        `validation`, `resume` and `provenance` are those of `TextClassifier.fit`. Labels that stand in the validation data
        only are known to the model, which never predicts them.

        Raises `SettingsError` for wrong parameters, `DataError` for data that cannot be learnt from, `Interrupted`
        after Ctrl-C, once the state is saved.
        """
        self.training_config()  # says what is wrong before any text is looked at
        if self.scheme != "auto":
            checked_scheme(self.scheme)
        self._check_transitions()
        rows = sentence_rows(sentences)
        truth = truth_rows(labels, rows, "training")
        columns = held_out_columns(validation, "sentences", "labels")
        held = None if columns is None else sentence_rows(columns[0])
        held_truth = [] if columns is None or held is None else truth_rows(columns[1], held, "validation")
        self.losses_: list[Loss] = []
        return self._train(
            lambda limit: self._task([*truth, *held_truth], rows, self._limited(limit)),
            lambda task, tokenizer: self._encode_labelled(task, tokenizer, rows, truth, self.losses_),
            rows=len(rows),
            validation=None if held is None else lambda task, tokenizer: self._encode_labelled(task, tokenizer, held, held_truth, []),
            resume=resume,
            provenance=provenance,
        )

    def _check_transitions(self) -> None:
        """Raises `SettingsError` for what is neither true nor false, and where a teacher's words or the model's own are learnt as parts
        of sequences: what a teacher says of a word by itself is not its probability then."""
        if not isinstance(self.transitions, bool):
            raise SettingsError(f"transitions is True or False, not {self.transitions!r:.60}")
        if self.teacher is None:
            return
        if self.transitions:
            raise SettingsError("a teacher is learnt from word by word, transitions from whole sentences: leave out one of the two")
        teacher = read_task(model_path(self.teacher))[0]
        if isinstance(teacher, Tagging) and teacher.transitions:
            raise SettingsError(
                f"the teacher '{self.teacher}' has transitions between tags, without which its scores of words are not what it says: "
                "choose one without"
            )

    def _task(self, truth: Sequence[Truth], rows: Sequence[Any], max_tokens: int) -> Tagging:
        tags = [row.tags for row in truth if row.tags is not None]
        if self.scheme == "words" and not tags:
            raise SettingsError("labels of single words (scheme 'words') are learnt from words with tags, not from texts with entities")
        scheme: Scheme = self.scheme if self.scheme != "auto" else guess_scheme(tags) if tags else "IOB2"
        joiners = joiners_of(row for row in rows if not isinstance(row, str))
        reading: dict[str, Any] = {"max_tokens": max_tokens, "overflow": self.overflow, "stride": self.stride, "joiners": joiners}
        return infer(truth, scheme, transitions=self.transitions, **reading)

    def _encode_labelled(
        self, task: Tagging, tokenizer: Tokenizer, rows: Sequence[Any], truth: Sequence[Truth], losses: list[Loss]
    ) -> tuple[PackedBatch, Accounting]:
        """Encodes rows, and checks that their labels come back: decode(encode(labels)) = labels."""
        batch, readings, seen = task.encode(readable(rows), tokenizer, truth)
        losses += find_losses(task, readings, truth)
        lossy, broken = len({loss.row for loss in losses}), sum(bool(faults(row.tags, task.scheme)) for row in truth if row.tags)
        seen.notes.update({"labels that the model cannot give back, for their borders or words do not fit its own": lossy} if lossy else {})
        seen.notes.update({f"tags that break the rules of {task.scheme}, read as conlleval reads them": broken} if broken else {})
        return batch, seen

    def _adopt(self, loaded: LoadedModel, tokenizer: Tokenizer, task: Any, machine: MachineChoice) -> None:
        super()._adopt(loaded, tokenizer, task.with_transitions(transitions_of(loaded.model)), machine)
        self.classes_ = np.array(task.labels)

    # ---- use

    def predict(self, sentences: Sentences) -> list[list[Entity]] | list[list[str]]:
        """The entities of each text, in their order; for sentences that are lists of words, a tag for each word.

        Entities are whole words of the text as it was given, with their places in it and a probability (`Entity.score`).
        Labels of single words (`scheme` "words") come as entities of one word each.
        """
        found: list[Any] = self.predict_with_accounting(sentences)[0]
        return found

    def predict_with_accounting(self, sentences: Sentences, *, first_row: int = 0) -> tuple[Any, Accounting]:
        """Predictions, and what became of the sentences; `first_row` is the number of the first one in messages."""
        task: Tagging = self._require("task_")
        out: list[Any] = []
        total = Accounting()
        for readings, scores, seen in self.read(sentence_rows(sentences, first_row), first_row):
            out += answers_of(task, readings, scores)
            total += seen
        return out, total

    def predict_proba(self, sentences: Sentences) -> list[Float[Array, "words tags"]]:
        """The probability of each tag (columns in the order of `classes_`) of each word, by all sequences of tags that the scheme
        allows; rows sum to 1, or are 0 for a word that is not read. The words of a text are those of `tokenization.words`."""
        task: Tagging = self._require("task_")
        out = []
        for readings, scores, _ in self.read(sentence_rows(sentences)):
            for reading, lattice in zip(readings, task.lattices(scores), strict=True):
                values = np.zeros((reading.words, len(task.labels)))
                if len(reading.numbers):
                    values[reading.numbers] = lattice.marginals()
                out.append(values)
        return out

    def read(self, rows: Sequence[Any], first_row: int = 0) -> Iterator[tuple[list[Reading], list[Float[Array, "read tags"]], Accounting]]:
        """How sentences are read and scored, some at a time; `first_row` is the number of the first one in messages."""
        task: Tagging = self._require("task_")
        for start in range(0, len(rows), SENTENCES_AT_ONCE):
            part = readable(rows[start : start + SENTENCES_AT_ONCE])
            batch, readings, seen = task.encode(part, self.tokenizer_, first_row=first_row + start)
            yield readings, task.word_scores(readings, self._scores(batch)[HEAD]), seen

    def evaluate(
        self, sentences: Sentences, labels: Iterable[Any], *, intervals: bool = True, progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Precision, recall and F1 of spans by conlleval's and by the strict convention, per type, and the kinds of errors
        (`SpanMetrics.compute`), with the accounting of the sentences under `accounting`.

        With `intervals`, the 95 % confidence interval of each metric stands under `intervals`, by resampling sentences. Memory
        does not grow with the set; `progress` is called with the number of sentences done since the last call.
        """
        found = self.assess(sentences, labels, replicates=DEFAULT_REPLICATES if intervals else 0, mistakes=0, progress=progress)
        return {**found.metrics, "accounting": found.accounting.to_dict()}

    def assess(self, sentences: Sentences, labels: Iterable[Any], **options: Any) -> Assessment:
        """Metrics, the worst mistakes and, on request, a file of all answers; `options` are those of `assessment.assess`."""
        self._require("task_")
        rows = sentence_rows(sentences)
        return assess(self, rows, truth_rows(labels, rows, "evaluation"), **options)

    def score(self, sentences: Sentences, labels: Iterable[Any]) -> float:
        """The task's main metric: F1 of spans by conlleval's convention; for labels of single words the share that is right."""
        result = self.evaluate(sentences, labels, intervals=False)
        return float(result[self.task_.metrics().headline])

    def explain(self, text: str, *, target: str | None = None, window: int | None = None, baseline: BaselineName = "pad") -> Explanation:
        """Why the model takes some words of a text for an entity: attention maps, what each word adds to the scores of that very
        span's tags, and whether this is faithful.

        `target` is an entity's text as the model predicts it, its label, or "words=label" for any words of the text; by default
        the most probable entity. `window` is the one whose attention is shown of a long text, by default the entity's own;
        `baseline` as in `TextClassifier.explain`. Raises `DataError` where the text has no such words, or no entity by this
        model and none is named.
        """
        self._require("task_")
        return explain_entity(self, text, target=target, window=window, baseline=baseline)


def answers_of(task: Tagging, readings: Sequence[Reading], scores: Sequence[Float[Array, "read tags"]]) -> list[Any]:
    """Entities of texts, tags of words."""
    if readings and readings[0].sentence.words is None:
        return task.entities(readings, scores)
    return [task.word_tags(reading, tags) for reading, tags in zip(readings, task.paths(scores), strict=True)]


def find_losses(task: Tagging, readings: Sequence[Reading], truth: Sequence[Truth]) -> list[Loss]:
    """The labels of each row that decode(encode(labels)) lacks."""
    out = []
    for row, (reading, true) in enumerate(zip(readings, truth, strict=True)):
        for span in task.lost(reading, true):
            text, words = reading.sentence
            if words is None:
                start, end = span.start, span.end
                why = "its borders lie within a word, or it overlaps another"
            else:
                start, end = int(words[span.start, 0]), int(words[span.end - 1, 1])
                why = "the tokenizer makes nothing of some of its words, or they are not read"
            out.append(Loss(row, span.label, text[start:end], why))
    return out
