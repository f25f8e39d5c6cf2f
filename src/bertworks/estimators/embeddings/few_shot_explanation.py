"""Explanations of few-shot classifiers: what the words of a text add to what the logistic regression says of its vector."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError
from bertworks.estimators.embeddings.explanation import reading_of
from bertworks.estimators.explanation import BaselineName, chosen_output, resolve_baseline
from bertworks.explain import Answer, Explanation, Projection, Question
from bertworks.tasks import Scores
from bertworks.tasks.embedding import HEAD

if TYPE_CHECKING:
    from bertworks.estimators.embeddings.few_shot import FewShotClassifier


def explain_few_shot(
    classifier: "FewShotClassifier",
    text: str,
    *,
    target: Any = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    **options: Any,
) -> Explanation:
    """See `FewShotClassifier.explain`; `options` are those of `Explanation` (`tolerance`, `progress`)."""
    encoder = classifier.encoder_
    task = encoder._ready()
    stands_for_nothing = resolve_baseline(encoder.tokenizer_, baseline)
    if not isinstance(text, str):
        raise DataError("a few-shot classifier reads single texts: give one string")
    reading = reading_of(task, (text,), encoder.tokenizer_, task.prompt(encoder.prompt))
    lengths = reading.batch.lengths

    def probabilities(scores: Scores, batch: PackedBatch) -> Float[Array, "groups classes"]:
        return classifier._probabilities(task.vectors(scores[HEAD], batch))

    scores = encoder._scores(reading.batch)
    (of_label,) = probabilities(scores, reading.batch)
    output = chosen_output(classifier.task_, of_label, target)
    names = [str(label) for label in classifier.classes_.tolist()]
    weights = classifier.weights_[output]
    return Explanation(
        encoder.loaded_.model,
        encoder.machine_,
        reading,
        answer=Answer(names[int(of_label.argmax())], dict(zip(names, of_label.tolist(), strict=True))),
        question=Question(
            name=names[output],
            score=f"the logit of {names[output]}",
            quantity=f"P({names[output]})",
            target=Projection(HEAD, weights, float(classifier.bias_[output]), unit=task.is_unit),
            confidence=lambda scores, variants: probabilities(scores, variants)[:, output],
        ),
        baseline=stands_for_nothing,
        window=int(np.lexsort((scores[HEAD] @ weights, lengths))[-1]) if window is None else window,
        **options,
    )
