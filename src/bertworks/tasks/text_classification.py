"""Text classification: a label, several labels or a number for a text or a pair of texts.

Single label: softmax and cross-entropy. Several labels: a sigmoid each, with thresholds tuned on validation data.
A number: mean squared error on the standardized target. A text longer than the model reads is cut into overlapping
windows (`overflow="window"`), so that nothing is lost.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.architectures import HeadKind
from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError, SettingsError, nearest
from bertworks.evaluation import ClassificationMetrics, Metrics, MultiLabelMetrics, RegressionMetrics, best_thresholds
from bertworks.tasks.task import Scores, first_of_groups, merge_windows, window_weights
from bertworks.tokenization import Encoding, Overflow, Tokenizer

Kind = Literal["single", "multi", "number"]
Label = str | int | float
HEAD = "labels"
_CHUNK = 1000
_COLLECTIONS = (list, tuple, set, frozenset, np.ndarray)


@dataclass(frozen=True)
class TextClassification:
    """The settings of one classification problem, and its text side."""

    kind: Kind
    labels: tuple[Label, ...] = ()
    """Label names in the order of the head's outputs; empty for a number."""
    pairs: bool = False
    """Whether the inputs are pairs of texts."""
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

    # ---- from text to a packed data set

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None, tokenizer: Tokenizer, labels: Sequence[Any] | None = None
    ) -> tuple[PackedBatch, Accounting]:
        """The whole data set as one packed batch; row `i` is group `i`. Targets stand in it where labels are given.

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
                first_row=start,
            )
            for row, windows in enumerate(rows, start):
                ids += [w.ids for w in windows]
                segments += [w.segment_ids for w in windows]
                groups += [row] * len(windows)
                _count(seen, windows)
        numbers = np.array(groups, dtype=np.int64)
        window = np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
        targets = {} if labels is None else self.targets(labels, numbers)
        return PackedBatch.from_sequences(ids, segments, groups=numbers, keys=(numbers << 20) | window, targets=targets), seen

    def targets(self, labels: Sequence[Any], groups: Array) -> dict[str, Array]:
        """Targets and weights of each sequence, given the labels of each row.

        Raises `DataError` where a label is not one of the task's.
        """
        weights = window_weights(groups)
        if self.kind == "number":
            values = np.array([_number(v, i) for i, v in enumerate(labels)], dtype=np.float64)
            return {HEAD: ((values - self.center) / self.scale).astype(np.float32)[groups], f"{HEAD}_weights": weights}
        index = {label: i for i, label in enumerate(self.labels)}
        if self.kind == "single":
            return {
                HEAD: np.array([self._index(v, index, i) for i, v in enumerate(labels)], dtype=np.int64)[groups],
                f"{HEAD}_weights": weights,
            }
        marks = np.zeros((len(labels), len(self.labels)), dtype=np.float32)
        for i, row in enumerate(labels):
            if not isinstance(row, _COLLECTIONS):
                raise DataError(f"row {i}: the labels are {row!r}; give a list of those that apply, empty where none does")
            marks[i, [self._index(v, index, i) for v in row]] = 1
        return {HEAD: marks[groups], f"{HEAD}_weights": weights}

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
        targets = batch.targets[HEAD][first_of_groups(batch.groups)] > 0.5
        best = best_thresholds(targets, self.probabilities(scores[HEAD], batch))
        return replace(self, thresholds=tuple(float(v) for v in best))

    # ---- metrics and settings

    def metrics(self) -> Metrics:
        if self.kind == "number":
            return RegressionMetrics()
        return ClassificationMetrics(self.labels) if self.kind == "single" else MultiLabelMetrics(self.labels)

    def update_metrics(self, metrics: Metrics, batch: PackedBatch, scores: Scores) -> None:
        probabilities = self.probabilities(scores[HEAD], batch)
        targets = batch.targets[HEAD][first_of_groups(batch.groups)]
        match metrics:
            case ClassificationMetrics():
                metrics.update(targets, probabilities)
            case MultiLabelMetrics():
                metrics.update(targets > 0.5, probabilities, self.limits())
            case RegressionMetrics():
                metrics.update(targets * self.scale + self.center, probabilities[:, 0])

    def settings(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "TextClassification":
        """Raises `SettingsError` for a setting that is not known."""
        unknown = [key for key in settings if key not in cls.__dataclass_fields__]
        if unknown:
            raise SettingsError(f"text classification has no setting '{unknown[0]}'.{nearest(unknown[0], cls.__dataclass_fields__)}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return cls(**values)


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
        names |= {v.item() if isinstance(v, np.generic) else v: None for v in of_row}
    if len(names) < (2 if kind == "single" else 1):
        raise DataError(f"all {len(labels)} rows have the label {next(iter(names), None)!r}: a classifier needs at least two labels")
    ordered = sorted(names, key=lambda v: (isinstance(v, str), v))
    return TextClassification(kind, tuple(ordered), pairs=pairs, **options)


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


def _count(seen: Accounting, windows: Sequence[Encoding]) -> None:
    seen.sequences += len(windows)
    seen.tokens += sum(len(w.ids) for w in windows)
    seen.unknown_tokens += sum(w.unknown_tokens for w in windows)
    seen.windowed_rows += len(windows) > 1
    lost = windows[0].truncated_tokens
    seen.truncated_rows += lost > 0
    seen.truncated_tokens += lost
