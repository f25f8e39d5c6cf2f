"""`FewShotClassifier`: a classifier from a handful of examples of each class (SetFit; Tunstall et al. 2022)."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from bertworks import __version__
from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import open_tensors, read_json, write_json, write_tensors
from bertworks.errors import CheckpointError, DataError, SettingsError
from bertworks.estimators.assessment import Assessment, assess
from bertworks.estimators.base import Estimator
from bertworks.estimators.embeddings.few_shot_explanation import explain_few_shot
from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.model_folder import check_cases, smoke_outputs, write_cases
from bertworks.estimators.rows import label_array, label_rows, text_rows
from bertworks.estimators.stored_task import FEW_SHOT
from bertworks.estimators.task_estimator import model_path
from bertworks.evaluation.baselines import logistic_weights
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.explain import Explanation
from bertworks.inference.models import StoredDtype
from bertworks.tasks.text_classification import TextClassification, in_order, infer
from bertworks.tokenization import Overflow, Tokenizer
from bertworks.training.progress import Progress

_HEAD, ENCODER = "head.safetensors", "encoder"
_EPOCHS, _RATE = 1.0, 2e-5  # Tunstall et al. 2022, appendix A
_NEVER = -1e4
"""The bias of a class that no text has: of its probability nothing is left in float32."""


class FewShotClassifier(Estimator):
    """Learns classes from a few texts each: the encoder is first taught, by pairs of these texts, that those of a class are alike
    and others are not; then a logistic regression learns the classes from the vectors.

    Parameters (besides every field of `TrainingConfig`; `epochs` is 1 and `learning_rate` 2e-5 where they are not given):

    - `model`, `revision`: the sentence encoder to begin with, None for the default encoder;
    - `pairs_per_text`: pairs of each kind (alike, unlike) that every text is in; 0 leaves the encoder as it is;
    - `inverse_penalty`: of the logistic regression (scikit-learn's C);
    - `overflow`, `max_tokens`, `stride`: of long texts, as in `SentenceEncoder`;
    - `output`: a folder for the run that teaches the encoder, which can be resumed then;
    - `progress`: whether the terminal shows what goes on; or who watches it instead.

    Learnt: `classes_`, `encoder_`, `weights_`, `bias_`, `accounting_`, `about_`.

    >>> from bertworks import FewShotClassifier
    >>> FewShotClassifier(pairs_per_text=5)
    FewShotClassifier(pairs_per_text=5)
    """

    settings_table = "few_shot"
    _estimator_type = "classifier"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        pairs_per_text: int = 20,
        inverse_penalty: float = 1.0,
        overflow: Overflow | None = None,
        max_tokens: int | None = None,
        stride: int | None = None,
        output: str | Path | None = None,
        progress: bool | Progress = True,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.model = model
        self.revision = revision
        self.pairs_per_text = pairs_per_text
        self.inverse_penalty = inverse_penalty
        self.overflow = overflow
        self.max_tokens = max_tokens
        self.stride = stride
        self.output = output
        self.progress = progress

    def fit(self, texts: Iterable[str], labels: Iterable[Any], *, classes: Iterable[Any] = (), resume: bool = False) -> Self:
        """Learns from texts and their labels. `classes` are as in `TextClassifier.fit`; one that no text has gets no probability. With
        `resume`, a training that was interrupted in `output` goes on, and ends in the same bits. Raises `DataError` where fewer than
        two classes occur or a text has none, `Interrupted` after Ctrl-C."""
        if not isinstance(self.pairs_per_text, int) or self.pairs_per_text < 0:
            raise SettingsError(f"pairs_per_text is a whole number, 0 or more, not {self.pairs_per_text!r}")
        if not self.inverse_penalty > 0:
            raise SettingsError(f"inverse_penalty must be above 0, not {self.inverse_penalty!r}")
        config = self.training_config()
        rows, answers = _labelled(texts, labels)
        own = infer(answers, kind="single")
        names = in_order({*own.labels, *label_rows(classes)})
        numbers = own.truth(answers)
        settings = {**config.to_dict(), "epochs": config.epochs or _EPOCHS, "learning_rate": config.learning_rate or _RATE}
        options: dict[str, Any] = {"model": self.model, "revision": self.revision, "progress": self.progress}
        options |= {"overflow": self.overflow, "max_tokens": self.max_tokens, "stride": self.stride}
        if self.pairs_per_text:
            encoder = SentenceEncoder(objective="scores", score_range=(0.0, 1.0), output=self.output, **options, **settings)
            self.encoder_ = encoder.fit(*contrastive_pairs(rows, numbers, self.pairs_per_text, config.seed), resume=resume)
        else:
            self.encoder_ = SentenceEncoder(**options, **settings)
        vectors, self.accounting_ = self.encoder_.encode_with_accounting(rows)
        learnt = [names.index(label) for label in own.labels]
        self.weights_ = np.zeros((len(names), vectors.shape[1]), dtype=np.float32)
        self.bias_ = np.full(len(names), _NEVER, dtype=np.float32)
        self.weights_[learnt], self.bias_[learnt] = logistic_weights(vectors, numbers, inverse_penalty=self.inverse_penalty)
        self.classes_ = label_array(names)
        taught = self.encoder_.about_ if self.pairs_per_text else {}
        self.about_: dict[str, Any] = {"rows": len(rows), "training": taught.get("training", {}), "steps": taught.get("steps", 0)}
        return self

    @property
    def task_(self) -> TextClassification:
        """What the model does, as the classifiers of texts have it."""
        self._require("classes_")
        reading = self.encoder_.task_
        options: dict[str, Any] = {"max_tokens": reading.max_tokens, "overflow": reading.overflow, "stride": reading.stride}
        return TextClassification("single", tuple(self.classes_.tolist()), **options)

    @property
    def tokenizer_(self) -> Tokenizer:
        """The encoder's."""
        return self.encoder_.tokenizer_

    def predict_proba(self, texts: Iterable[str]) -> Float[Array, "rows classes"]:
        """The probability of each class, columns in the order of `classes_`."""
        return self._outputs(text_rows(texts))[0]

    def _outputs(self, texts: Sequence[Any], first_row: int = 0) -> tuple[Float[Array, "rows classes"], Accounting]:
        self._require("classes_")
        vectors, seen = self.encoder_.encode_with_accounting(texts, first_row=first_row)
        return self._probabilities(vectors), seen

    def _probabilities(self, vectors: Float[Array, "rows width"]) -> Float[Array, "rows classes"]:
        scores = vectors @ self.weights_.T + self.bias_
        shifted: Array = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def _smoke_outputs(self, encoder: SentenceEncoder, inputs: list[Any]) -> list[list[float]]:
        """The probability of each class of a few inputs, in float32 on the CPU, whatever the encoder computes in otherwise."""
        vectors = smoke_outputs(encoder.loaded_, encoder.tokenizer_, encoder.task_, inputs)
        return self._probabilities(np.array(vectors, dtype=np.float32)).tolist()  # type: ignore[no-any-return]

    def predict(self, texts: Iterable[str]) -> Array:
        """The class of each text."""
        return self.predict_with_accounting(texts)[0]

    def predict_with_accounting(
        self, texts: Iterable[str], *, first_row: int = 0
    ) -> tuple[Array, Float[Array, "rows classes"], Accounting]:
        """The class of each text, the probabilities behind it, and what became of the texts; `first_row` as in `TextClassifier`."""
        probabilities, seen = self._outputs(text_rows(texts), first_row)
        classes: Array = self.classes_[probabilities.argmax(axis=1)]
        return classes, probabilities, seen

    def evaluate(self, texts: Iterable[str], labels: Iterable[Any], *, intervals: bool = True) -> dict[str, Any]:
        """All metrics of classification, with 95 % intervals, and the accounting of the texts; see `TextClassifier.evaluate`."""
        found = self.assess(texts, labels, replicates=DEFAULT_REPLICATES if intervals else 0, mistakes=0)
        return {**found.metrics, "accounting": found.accounting.to_dict()}

    def assess(self, texts: Iterable[str], labels: Iterable[Any], **options: Any) -> Assessment:
        """Metrics, the worst mistakes and, on request, a file of all answers; `options` are those of `assessment.assess`."""
        rows, answers = _labelled(texts, labels)
        return assess(self.task_, self._outputs, rows, answers, **options)

    def score(self, texts: Iterable[str], labels: Iterable[Any]) -> float:
        """Accuracy."""
        rows, answers = _labelled(texts, labels)
        return float(np.mean([a == b for a, b in zip(self.predict(rows).tolist(), answers, strict=True)]))

    def explain(self, text: str, *, target: Any = None, window: int | None = None, baseline: BaselineName = "pad") -> Explanation:
        """Why the model gives a text its class: attention maps, what each word adds to the logit of the class, and whether that
        is faithful. All is computed when it is asked for.

        The logit is w · v + b of the logistic regression, v being the text's vector; its integrated gradients (Sundararajan et
        al. 2017) go through the regression and the encoder to the words. A prompt that the encoder puts before texts stays.

        `target` is the class to explain, the most probable one by default. `window` and `baseline` are as in
        `TextClassifier.explain`. Raises `SettingsError` for a class or window that does not exist, `DataError` for a text that
        has no word or does not fit the encoder.
        """
        self._require("classes_")
        return explain_few_shot(self, text, target=target, window=window, baseline=baseline)

    def save(
        self, folder: str | Path, *, replace: bool = False, dtype: StoredDtype = "float32", max_shard_bytes: int | None = None
    ) -> Path:
        """Writes a folder for `load`, with smoke cases of its own beside those of the encoder; the sentence encoder in it is one by
        itself, stored as `dtype` and `max_shard_bytes` say (as in every estimator's `save`). Raises `CheckpointError` where the
        folder exists, unless `replace`.
        """
        self._require("classes_")
        with atomic_folder(Path(folder), replace=replace) as writing:
            self.encoder_.save(writing / ENCODER, dtype=dtype, max_shard_bytes=max_shard_bytes)
            write_tensors(writing / _HEAD, {"weight": self.weights_, "bias": self.bias_})
            settings = {"kind": "single", "labels": self.classes_.tolist()}
            about = {"bertworks": __version__, "task": self.settings_table, "settings": settings, "about": getattr(self, "about_", {})}
            write_json(writing / FEW_SHOT, about)
            # a rounded encoder answers otherwise than the one that it was rounded from
            encoder = self.encoder_ if dtype == "float32" else SentenceEncoder.load(writing / ENCODER)
            write_cases(writing, encoder.task_.smoke_inputs(), partial(self._smoke_outputs, encoder))
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path, *, verify: bool = False, **params: Any) -> Self:
        """Reads what `save` wrote, or a run folder's finished model; `params` say how to compute (device, precision, threads).
        `verify` computes the smoke cases of the encoder and those of the whole again, and raises `CheckpointError` where they differ.
        """
        path = model_path(folder)
        stored = read_json(path / FEW_SHOT)
        settings, about = (value if isinstance(value, dict) else {} for value in (stored.get("settings"), stored.get("about")))
        labels = settings.get("labels")
        with open_tensors(path / _HEAD) as files:
            arrays = {name: np.array(files.read(name)) for name in files}
        found = cls(model=str(path / ENCODER), **params)
        found.encoder_ = SentenceEncoder.load(path / ENCODER, verify=verify, **params)
        shapes = {name: array.shape for name, array in arrays.items()}
        count = len(labels) if isinstance(labels, list) else 0
        if shapes != {"weight": (count, found.encoder_.width), "bias": (count,)}:
            raise CheckpointError(f"{path}: {_HEAD} and {FEW_SHOT} do not belong together: copy the folder again")
        found.weights_, found.bias_, found.classes_ = arrays["weight"], arrays["bias"], label_array(labels)
        found.about_ = about
        if verify:
            check_cases(path, partial(found._smoke_outputs, found.encoder_))
        return found


