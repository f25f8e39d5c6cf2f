"""`TextClassifier`: from labelled texts to a model that is trained, saved, loaded and used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float

from bertworks.accounting import Accounting
from bertworks.architectures import read_description
from bertworks.batch import Array, PackedBatch
from bertworks.checkpoints.hub import resolve
from bertworks.errors import DataError, SettingsError
from bertworks.estimators import model_folder
from bertworks.estimators.assessment import Assessment, assess, calibrate
from bertworks.estimators.base import Estimator
from bertworks.estimators.default_model import default_model
from bertworks.estimators.explanation import BaselineName, explain_classifier
from bertworks.estimators.fingerprints import fingerprint_of_data, fingerprint_of_model
from bertworks.estimators.rows import label_array, label_rows, text_rows
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.explain import Explanation
from bertworks.inference import LoadedModel, load_model, score
from bertworks.inference.models import fold_output_scale, resize_vocabulary
from bertworks.nn.machine import MachineChoice, choose
from bertworks.tasks.text_classification import HEAD, Kind, TextClassification, balanced_weights, infer
from bertworks.tokenization import Overflow, Tokenizer
from bertworks.training import TrainingConfig, train
from bertworks.training.progress import Progress
from bertworks.training.run import RunFolder

Texts = Iterable[str] | Iterable[tuple[str, str]]


class TextClassifier(Estimator):
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
    - `output`: a run folder for settings, log, checkpoints and the finished model; None writes nothing;
    - `progress`: whether the terminal shows what goes on; or who watches it instead.

    Learnt: `classes_`, `task_`, `accounting_` (what became of the training data), `history_` (evaluations),
    `machine_` (device, precision … and why), `loading_report_`.

    >>> from bertworks import TextClassifier
    >>> TextClassifier(epochs=2)
    TextClassifier(epochs=2)
    """

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
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains on `texts` (strings, or pairs of strings) and their `labels`.

        With `validation` = (texts, labels), it is evaluated as training goes on, and the best model is kept; for several
        labels their thresholds are tuned on it. With `resume`, a run that was interrupted in `output` goes on, and ends
        in the same bits as one that was not. `provenance`, plain values that say where the data came from, is kept in
        the run's config.toml under `data`.

        Raises `SettingsError` for wrong parameters, `DataError` for data that cannot be learnt from, `Interrupted`
        after Ctrl-C, once the state is saved.
        """
        config = self.training_config()
        rows, answers = text_rows(texts), label_rows(labels)
        if len(rows) != len(answers):
            raise DataError(f"{len(rows)} texts but {len(answers)} labels: give a label for each text")
        if not rows:
            raise DataError("there are no texts to train on: give some, each with its label")
        folder = resolve(self.model, revision=self.revision, default=default_model() if self.model is None else None)
        tokenizer = Tokenizer.load(folder)
        if self.new_tokens:
            tokenizer.add_tokens(list(self.new_tokens))
        task = self._task(rows, answers, _model_limit(folder))
        loaded = load_model(folder, task.heads, new_heads=True, seed=config.seed, config_changes=_dropout_changes(config))
        if config.frozen_layers > len(loaded.model.encoder.layers):
            raise SettingsError(f"frozen_layers is {config.frozen_layers}, but the model has {len(loaded.model.encoder.layers)} layers")
        resize_vocabulary(loaded, max(tokenizer.vocabulary_size, loaded.model.spec.embedding.vocabulary))
        loaded.model.reinitialize_top(config.reinitialized_layers, config.seed)
        config = config.resolved(len(rows), loaded.model.spec.hidden)
        machine = choose(config.device, config.precision, config.token_budget, config.threads)

        data, self.accounting_ = _encode(task, rows, tokenizer, answers)
        validation_data, self.validation_accounting_ = None, None
        if validation is not None:
            validation_data, self.validation_accounting_ = _encode_labelled(task, *validation, tokenizer, "validation")
        progress = self._progress()
        self._tell(progress, config, machine, loaded.report.lines())
        material = {
            "training data": fingerprint_of_data(data),
            "validation data": None if validation_data is None else fingerprint_of_data(validation_data),
            "model": fingerprint_of_model(loaded.model),
            "task": task.settings(),
        }
        run = self._run(config, machine, resume, provenance or {})
        result = train(
            loaded.model,
            task,
            data,
            config,
            machine,
            validation=validation_data,
            run=run,
            material=material,
            progress=progress,
        )
        calibration = None
        if validation_data is not None and task.kind != "number":
            scores = score(loaded.model, validation_data, device=machine.torch_device, token_budget=machine.token_budget)
            if self.calibrate:
                calibration = calibrate(task, task.truth_of(validation_data), task.probabilities(scores[HEAD], validation_data))
                factor = 1 / calibration["temperature"] if calibration is not None else 1.0
                fold_output_scale(loaded.model, HEAD, factor, 0.0)
                scores = {HEAD: scores[HEAD] * np.float32(factor)}
            task = task.with_best_thresholds(validation_data, scores)
        if task.kind == "number":
            fold_output_scale(loaded.model, HEAD, task.scale, task.center)
            task = replace(task, center=0.0, scale=1.0)
        self._adopt(loaded, tokenizer, task, machine)
        self.history_ = result.state.evaluations
        self.result_ = result
        self.about_ = {
            "rows": len(rows),
            "training": config.to_dict(),
            "machine": {"device": machine.device, "precision": machine.precision},
            "accounting": self.accounting_.to_dict(),
            "validation": result.best_metrics,
            "calibration": calibration,
            "steps": result.state.step,
        }
        if run is not None:
            with run.saying_how_to_go_on():
                self.save(run.model, replace=True)
        return self

    def _task(self, rows: list[Any], labels: list[Any], limit: int) -> TextClassification:
        max_tokens = limit if self.max_tokens is None else self.max_tokens
        if not 0 < max_tokens <= limit:
            raise SettingsError(f"max_tokens is {self.max_tokens}, but the model reads from 1 to {limit} tokens at once")
        if not 0 <= self.label_smoothing < 1:
            raise SettingsError(f"label_smoothing must lie in [0, 1), not {self.label_smoothing}")
        pairs = model_folder.split_pairs(rows)[1] is not None
        task = infer(
            labels,
            kind=self.kind,
            pairs=pairs,
            max_tokens=max_tokens,
            overflow=self.overflow,
            stride=self.stride,
            label_smoothing=float(self.label_smoothing),
        )
        return replace(task, class_weights=self._weights(task, labels))

    def _weights(self, task: TextClassification, labels: list[Any]) -> tuple[float, ...] | None:
        if self.class_weights is None or task.kind == "number":
            return None
        if self.class_weights == "balanced":
            return balanced_weights(task, labels)
        given = {str(label): weight for label, weight in self.class_weights.items()} if isinstance(self.class_weights, dict) else {}
        if set(given) != set(map(str, task.labels)):
            wanted = ", ".join(map(str, task.labels))
            raise SettingsError(f"class_weights must be 'balanced' or a dictionary with a weight for each of: {wanted}")
        weights = tuple(float(given[str(label)]) for label in task.labels)
        if not all(isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
            raise SettingsError(f"class_weights must be 0 or more, and not all 0: {self.class_weights}")
        return weights

    def _run(self, config: TrainingConfig, machine: MachineChoice, resume: bool, provenance: Mapping[str, Any]) -> RunFolder | None:
        if self.output is None:
            if resume:
                raise SettingsError("resume needs the run's folder: give it as output")
            return None
        path = Path(self.output)
        if resume and RunFolder(path).can_be_resumed():
            return RunFolder(path)
        own = {k: v for k, v in self.get_params().items() if k in self._own_names() and k not in ("output", "progress")}
        own["model"] = None if self.model is None else str(Path(self.model).absolute() if Path(self.model).is_dir() else self.model)
        own["new_tokens"] = list(self.new_tokens)
        if isinstance(self.class_weights, dict):
            own["class_weights"] = {str(label): weight for label, weight in self.class_weights.items()}
        chosen = {
            "device": machine.device,
            "precision": machine.precision,
            "token_budget": machine.token_budget,
            "threads": machine.threads,
        }
        return RunFolder.create(path, {"classifier": own, "training": {**config.to_dict(), **chosen}, "data": provenance}, replace=resume)

    def _progress(self) -> Progress:
        if isinstance(self.progress, Progress):
            return self.progress
        if not self.progress:
            return Progress()
        from bertworks.estimators.progress import TerminalProgress

        return TerminalProgress()

    def _tell(self, progress: Progress, config: TrainingConfig, machine: MachineChoice, loading: list[str]) -> None:
        progress.facts("model", loading)
        progress.facts("input", self.accounting_.lines())
        if self.validation_accounting_ is not None:
            progress.facts("validation", self.validation_accounting_.lines())
        progress.facts("machine", machine.lines())
        rate = f"learning rate {config.learning_rate:g}, {config.schedule}"
        progress.facts("training", [f"{config.epochs:g} epochs, {config.batch_size} rows a step, {rate}, seed {config.seed}"])

    def _adopt(self, loaded: LoadedModel, tokenizer: Tokenizer, task: TextClassification, machine: MachineChoice) -> None:
        self.loaded_, self.tokenizer_, self.task_, self.machine_ = loaded, tokenizer, task, machine
        self.classes_ = label_array(task.labels)
        self.loading_report_ = loaded.report

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

    def predict_with_accounting(self, texts: Texts) -> tuple[Any, Float[Array, "rows outputs"], Accounting]:
        """Predictions, the probabilities (or numbers) behind them, and what became of the texts."""
        task: TextClassification = self._require("task_")
        outputs, accounting = self._outputs(texts)
        decided = task.decide(outputs)
        return (decided if task.kind == "multi" else np.array(decided, dtype=self.classes_.dtype)), outputs, accounting

    def _outputs(self, texts: Texts) -> tuple[Float[Array, "rows outputs"], Accounting]:
        task, loaded, machine = self._require("task_"), self.loaded_, self.machine_
        rows = text_rows(texts)
        if not rows:
            return np.zeros((0, max(1, len(task.labels)))), Accounting()
        data, accounting = _encode(task, rows, self.tokenizer_)
        loaded.model.to(machine.torch_device).compute_in(machine.dtype)
        scores = score(loaded.model, data, device=machine.torch_device, token_budget=machine.token_budget)
        return task.probabilities(scores[HEAD], data), accounting

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

    # ---- folders

    def save(self, folder: str | Path, *, replace: bool = False) -> Path:
        """Writes a self-contained model folder that `transformers` loads too; returns its path.

        Raises `CheckpointError` where the folder exists, unless `replace`.
        """
        task = self._require("task_")
        model_folder.save(Path(folder), self.loaded_, self.tokenizer_, task, about=getattr(self, "about_", {}), replace=replace)
        return Path(folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        precision: Any = "auto",
        threads: int | None = None,
        verify: bool = False,
        **params: Any,
    ) -> "TextClassifier":
        """Reads a model folder, or a run folder's finished model; also what `transformers` saved.

        `verify` computes the folder's smoke cases again, and raises `CheckpointError` where they differ.
        """
        path = resolve(folder)
        path = path / "model" if (path / "model" / "config.json").exists() else path
        loaded, tokenizer, task, about = model_folder.load(path, verify=verify)
        classifier = cls(model=str(folder), device=device, precision=precision, threads=threads, **params)
        machine = choose(device, precision, params.get("token_budget"), threads, training=False)
        classifier._adopt(loaded, tokenizer, task, machine)
        classifier.about_ = about
        return classifier


def _encode(
    task: TextClassification, rows: list[Any], tokenizer: Tokenizer, labels: list[Any] | None = None
) -> tuple[PackedBatch, Accounting]:
    first, second = model_folder.split_pairs(rows)
    if (second is not None) != task.pairs and rows:
        wanted = "pairs of texts: give (first, second)" if task.pairs else "single texts, not pairs: give strings"
        raise DataError(f"this model reads {wanted}")
    return task.encode(first, second, tokenizer, labels)


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


def _model_limit(folder: Path) -> int:
    return read_description(folder)[2].max_tokens


def _dropout_changes(config: TrainingConfig) -> dict[str, float]:
    """Keys of config.json that a dropout setting overrides."""
    if config.dropout is None:
        return {}
    return dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), config.dropout)
