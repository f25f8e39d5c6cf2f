"""Explanations of estimators' answers: what is asked of the model, and how its text is read."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bertworks.errors import DataError, SettingsError, nearest
from bertworks.estimators.rows import text_rows
from bertworks.explain import Answer, Baseline, Explanation, Question, Reading, Target, Term
from bertworks.inference import score
from bertworks.nn.machine import MachineChoice
from bertworks.nn.model import Model
from bertworks.tasks.text_classification import HEAD, TextClassification
from bertworks.tokenization import Overflow, Tokenizer

if TYPE_CHECKING:
    from bertworks.estimators.classifier import TextClassifier

BaselineName = Literal["pad", "mask", "zero"]
Text = str | tuple[str, str]


def explain_classifier(
    classifier: "TextClassifier",
    text: Text,
    *,
    target: Any = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    tolerance: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Explanation:
    """See `TextClassifier.explain`. `tolerance` is the relative error at which the integral of the gradients is good enough;
    `progress` is told what is being computed."""
    task, machine = classifier.task_, classifier.machine_
    tokenizer, model = classifier.tokenizer_, classifier.loaded_.model
    stands_for_nothing = resolve_baseline(tokenizer, baseline)
    texts = _texts(text)
    if task.pairs is not None and (len(texts) == 2) != task.pairs:
        raise DataError(f"this model reads {'pairs of texts: give (first, second)' if task.pairs else 'single texts, not pairs'}")
    reading = _read(tokenizer, texts, task.max_tokens, task.overflow, task.stride)
    batch = reading.batch
    model.to(machine.torch_device).compute_in(machine.dtype)
    scores = score(model, batch, device=machine.torch_device, token_budget=machine.token_budget)[HEAD]
    outputs = task.probabilities(scores, batch)
    output = chosen_output(task, outputs[0], target)
    chosen = int(np.lexsort((scores[:, output], batch.lengths))[-1]) if window is None else window
    options: dict[str, Any] = {} if tolerance is None else {"tolerance": tolerance}
    return Explanation(
        model,
        machine,
        reading,
        answer=Answer(task.decide(outputs)[0], {str(name): float(p) for name, p in zip(task.labels, outputs[0], strict=False)}),
        question=_question(task, output, batch.lengths / batch.tokens),
        baseline=stands_for_nothing,
        window=chosen,
        progress=progress,
        **options,
    )


def explain_encoder(model: Model, machine: MachineChoice, tokenizer: Tokenizer, text: Text) -> Explanation:
    """See `Encoder.explain`."""
    return Explanation(model, machine, _read(tokenizer, _texts(text), model.spec.max_tokens, "error", None))


def _question(task: TextClassification, output: int, weights: Any) -> Question:
    """The merged score of a document is the mean of its windows' scores, weighted by their tokens (`tasks.merge_windows`)."""
    terms = tuple(Term(window, output, float(weight)) for window, weight in enumerate(weights))
    label = None if task.kind == "number" else str(task.labels[output])
    return Question(
        name="a larger number" if label is None else label,
        score="the predicted number" if label is None else f"the logit of {label}",
        quantity="the predicted number" if label is None else f"P({label})",
        target=Target(HEAD, terms),
        confidence=lambda scores, batch: task.probabilities(scores[HEAD], batch)[:, output],
    )


def chosen_output(task: TextClassification, outputs: Any, target: Any) -> int:
    """Which of a classifier's outputs is explained: that of the label asked for, else the most probable one.

    Raises `SettingsError` where there is no such label.
    """
    if target is None:
        return int(np.argmax(outputs))
    if task.kind == "number":
        raise SettingsError("this model predicts a number: leave out the target, it has no labels")
    names = [str(label) for label in task.labels]
    if str(target) not in names:
        raise SettingsError(f"the model has no label '{target}'.{nearest(str(target), names) or ' Labels: ' + ', '.join(names[:8])}")
    return names.index(str(target))


def _texts(text: Text) -> list[str]:
    (row,) = text_rows([text])
    return list(row) if isinstance(row, tuple) else [row]


def _read(tokenizer: Tokenizer, texts: list[str], max_tokens: int, overflow: Overflow, stride: int | None) -> Reading:
    pairs = texts[1:] or None
    (windows,) = tokenizer.encode_batch(texts[:1], pairs, max_tokens=max_tokens, overflow=overflow, stride=stride)
    reading = Reading.of(texts, windows)
    if not reading.words:
        raise DataError("the text has no word: there is nothing to explain")
    return reading


def resolve_baseline(tokenizer: Tokenizer, name: str) -> Baseline:
    """What stands for no word. Where the vocabulary has no padding token, as GPT-2's, `pad` is zero vectors, and says so.

    Raises `SettingsError` for a name that is none, and for `mask` where the vocabulary has no such token."""
    if name not in get_args(BaselineName):
        raise SettingsError(f"baseline is pad, mask or zero, not '{name}'.{nearest(name, get_args(BaselineName))}")
    if name == "zero":
        return Baseline("zero vectors", None)
    token = tokenizer.padding_id if name == "pad" else tokenizer.mask_id
    if token is None and name == "pad":
        return Baseline("zero vectors (the vocabulary has no pad token)", None)
    if token is None:
        raise SettingsError("the vocabulary has no mask token: choose another baseline (pad or zero)")
    return Baseline(tokenizer.id_to_token(token) or name, token)