def _labelled(texts: Iterable[str], labels: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """Raises `DataError` where there is not a label for each text."""
    rows, answers = text_rows(texts), label_rows(labels)
    if len(rows) != len(answers):
        raise DataError(f"{len(rows)} texts but {len(answers)} labels: give a label for each text")
    return rows, answers


def contrastive_pairs(texts: Sequence[str], classes: Array, pairs_per_text: int, seed: int) -> tuple[list[tuple[str, str]], list[float]]:
    """For each text so many pairs with others of its class, scored 1, and with texts of other classes, scored 0.

    A text that is alone in its class is paired with itself: under dropout that is no idle pair.

    >>> contrastive_pairs(["a", "b"], np.array([0, 1]), 1, seed=0)
    ([('a', 'a'), ('a', 'b'), ('b', 'b'), ('b', 'a')], [1.0, 0.0, 1.0, 0.0])
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    pairs: list[tuple[str, str]] = []
    for number, text in enumerate(texts):
        alike = np.flatnonzero((classes == classes[number]) & (np.arange(len(texts)) != number))
        others = np.flatnonzero(classes != classes[number])
        for _ in range(pairs_per_text):
            near = number if not len(alike) else int(draw.choice(alike))
            pairs += [(text, texts[near]), (text, texts[int(draw.choice(others))])]
    return pairs, [1.0, 0.0] * (len(pairs) // 2)
