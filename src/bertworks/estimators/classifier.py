"""`TextClassifier`: from labelled texts to a model that is trained, saved, loaded and used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.assessment import Assessment, assess, calibrate, parts
from bertworks.estimators.explanation import BaselineName, explain_classifier
from bertworks.estimators.rows import held_out_columns, label_array, label_rows, split_pairs, text_rows
from bertworks.estimators.taught_estimator import SHARE, TEMPERATURE, TaughtEstimator
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.explain import Explanation
from bertworks.inference import LoadedModel, score
from bertworks.inference.models import fold_output_scale
from bertworks.nn.machine import MachineChoice
from bertworks.tasks.text_classification import HEAD, Kind, TextClassification, balanced_weights, infer
from bertworks.tokenization import Overflow, Tokenizer
from bertworks.training.progress import Progress

Texts = Iterable[str] | Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Ranked:
    """A passage and how well it goes with the query."""

    index: int
    """Its number among the passages that were given."""
    text: str
    score: float


class TextClassifier(TaughtEstimator):
    """Sorts texts, or pairs of texts, into classes; or gives them several labels, or a number.

    scikit-learn's conventions hold: parameters are given here and looked at in `fit`, learnt state ends in an
    underscore, and `clone`, pipelines, cross-validation and searches work.

    Parameters (besides every field of `TrainingConfig`: epochs, learning_rate, batch_size, patience, seed …):

    - `model`: a model folder, a hub name, or None for the default encoder;
    - `revision`: branch, tag or commit of a hub name;
    - `kind`: "single", "multi" or "number"; "auto" sees it from the labels (sequences of labels → "multi",
      floats → "number");
    - `overflow`: what happens to texts longer than `max_tokens`: "window" reads them whole, in overlapping windows
      whose scores are merged; "head_tail" and "truncate" read a part, which is counted; "error" refuses;
    - `max_tokens`: longest sequence, None for the model's limit; `stride`: overlap of windows, in tokens;
    - `class_weights`: "balanced", or a weight for each label; `label_smoothing`: share of the target spread evenly;
    - `calibrate`: whether probabilities are scaled by a temperature fitted on the validation data (Guo et al. 2017), so
      that of the answers given with 80 % about 80 % are right; no answer changes by it;
    - `new_tokens`: words to add to the vocabulary;
    - `teacher`: the folder or hub name of a finished model for the same task, of which its scores are learnt besides the labels, each
      softened by `temperature` (Hinton et al. 2015): `teacher_share` of the loss, 1 for the teacher alone;
    - `output`: a run folder for settings, log, checkpoints and the finished model; None writes nothing;
    - `progress`: whether the terminal shows what goes on; or who watches it instead.

    Learnt: `classes_`, `task_`, `accounting_` (what became of the training data), `history_` (evaluations),
    `machine_` (device, precision … and why), `loading_report_`.

    >>> from bertworks import TextClassifier
    >>> TextClassifier(epochs=2)
    TextClassifier(epochs=2)
    """

    settings_table = "classifier"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        kind: Literal["auto"] | Kind = "auto",
        overflow: Overflow = "window",
        max_tokens: int | None = None,
        stride: int | None = None,
        class_weights: Literal["balanced"] | dict[Any, float] | None = None,
        label_smoothing: float = 0.0,
        calibrate: bool = True,
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
        self.kind = kind
        self.overflow = overflow
        self.max_tokens = max_tokens
        self.stride = stride
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.calibrate = calibrate
        self.new_tokens = new_tokens
        self.teacher = teacher
        self.teacher_share = teacher_share
        self.temperature = temperature
        self.output = output
        self.progress = progress

    @property
    def _estimator_type(self) -> str:  # type: ignore[override]
        return "regressor" if self.kind == "number" else "classifier"

    # ---- training

    def fit(
        self,
        texts: Texts,
        labels: Iterable[Any],
        *,
        validation: tuple[Texts, Iterable[Any]] | None = None,
        classes: Iterable[Any] = (),
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains on `texts` (strings, or pairs of strings) and their `labels`.

        With `validation` = (texts, labels), it is evaluated as training goes on, and the best model is kept; for several
        labels their thresholds are tuned on it. `classes` are labels that the model is to know although no text may have
        them, as where the texts are a part of a set whose other rows have them. With `resume`, a run that was interrupted in
        `output` goes on, and ends in the same bits as one that was not. `provenance`, plain values that say where the data
        came from, is kept in the run's config.toml under `data`.

        Raises `SettingsError` for wrong parameters, `DataError` for data that cannot be learnt from, `Interrupted`
        after Ctrl-C, once the state is saved.
        """
        self.training_config()  # says what is wrong before any text is looked at
        rows, answers, further = text_rows(texts), label_rows(labels), label_rows(classes)
        held = held_out_columns(validation, "texts", "labels")
        if len(rows) != len(answers):
            raise DataError(f"{len(rows)} texts but {len(answers)} labels: give a label for each text")
        if not rows:
            raise DataError("there are no texts to train on: give some, each with its label")
        return self._train(
            lambda limit: self._task(rows, answers, self._limited(limit), further),
            lambda task, tokenizer: _encode(task, rows, tokenizer, answers),
            rows=len(rows),
            validation=None if held is None else lambda task, tokenizer: _encode_labelled(task, held[0], held[1], tokenizer, "validation"),
            resume=resume,
            provenance=provenance,
        )

    def _finish(
        self, task: TextClassification, loaded: LoadedModel, machine: MachineChoice, held_out: PackedBatch | None
    ) -> tuple[TextClassification, dict[str, Any]]:
        """Fits the temperature and the thresholds on held-out data; a number's own unit is folded into the head."""
        if task.kind == "number":
            rest = fold_output_scale(loaded.model, HEAD, task.scale, task.center)
            return replace(task, center=rest, scale=1.0), {"calibration": None}
        if held_out is None:
            return task, {"calibration": None}
        calibration = None
        scores = score(loaded.model, held_out, device=machine.torch_device, token_budget=machine.token_budget)
        if self.calibrate:
            calibration = calibrate(task, task.truth_of(held_out), task.probabilities(scores[HEAD], held_out))
            factor = 1 / calibration["temperature"] if calibration is not None else 1.0
            fold_output_scale(loaded.model, HEAD, factor, 0.0)
            scores = {HEAD: scores[HEAD] * np.float32(factor)}
        return task.with_best_thresholds(held_out, scores), {"calibration": calibration}

    def _task(self, rows: list[Any], labels: list[Any], max_tokens: int, further: list[Any]) -> TextClassification:
        if not isinstance(self.label_smoothing, int | float | np.number) or not 0 <= self.label_smoothing < 1:
            raise SettingsError(f"label_smoothing must lie in [0, 1), not {self.label_smoothing!r}")
        several = self.kind == "multi" or any(isinstance(label, Iterable) and not isinstance(label, str) for label in labels)
        task = infer(
            [*labels, *([further] if further and several else further)],
            kind=self.kind,
            pairs=split_pairs(rows)[1] is not None,
            max_tokens=max_tokens,
            overflow=self.overflow,
            stride=self.stride,
            label_smoothing=float(self.label_smoothing),
        )
        unused = [name for name in ("class_weights", "label_smoothing") if getattr(self, name)] if task.kind == "number" else []
        if unused:
            raise SettingsError(f"the labels are numbers, which have no classes: leave out {', '.join(unused)}, or choose another kind")
        return replace(task, class_weights=self._weights(task, labels))

    def _weights(self, task: TextClassification, labels: list[Any]) -> tuple[float, ...] | None:
        if self.class_weights is None:
            return None
        if self.class_weights == "balanced":
            return balanced_weights(task, labels)
        given = {str(label): weight for label, weight in self.class_weights.items()} if isinstance(self.class_weights, dict) else {}
        if set(given) != set(map(str, task.labels)):
            wanted = ", ".join(map(str, task.labels))
            raise SettingsError(f"class_weights must be 'balanced' or a dictionary with a weight for each of: {wanted}")
        weights = tuple(given[str(label)] for label in task.labels)
        sound = all(isinstance(weight, int | float | np.number) and isfinite(weight) and weight >= 0 for weight in weights)
        if not sound or not any(weights):
            raise SettingsError(f"class_weights must be 0 or more, and not all 0: {self.class_weights}")
        return tuple(map(float, weights))

    def _adopt(self, loaded: LoadedModel, tokenizer: Tokenizer, task: Any, machine: MachineChoice) -> None:
        super()._adopt(loaded, tokenizer, task, machine)
        self.classes_ = label_array(task.labels)

    # ---- use

    def predict_proba(self, texts: Texts) -> Float[Array, "rows labels"]:
        """The probability of each label, columns in the order of `classes_`; rows sum to 1 for a single label."""
        task = self._require("task_")
        if task.kind == "number":
            raise SettingsError("this model predicts a number: there are no probabilities; call predict")
        return self._outputs(texts)[0]

    def predict(self, texts: Texts) -> Any:
        """A label for each text (array), a tuple of labels each (list), or a number each (array of floats)."""
        return self.predict_with_accounting(texts)[0]

    def predict_with_accounting(self, texts: Texts, *, first_row: int = 0) -> tuple[Any, Float[Array, "rows outputs"], Accounting]:
        """Predictions, the probabilities (or numbers) behind them, and what became of the texts. `first_row` is the number of the
        first one in messages, for callers who have their rows answered in parts."""
        task: TextClassification = self._require("task_")
        outputs, accounting = self._outputs(texts, first_row)
        decided = task.decide(outputs)
        return (decided if task.kind == "multi" else np.array(decided, dtype=self.classes_.dtype)), outputs, accounting

    def _outputs(self, texts: Texts, first_row: int = 0) -> tuple[Float[Array, "rows outputs"], Accounting]:
        """What `predict` decides by, some rows at a time, so that memory grows by the answers alone."""
        task = self._require("task_")
        rows = text_rows(texts)
        outputs, accounting = [np.zeros((0, max(1, len(task.labels))))], Accounting()
        for start, part in parts(len(rows)):
            data, seen = _encode(task, rows[part], self.tokenizer_, first_row=first_row + start)
            outputs.append(task.probabilities(self._scores(data)[HEAD], data))
            accounting += seen
        return np.concatenate(outputs), accounting

    def rank(self, query: str, passages: Iterable[str], *, label: Any = None, top_k: int | None = None) -> list[Ranked]:
        """Passages by how well they go with a query, the best first: what a model of pairs says of (query, passage).

        The score is the model's number, or the probability of `label`: of a model with two labels the second, unless said
        otherwise. `top_k` keeps the best so many. Raises `SettingsError` for a label that does not exist or must be named, and
        `DataError` where the model reads single texts.
        """
        return self.rank_with_accounting(query, passages, label=label, top_k=top_k)[0]

    def rank_with_accounting(
        self, query: str, passages: Iterable[str], *, label: Any = None, top_k: int | None = None
    ) -> tuple[list[Ranked], Accounting]:
        """What `rank` gives, and what became of the passages: how many were read in windows, or not wholly."""
        task: TextClassification = self._require("task_")
        given = text_rows(passages)
        if top_k is not None and top_k < 1:
            raise SettingsError(f"top_k is a number of passages, at least 1, not {top_k}")
        column = 0 if task.kind == "number" else self._column(task, label)
        outputs, accounting = self._outputs([(query, passage) for passage in given])
        scores = outputs[:, column]
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [Ranked(int(i), given[i], float(scores[i])) for i in best], accounting

    def _column(self, task: TextClassification, label: Any) -> int:
        names = [str(name) for name in task.labels]
        if label is None and len(names) == 2:
            return 1
        if str(label) not in names:
            what = "name the label that says a passage fits" if label is None else f"there is no label '{label}'"
            raise SettingsError(f"{what}: label is one of {', '.join(names)}")
        return names.index(str(label))

    def evaluate(
        self, texts: Texts, labels: Iterable[Any], *, intervals: bool = True, progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """All metrics of the task on labelled texts, with the accounting of the texts under `accounting`.

        With `intervals`, the 95 % confidence interval of each metric stands under `intervals`. Memory does not grow with
        the set; `progress` is called with the number of rows done since the last call.
        """
        found = self.assess(texts, labels, replicates=DEFAULT_REPLICATES if intervals else 0, mistakes=0, progress=progress)
        return {**found.metrics, "accounting": found.accounting.to_dict()}

    def assess(self, texts: Texts, labels: Iterable[Any], **options: Any) -> Assessment:
        """Metrics, the worst mistakes and, on request, a file of all answers; `options` are those of `assessment.assess`."""
        task = self._require("task_")
        return assess(task, self._outputs, *_labelled(texts, labels, "evaluation"), **options)

    def score(self, texts: Texts, labels: Iterable[Any]) -> float:
        """The task's main metric: accuracy, micro F1 for several labels, Spearman for numbers."""
        result = self.evaluate(texts, labels, intervals=False)
        return float(result[self.task_.metrics().headline])

    def explain(
        self, text: str | tuple[str, str], *, target: Any = None, window: int | None = None, baseline: BaselineName = "pad"
    ) -> Explanation:
        """Why the model answers as it does for one text, or one pair: attention maps, the words' attributions, and whether
        these are faithful. All is computed when it is asked for.

        `target` is the label to explain, the most probable one by default. `window` is the one whose attention is shown of
        a long text, by default that of the most tokens and, of equal ones, the largest score. `baseline` is what stands for
        no word where attributions begin: "pad", "mask" or "zero" (vectors). Raises `SettingsError` for a label or window
        that does not exist, `DataError` for a text that has no word or does not fit the model.
        """
        self._require("task_")
        return explain_classifier(self, text, target=target, window=window, baseline=baseline)


def _encode(
    task: TextClassification, rows: list[Any], tokenizer: Tokenizer, labels: list[Any] | None = None, *, first_row: int = 0
) -> tuple[PackedBatch, Accounting]:
    first, second = split_pairs(rows)
    if rows and task.pairs is not None and (second is not None) != task.pairs:
        wanted = "pairs of texts: give (first, second)" if task.pairs else "single texts, not pairs: give strings"
        raise DataError(f"this model reads {wanted}")
    return task.encode(first, second, tokenizer, labels, first_row=first_row)


def _encode_labelled(
    task: TextClassification, texts: Any, labels: Any, tokenizer: Tokenizer, purpose: str
) -> tuple[PackedBatch, Accounting]:
    rows, answers = _labelled(texts, labels, purpose)
    return _encode(task, rows, tokenizer, answers)


def _labelled(texts: Any, labels: Any, purpose: str) -> tuple[list[Any], list[Any]]:
    rows, answers = text_rows(texts), label_rows(labels)
    if len(rows) != len(answers):
        raise DataError(f"{purpose}: {len(rows)} texts but {len(answers)} labels")
    if not rows:
        raise DataError(f"{purpose}: there are no texts")
    return rows, answers
