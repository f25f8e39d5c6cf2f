"""`SentenceEncoder`: vectors of texts, what they are compared and searched with, and how they are trained."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from bertworks.accounting import Accounting
from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.embeddings import folder as folders
from bertworks.estimators.embeddings.encoding import Vectors
from bertworks.estimators.embeddings.explanation import explain_vectors
from bertworks.estimators.embeddings.nearness import DOCUMENT_PROMPTS, VectorSearch
from bertworks.estimators.embeddings.training import check_objective, judging, objective_for, teacher_vectors
from bertworks.estimators.explanation import BaselineName
from bertworks.estimators.rows import held_out_columns, text_tuples
from bertworks.evaluation.bootstrap import DEFAULT_REPLICATES
from bertworks.evaluation.retrieval import RetrievalMetrics, ranked_gains
from bertworks.explain import Explanation
from bertworks.inference import LoadedModel, evaluate
from bertworks.inference.vector_models import give_pooler, take_pooler
from bertworks.nn.encoder import Pooler
from bertworks.nn.machine import MachineChoice
from bertworks.spec import Activation, PoolerSpec, Pooling, VectorSpec
from bertworks.tasks.embedding import SentenceEmbedding
from bertworks.tasks.embedding_objective import Distance, EmbeddingObjective, ObjectiveName
from bertworks.tokenization import Overflow
from bertworks.training import TrainingConfig
from bertworks.training.progress import Progress

MakeObjective = Callable[[SentenceEmbedding, VectorSpec], EmbeddingObjective]
_PAIRS_AT_ONCE = 2048
"""Scored pairs that are encoded at once, so that memory does not grow with their number."""


class SentenceEncoder(VectorSearch):
    """Texts as vectors that are near where texts mean the same.

    It encodes at once, as its model was trained, and is a scikit-learn transformer: `fit` learns nothing unless an `objective`
    is given, so that it can stand in a pipeline before a classifier.

    Parameters (besides every field of `TrainingConfig`: epochs, learning_rate, batch_size, seed …):

    - `model`: a folder in sentence-transformers' layout or of a plain encoder, a hub name, or None for the default encoder;
    - `revision`: branch, tag or commit of a hub name;
    - `objective`: what `fit` trains by. "scores": pairs of texts and how similar they are (as STS-B has them). "ranking": rows
      of a text, its partner and negatives if there are any; all partners in a step are negatives of each other, so a
      `batch_size` of hundreds or thousands is good, and memory does not depend on it. "simcse": texts alone. "distillation":
      texts and the vectors of a teacher, or the model `teacher`; of a row of several texts (a sentence and its translations)
      the first is what the teacher reads and all are to have its vector; where that has another number of features and there is
      no `dense`, a linear layer is added. None trains nothing;
    - `pooling`, `layers_from`, `dense`, `activation`, `normalize`: how a vector is made of the tokens' states (`VectorSpec`),
      anew; None takes what the folder says, and for a plain encoder the mean. `dense` is the width of a dense layer, whose
      `activation` may be None, or "identity", too; `layers_from` weighs the layers from that one on (0 is the embedding);
    - `overflow`: what happens to texts longer than `max_tokens`. "window" reads them whole, in overlapping windows, whose
      vectors are averaged by their token counts: so nothing is lost, and texts that fit have the same vectors whatever is
      chosen. "truncate" drops the rest, as sentence-transformers does, and counts it; "head_tail" keeps both ends; "error"
      refuses. None takes what the folder says: "window", unless the model was saved with another;
    - `max_tokens`: longest sequence, None for what the folder says; `stride`: overlap of windows, in tokens;
    - `prompt`, `dimensions`: what `encode` takes where it is not told;
    - `scale`, `symmetric`: of "ranking" and "simcse", see `EmbeddingObjective`; `distance`: of "distillation";
    - `matryoshka`: sizes of the vectors' beginnings that are trained to be good vectors by themselves, beside the whole ones
      (any objective);
    - `score_range`: the scores that mean cosines 0 and 1; None is the lowest and the highest of the training data;
    - `new_tokens`, `output`, `progress`: as in `TextClassifier`.

    >>> from bertworks import SentenceEncoder
    >>> encoder = SentenceEncoder(precision="float32")
    >>> vectors = encoder.encode(["The weather is lovely today.", "It's so sunny outside!"])
    >>> vectors.shape, round(float(encoder.similarity(vectors[:1], vectors[1:])[0, 0]), 2)
    ((2, 256), 0.66)
    """

    _make_objective: MakeObjective
    _pooler: tuple[PoolerSpec | None, Pooler | None]

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        objective: ObjectiveName | None = None,
        pooling: Pooling | Sequence[Pooling] | None = None,
        layers_from: int | None = None,
        dense: int | None = None,
        activation: Activation | Literal["identity"] | None = "tanh",
        normalize: bool | None = None,
        overflow: Overflow | None = None,
        max_tokens: int | None = None,
        stride: int | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        scale: float = 20.0,
        symmetric: bool = False,
        distance: Distance = "cosine",
        teacher: str | Path | None = None,
        matryoshka: Sequence[int] = (),
        score_range: tuple[float, float] | None = None,
        new_tokens: Sequence[str] = (),
        output: str | Path | None = None,
        progress: bool | Progress = True,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.model = model
        self.revision = revision
        self.objective = objective
        self.pooling = pooling
        self.layers_from = layers_from
        self.dense = dense
        self.activation = activation
        self.normalize = normalize
        self.overflow = overflow
        self.max_tokens = max_tokens
        self.stride = stride
        self.prompt = prompt
        self.dimensions = dimensions
        self.scale = scale
        self.symmetric = symmetric
        self.distance = distance
        self.teacher = teacher
        self.matryoshka = matryoshka
        self.score_range = score_range
        self.new_tokens = new_tokens
        self.output = output
        self.progress = progress

    # ---- training

    def fit(
        self,
        texts: Any = None,
        targets: Any = None,
        *,
        validation: tuple[Any, Any] | None = None,
        resume: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Trains by the `objective`; without one it only loads the model, whatever stands in a pipeline beside it.

        `texts` are rows of one text or several, `targets` their scores or a teacher's vectors, where the objective has any.
        `validation` = (rows, targets) is evaluated as training goes on, and the best model is kept: scores make it a measure of
        similarity whatever the objective is, None one of how high partners are ranked.

        Raises `SettingsError` for wrong parameters, `DataError` for data that cannot be learnt from, `Interrupted` after
        Ctrl-C, once the state is saved.
        """
        check_objective(self.objective, self.distance)
        if self.objective is None:
            if validation is not None or resume:
                raise SettingsError("nothing is trained without an objective: choose 'scores', 'ranking', 'simcse' or 'distillation'")
            self._adopt_as_it_is()
            return self
        self.training_config()  # says what is wrong before any text is looked at
        rows = text_tuples([] if texts is None else texts)
        if not rows:
            raise DataError("there are no texts to train on")
        if self.objective == "distillation" and targets is None:
            targets = teacher_vectors(self.teacher, [row[0] for row in rows], self.device, self.precision)
        if self.objective == "distillation" and self.dense is None and np.ndim(targets) == 2:
            self._wanted_width = np.shape(targets)[1]
        columns = held_out_columns(validation, "rows", "targets")
        held, wanted = (None, None) if columns is None else (text_tuples(columns[0]), columns[1])
        if columns is not None and not held:
            raise DataError("validation: there are no texts")
        self._make_objective = lambda task, spec: objective_for(self, task, spec, rows, targets, None if held is None else (held, wanted))
        try:
            return self._train(
                lambda limit: SentenceEmbedding(),  # `_pretrained` makes the objective, which needs the model
                lambda task, tokenizer: task.encode(rows, tokenizer, targets),
                rows=len(rows),
                validation=None if held is None else lambda task, tokenizer: task.encode(held, tokenizer, wanted, judged=True),
                resume=resume,
                provenance=provenance,
            )
        finally:
            for name in ("_make_objective", "_pooler", "_wanted_width"):
                vars(self).pop(name, None)

    def _pretrained(self, folder: Path, make_task: Any, config: TrainingConfig) -> tuple[Any, LoadedModel]:
        task, loaded = self._read(folder, dropout=config.dropout, seed=config.seed)
        self._pooler = loaded.model.spec.pooler, take_pooler(loaded)
        objective = self._make_objective(task, folders.vector_spec(loaded))
        width = folders.vector_spec(loaded).width(loaded.model.spec.hidden)
        objective.check(width)
        if objective.matryoshka and width not in objective.matryoshka:
            objective = replace(objective, matryoshka=(*objective.matryoshka, width))
        return objective, loaded

    def _tell(self, progress: Progress, config: TrainingConfig, machine: MachineChoice, loading: list[str]) -> None:
        super()._tell(progress, config, machine, [*loading, *self._added])

    def _finish(self, task: EmbeddingObjective, loaded: LoadedModel, machine: MachineChoice, held_out: Any) -> tuple[Any, dict[str, Any]]:
        self.objective_ = task
        spec, pooler = self._pooler
        give_pooler(loaded, pooler, spec)
        told = {name: value for name, value in task.settings().items() if name not in ("embedding", "vectors")}
        return task.embedding, {"objective": told}

    # ---- scikit-learn's transformer

    def transform(self, texts: Iterable[str]) -> Vectors:
        """The vectors of texts (`encode`)."""
        rows = text_tuples(texts)
        wrong = next((number for number, row in enumerate(rows) if len(row) != 1), None)
        if wrong is not None:
            raise DataError(f"row {wrong} has {len(rows[wrong])} texts: a vector is of one text")
        return self.encode([row[0] for row in rows])

    def fit_transform(self, texts: Any, targets: Any = None, **options: Any) -> Vectors:
        """`fit`, then `transform` of the same texts."""
        return self.fit(texts, targets, **options).transform(texts)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the features: vector_0, vector_1 …"""
        self._ready()
        return np.array([f"vector_{number}" for number in range(self._size(None))], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return self.objective is None or getattr(self, "task_", None) is not None

    def __sklearn_tags__(self) -> Any:
        utils = sys.modules["sklearn.utils"]
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(preserves_dtype=[]),
            input_tags=utils.InputTags(string=True, two_d_array=False),
            requires_fit=self.objective is not None,
        )

    # ---- what the vectors are worth

    def evaluate(self, texts: Any, targets: Any = None, *, intervals: bool = True) -> dict[str, Any]:
        """Pairs with `targets`: how similarities follow their scores (Spearman, Pearson). Rows without targets: how high each
        row's second text is ranked for its first, and the triplet accuracy where there are negatives.

        Judged are the vectors that `encode` gives: with the encoder's `prompt` and `dimensions`, compared as the model has it.
        Confidence intervals stand under `intervals`, what became of the texts under `accounting`. Of pairs with targets nothing is
        kept but the similarity of each; rows without are encoded all at once, since each partner is ranked among all others.
        """
        rows = text_tuples(texts)
        if not rows:
            raise DataError("evaluation: there are no texts")
        task = self._ready()
        objective = EmbeddingObjective(task, "ranking" if targets is None else "scores", **judging(self, task))
        objective.check(self.width)
        if targets is None:
            parts = iter([objective.encode(rows, self.tokenizer_, judged=True)])
        else:
            parts = objective.encode_pairs(rows, self.tokenizer_, targets, rows_at_once=_PAIRS_AT_ONCE)
        model, machine, seen = self.loaded_.model, self.machine_, Accounting()
        model.to(machine.torch_device).compute_in(machine.dtype)
        judged = _Judged(objective, DEFAULT_REPLICATES if intervals else 0)
        for data, of_part in parts:
            evaluate(model, judged, data, device=machine.torch_device, token_budget=machine.token_budget)  # type: ignore[arg-type]
            seen += of_part
        return {**judged.metrics().compute(), "accounting": seen.to_dict()}

    def evaluate_search(
        self, queries: Sequence[str], corpus: Sequence[str], relevance: Sequence[Mapping[int, float]], *, intervals: bool = True
    ) -> dict[str, Any]:
        """How high what is relevant stands: nDCG@10, MRR@10, MAP@100 and recall (`RetrievalMetrics`). `relevance` gives, for
        each query, the gain of each relevant text by its number in the corpus."""
        if len(queries) != len(relevance):
            raise DataError(f"{len(queries)} queries, but what is relevant is said of {len(relevance)}")
        for row, wanted in enumerate(relevance):
            for number in wanted:
                if not (isinstance(number, int | np.integer) and 0 <= number < len(corpus)):
                    raise DataError(f"query {row} (the first is 0): there is no text {number!r} in a corpus of {len(corpus):,}, from 0 on")
        names = dict(self._ready().prompts)
        document = next((name for name in DOCUMENT_PROMPTS if name in names), None)
        asked, seen = self.encode_with_accounting(queries, prompt="query" if "query" in names else None)
        stored, of_corpus = self.encode_with_accounting(corpus, prompt=document)
        metrics = RetrievalMetrics(replicates=DEFAULT_REPLICATES if intervals else 0)
        metrics.update(*ranked_gains(asked, stored, relevance, by=self._comparison()))
        return {**metrics.compute(), "accounting": (seen + of_corpus).to_dict()}

    def score(self, texts: Any, targets: Any = None) -> float:
        """Spearman's correlation of pairs' similarities with `targets`; nDCG@10 of rows without targets."""
        found = self.evaluate(texts, targets, intervals=False)
        return float(found["ndcg@10" if targets is None else "spearman"])

    # ---- why two texts are alike

    def explain(self, text: str, pair: str | None = None, *, window: int | None = None, baseline: BaselineName = "pad") -> Explanation:
        """The attention maps of a text; with a second one those of both, which are read apart, and why the two are alike: what
        each word of both adds to the similarity of their vectors, and whether that is faithful. All is computed when asked for.

        Each text's words are judged with the other text as it is, and share half of what that text does: all of them add up to the
        similarity less the mean of the two that remain where one of the texts is without words (`explain.Likeness`). A prompt that
        `encode` puts before texts stays where it is.

        `window` is the one whose attention is shown, numbered over both texts; by default the first of each. `baseline` as in
        `TextClassifier.explain`. Raises `SettingsError` for a window that does not exist, or vectors that are compared by a
        distance; `DataError` for a text that has no word or does not fit the model.
        """
        return explain_vectors(self, text, pair, window=window, baseline=baseline)


class _Judged:
    """An objective as a task whose metrics have intervals, and gather all that is evaluated."""

    def __init__(self, objective: EmbeddingObjective, replicates: int) -> None:
        self._metrics = objective.metrics(replicates)
        self.update_metrics = objective.update_metrics

    def metrics(self) -> Any:
        return self._metrics
