"""Text classification: a label, several labels or a number for a text or a pair of texts.

Single label: softmax and cross-entropy. Several labels: a sigmoid each, with thresholds tuned on validation data.
A number: mean squared error on the standardized target. A text longer than the model reads is cut into overlapping
windows (`overflow="window"`), so that nothing is lost.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError, nearest
from bertworks.evaluation import ClassificationMetrics, Metrics, MultiLabelMetrics, RegressionMetrics, best_thresholds
from bertworks.tasks.stored_settings import from_stored
from bertworks.tasks.task import SMOKE_TEXTS, Scores, count_windows, first_of_groups, merge_windows, window_weights
from bertworks.tokenization import Overflow, Tokenizer

Kind = Literal["single", "multi", "number"]
Label = str | bool | int | float
HEAD = "labels"
PROBLEM_TYPES: dict[str, Kind] = {
    "regression": "number",
    "single_label_classification": "single",
    "multi_label_classification": "multi",
}
"""Kinds by the names that config.json files use (`problem_type`)."""
_CHUNK = 1000
_LARGEST_TARGET = 1e30
"""Beyond it numbers in float32, and sums of their squares in float64, soon become infinite."""
_COLLECTIONS = (list, tuple, set, frozenset, np.ndarray)


@dataclass(frozen=True)
class TextClassification:
    """The settings of one classification problem, and its text side."""

    kind: Kind
    labels: tuple[Label, ...] = ()
    """Label names in the order of the head's outputs; empty for a number."""
    pairs: bool | None = False
    """Whether the inputs are pairs of texts; None is not known (of a folder that `transformers` saved), and either is read."""
    max_tokens: int = 512
    """Longest sequence, special tokens included."""
    overflow: Overflow = "window"
    stride: int | None = None
    """Overlap of neighbouring windows in tokens; None is a quarter of the room."""
    class_weights: tuple[float, ...] | None = None
    """Weight of each label in the loss."""
    label_smoothing: float = 0.0
    thresholds: tuple[float, ...] | None = None
    """Several labels: the probability from which on each is predicted; None is 0.5 for all."""
    center: float = 0.0
    """A number: what is subtracted from targets in training …"""
    scale: float = 1.0
    """… before they are divided by this. Folded into the head's weights once training is done."""

    name = "text_classification"

    @property
    def heads(self) -> Mapping[str, tuple[HeadKind, int]]:
        return {HEAD: ("sequence_classification", 1 if self.kind == "number" else len(self.labels))}

    @property
    def losses(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        if self.kind == "number":
            return {HEAD: ("mean_squared_error", {})}
        name = "cross_entropy" if self.kind == "single" else "binary_cross_entropy"
        weights = None if self.class_weights is None else np.array(self.class_weights, dtype=np.float32)
        return {HEAD: (name, {"class_weights": weights, "smoothing": self.label_smoothing})}

    @property
    def imitation(self) -> str:
        """The loss by which a teacher's scores are imitated (`tasks/taught.py`)."""
        return {"single": "divergence", "multi": "binary_divergence", "number": "mean_squared_error"}[self.kind]

    # ---- from text to a packed data set

    def encode(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        tokenizer: Tokenizer,
        labels: Sequence[Any] | None = None,
        *,
        first_row: int = 0,
    ) -> tuple[PackedBatch, Accounting]:
        """The whole data set as one packed batch; row `i` is group `i`. Targets stand in it where labels are given. `first_row` is
        the number of the first row in messages.

        Raises `DataError` where a text is none, a label is unknown, or a row is too long and `overflow` is "error".
        """
        if pairs is not None and len(pairs) != len(texts):
            raise DataError(f"{len(texts)} texts but {len(pairs)} second texts")
        ids: list[Array] = []
        segments: list[Array] = []
        groups: list[int] = []
        seen = Accounting(rows=len(texts))
        for start in range(0, len(texts), _CHUNK):
            second = None if pairs is None else pairs[start : start + _CHUNK]
            rows = tokenizer.encode_batch(
                texts[start : start + _CHUNK],
                second,
                max_tokens=self.max_tokens,
                overflow=self.overflow,
                stride=self.stride,
                offsets=False,
                first_row=first_row + start,
            )
            for row, windows in enumerate(rows, start):
                ids += [w.ids for w in windows]
                segments += [w.segment_ids for w in windows]
                groups += [row] * len(windows)
                count_windows(seen, windows)
        numbers = np.array(groups, dtype=np.int64)
        window = np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
        targets = {} if labels is None else self.targets(labels, numbers)
        return PackedBatch.from_sequences(ids, segments, groups=numbers, keys=(numbers << 20) | window, targets=targets), seen

    def targets(self, labels: Sequence[Any], groups: Array) -> dict[str, Array]:
        """Targets and weights of each sequence, given the labels of each row.

        Raises `DataError` where a label is not one of the task's.
        """
        truth = self.truth(labels)
        if self.kind == "number":
            truth = (truth - self.center) / self.scale
        values = truth if self.kind == "single" else truth.astype(np.float32)
        return {HEAD: values[groups], f"{HEAD}_weights": window_weights(groups)}

    def truth(self, labels: Sequence[Any]) -> Array:
        """The labels of rows as metrics take them: numbers of classes, marks `[rows, labels]` of those that apply, or
        numbers in the user's unit. Raises `DataError` where a label is not one of the task's.
        """
        if self.kind == "number":
            return np.array([_number(v, i) for i, v in enumerate(labels)], dtype=np.float64)
        index = {label: i for i, label in enumerate(self.labels)}
        if self.kind == "single":
            return np.array([self._index(v, index, i) for i, v in enumerate(labels)], dtype=np.int64)
        marks: Array = np.zeros((len(labels), len(self.labels)), dtype=bool)
        for i, row in enumerate(labels):
            if not isinstance(row, _COLLECTIONS):
                raise DataError(f"row {i}: the labels are {row!r}; give a list of those that apply, empty where none does")
            marks[i, [self._index(v, index, i) for v in row]] = True
        return marks

    def _index(self, label: Any, index: Mapping[Label, int], row: int) -> int:
        found: int | None = None if isinstance(label, _COLLECTIONS) else index.get(label)
        if found is None:
            raise DataError(
                f"row {row}: the label {label!r} is none of the {len(index)} labels of the model"
                f" ({', '.join(map(str, self.labels[:8]))}{' …' if len(index) > 8 else ''}).{nearest(str(label), map(str, self.labels))}"
            )
        return found

    # ---- from scores to answers

    def probabilities(self, scores: Float[Array, "sequences outputs"], batch: PackedBatch) -> Float[Array, "rows outputs"]:
        """Probabilities of the labels of each row (or its number, in the user's unit), windows merged."""
        merged = merge_windows(scores, batch)
        if self.kind == "number":
            return merged * self.scale + self.center
        if self.kind == "multi":
            return 0.5 * (1 + np.tanh(merged / 2))  # the logistic function, without overflow
        shifted: Array = np.exp(merged - merged.max(axis=1, keepdims=True))
        probabilities: Array = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    def decide(self, probabilities: Float[Array, "rows outputs"]) -> list[Any]:
        """The answer for each row: a label, a tuple of labels, or a float."""
        if self.kind == "number":
            return [float(v) for v in probabilities[:, 0]]
        if self.kind == "single":
            return [self.labels[i] for i in probabilities.argmax(axis=1)]
        chosen = probabilities >= self.limits()
        return [tuple(label for label, on in zip(self.labels, row, strict=True) if on) for row in chosen]

    def limits(self) -> Float[Array, "labels"]:
        return np.full(len(self.labels), 0.5) if self.thresholds is None else np.array(self.thresholds)

    def with_best_thresholds(self, batch: PackedBatch, scores: Scores) -> "TextClassification":
        """Thresholds that maximize each label's F1 on a batch with targets (several labels only)."""
        if self.kind != "multi":
            return self
        best = best_thresholds(self.truth_of(batch), self.probabilities(scores[HEAD], batch))
        return replace(self, thresholds=tuple(float(v) for v in best))

    # ---- metrics and settings

    def metrics(self, replicates: int = 0) -> Metrics:
        """Empty metrics; with `replicates`, their `compute()` gives confidence intervals too."""
        if self.kind == "number":
            return RegressionMetrics(replicates=replicates)
        return (ClassificationMetrics if self.kind == "single" else MultiLabelMetrics)(self.labels, replicates=replicates)

    def update_metrics(self, metrics: Metrics, batch: PackedBatch, scores: Scores) -> None:
        self.count_rows(metrics, self.truth_of(batch), self.probabilities(scores[HEAD], batch))

    def truth_of(self, batch: PackedBatch) -> Array:
        """The truth of the rows of a batch with targets, as `truth` gives it."""
        targets = batch.targets[HEAD][first_of_groups(batch.groups)]
        if self.kind == "number":
            return targets * self.scale + self.center
        return targets if self.kind == "single" else targets > 0.5

    def count_rows(self, metrics: Metrics, truth: Array, outputs: Float[Array, "rows outputs"]) -> None:
        """Adds rows to metrics, given their truth and the model's probabilities (or numbers)."""
        match metrics:
            case ClassificationMetrics():
                metrics.update(truth, outputs)
            case MultiLabelMetrics():
                metrics.update(truth, outputs, self.limits())
            case RegressionMetrics():
                metrics.update(truth, outputs[:, 0])

    def settings(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def config_changes(self) -> dict[str, Any]:
        """Label names and problem type as `transformers` reads them."""
        names = [str(label) for label in self.labels] or ["value"]
        problem = {kind: name for name, kind in PROBLEM_TYPES.items()}[self.kind]
        return {
            "id2label": {str(i): n for i, n in enumerate(names)},
            "label2id": {n: i for i, n in enumerate(names)},
            "problem_type": problem,
        }

    def check_room(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_batch([], [] if self.pairs else None, max_tokens=self.max_tokens, overflow=self.overflow, stride=self.stride)

    def smoke_inputs(self) -> list[Any]:
        return [[text, "A second text."] if self.pairs else text for text in SMOKE_TEXTS]

    def smoke_outputs(self, inputs: list[Any], tokenizer: Tokenizer, score: Callable[[PackedBatch], Scores]) -> list[Any]:
        """The probabilities (or the number) of each text or pair."""
        for value in inputs:
            is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)
            if not (is_pair if self.pairs else isinstance(value, str)):
                raise DataError(f"a case's input is {value!r:.60}, not {'a pair of texts' if self.pairs else 'a text'}")
        # the inputs may be longer than the texts that the model was made for
        task = replace(self, overflow="window") if self.overflow == "error" else self
        first, second = ([v[0] for v in inputs], [v[1] for v in inputs]) if self.pairs else (inputs, None)
        batch, _ = task.encode(first, second, tokenizer)
        return task.probabilities(score(batch)[HEAD], batch).tolist()  # type: ignore[no-any-return]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Raises `SettingsError` for settings that are not known, of a wrong type, or that contradict each other."""
        task = from_stored(cls, settings, "text classification")
        problems = task.contradictions()
        if problems:
            raise SettingsError(f"text classification: {'; '.join(problems)}")
        return task

    def contradictions(self) -> list[str]:
        """What is wrong with the settings, in words; empty where all is well."""
        outputs, least = len(self.labels), {"single": 2, "multi": 1, "number": 0}[self.kind]
        weights, thresholds = self.class_weights, self.thresholds
        wrong = {
            "a number has no labels": self.kind == "number" and outputs > 0,
            f"{outputs} labels are too few for kind '{self.kind}'": outputs < least,
            "a label stands twice": len(set(self.labels)) < outputs,
            f"{len(weights or ())} class weights for {outputs} labels": weights is not None and len(weights) != outputs,
            "a class weight is below 0": weights is not None and any(weight < 0 for weight in weights),
            f"{len(thresholds or ())} thresholds for {outputs} labels": thresholds is not None and len(thresholds) != outputs,
            "a threshold lies outside [0, 1]": thresholds is not None and not all(0 <= value <= 1 for value in thresholds),
            "max_tokens is below 1": self.max_tokens < 1,
            "stride is below 0": self.stride is not None and self.stride < 0,
            "label_smoothing lies outside [0, 1)": not 0 <= self.label_smoothing < 1,
            "scale is not above 0": self.scale <= 0,
        }
        return [words for words, is_wrong in wrong.items() if is_wrong]


def infer(labels: Sequence[Any], *, kind: Literal["auto"] | Kind = "auto", pairs: bool = False, **options: Any) -> TextClassification:
    """The task that a column of labels poses.

    Sequences of labels make several labels, floats make a number, all else a single label. Labels are sorted.
    Raises `DataError` where fewer than two labels occur, or a row has no label.
    """
    if kind not in ("auto", *get_args(Kind)):
        raise SettingsError(f"kind is 'auto', 'single', 'multi' or 'number', not {kind!r}.{nearest(kind, get_args(Kind))}")
    if kind == "auto":
        many = any(isinstance(v, _COLLECTIONS) for v in labels)
        number = all(isinstance(v, float | np.floating) for v in labels) and len(labels) > 0
        kind = "multi" if many else "number" if number else "single"
    if kind == "number":
        values = np.array([_number(v, i) for i, v in enumerate(labels)], dtype=np.float64)
        if values.size == 0 or values.std() == 0:
            raise DataError("all targets are the same number: there is nothing to learn")
        if np.abs(values).max() > _LARGEST_TARGET:
            raise DataError(f"row {int(np.abs(values).argmax())}: a target of {np.abs(values).max():g} is too large to learn; rescale them")
        return TextClassification("number", pairs=pairs, center=float(values.mean()), scale=float(values.std()), **options)
    names: dict[Any, None] = {}
    for i, value in enumerate(labels):
        if kind == "multi" and not isinstance(value, _COLLECTIONS) and not _is_missing(value):
            raise DataError(f"row {i}: the labels are {value!r}; give a list of those that apply, empty where none does")
        of_row = value if isinstance(value, _COLLECTIONS) else (value,)
        if kind == "single" and isinstance(value, _COLLECTIONS):
            raise DataError(f"row {i} has the labels {value!r}, but a single label is wanted; choose kind='multi' for several")
        if any(_is_missing(v) for v in of_row):
            raise DataError(f"row {i} has no label; drop such rows before training")
        odd = next((v for v in of_row if not isinstance(v, Hashable)), None)
        if odd is not None:
            raise DataError(f"row {i}: {odd!r:.60} is a {type(odd).__name__}, which cannot be a label; give text, numbers or truth values")
        names |= {v.item() if isinstance(v, np.generic) else v: None for v in of_row}
    if len(names) < (2 if kind == "single" else 1):
        raise DataError(f"all {len(labels)} rows have the label {next(iter(names), None)!r}: a classifier needs at least two labels")
    return TextClassification(kind, tuple(in_order(names)), pairs=pairs, **options)


def in_order(labels: Iterable[Any]) -> list[Any]:
    """Labels as classifiers have them: numbers by their size, then texts. Raises `DataError` where they have no common order.

    >>> in_order(["b", 10, "a", 9])
    [9, 10, 'a', 'b']
    """
    try:
        return sorted(labels, key=lambda label: (isinstance(label, str), label))
    except TypeError as error:
        raise DataError(f"the labels are of kinds that have no common order ({error}): convert them to text") from None


def balanced_weights(task: TextClassification, labels: Sequence[Any]) -> tuple[float, ...]:
    """rows / (labels · rows of the label): rare labels weigh as much in sum as common ones (King & Zeng 2001)."""
    counts = Counter(v for row in labels for v in row) if task.kind == "multi" else Counter(labels)
    return tuple(len(labels) / (len(task.labels) * max(1, counts[label])) for label in task.labels)


def _is_missing(label: Any) -> bool:
    """None, NaN, or the missing value of pandas."""
    if isinstance(label, float | np.floating):
        return bool(np.isnan(label))
    return label is None or type(label).__name__ in ("NAType", "NaTType")


def _number(value: Any, row: int) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"row {row}: the target {value!r} is not a number") from None
    if not np.isfinite(number):
        raise DataError(f"row {row}: the target is {number}; drop such rows before training")
    return number
