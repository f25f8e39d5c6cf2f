"""What a `SentenceEncoder` is to be trained by, from its parameters and the data."""

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError, nearest
from bertworks.evaluation.nearest import Comparison
from bertworks.spec import VectorSpec
from bertworks.tasks.embedding import SentenceEmbedding
from bertworks.tasks.embedding_objective import Distance, EmbeddingObjective, Judgement, ObjectiveName, score_range

if TYPE_CHECKING:
    from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder

Rows = list[tuple[Any, ...]]


def check_objective(objective: Any, distance: Any) -> None:
    """Raises `SettingsError` where there is no such objective, or no such distance."""
    for name, value, known in (("objective", objective, get_args(ObjectiveName)), ("distance", distance, get_args(Distance))):
        if value is not None and value not in known:
            raise SettingsError(f"{name} must be one of {', '.join(known)}, not {value!r}.{nearest(str(value), known)}")


def objective_for(
    encoder: "SentenceEncoder",
    task: SentenceEmbedding,
    spec: VectorSpec,
    rows: Rows,
    targets: Any,
    validation: tuple[Rows, Any] | None,
) -> EmbeddingObjective:
    """The objective of a training. Raises `DataError` where scores lie outside of `score_range`, or all are equal."""
    kind = encoder.objective
    assert kind is not None
    if kind in ("ranking", "simcse") and targets is not None and len(targets):
        raise DataError(f"the objective '{kind}' has no targets; to train by scores choose objective='scores'")
    wanted = None if validation is None else validation[1]
    judged_by: Judgement | None = None
    if validation is not None:
        judged_by = "ranking" if wanted is None else "scores" if np.ndim(wanted) == 1 else "teacher"
    low, high = 0.0, 1.0
    if kind == "scores":
        low, high = _range(encoder.score_range, targets, len(rows))
    elif judged_by == "scores":
        low, high = score_range(np.asarray(wanted, dtype=np.float64))
    whole = list(encoder.matryoshka)
    return EmbeddingObjective(
        task,
        kind,
        judged_by,
        scale=float(encoder.scale),
        symmetric=bool(encoder.symmetric),
        matryoshka=tuple(whole),
        distance=encoder.distance,
        lowest=low,
        highest=high,
        teacher_width=np.shape(targets)[1] if kind == "distillation" and np.ndim(targets) == 2 else None,
        vectors=spec,
        **judging(encoder, task),
    )


def judging(encoder: "SentenceEncoder", task: SentenceEmbedding) -> dict[str, Any]:
    """What an `EmbeddingObjective` needs to know to judge the vectors that `encode` gives. Models whose vectors are compared by a
    distance, which is not computed here, are judged by cosines."""
    by: Comparison = "dot" if task.similarity == "dot" else "cosine"
    return {"prompt": encoder.prompt, "size": encoder.dimensions, "by": by}


def _range(chosen: Any, targets: Any, rows: int) -> tuple[float, float]:
    if targets is None or len(targets) != rows:
        raise DataError(f"{rows} pairs but {0 if targets is None else len(targets)} scores: give a score for each pair")
    try:
        found = score_range(np.asarray(targets, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, DataError) else DataError("the scores must be numbers, one for each pair") from None
    if chosen is None:
        return found
    low, high = map(float, chosen)
    if not low <= found[0] <= found[1] <= high:
        raise DataError(f"scores reach from {found[0]:g} to {found[1]:g}, outside of the score_range {low:g} to {high:g}")
    return low, high


def teacher_vectors(teacher: Any, texts: list[Any], device: str, precision: Any) -> Float[Array, "rows width"]:
    """The vectors of texts by another model. Raises `SettingsError` where none is named."""
    from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder

    if teacher is None:
        raise SettingsError("distillation needs the vectors of a teacher: give them as targets, or name the model as teacher")
    vectors: Array = SentenceEncoder(teacher, device=device, precision=precision).encode(texts)
    return vectors
