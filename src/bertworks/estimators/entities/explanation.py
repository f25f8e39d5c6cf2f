"""Explanations of entities: what the words of a text add to the scores of the tags of that very span."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.data.tag_schemes import NAMELESS, OUTSIDE, Span, parse, tags_of
from bertworks.errors import DataError, SettingsError, nearest
from bertworks.estimators.explanation import BaselineName, resolve_baseline
from bertworks.explain import Answer, Explanation, Question, Target, Term
from bertworks.explain import Reading as TextReading
from bertworks.explain.question import ORIGINAL_TOKEN
from bertworks.tasks import Scores
from bertworks.tasks.sentence_reading import Reading, Sentence
from bertworks.tasks.tag_paths import log_probabilities
from bertworks.tasks.tagging import HEAD, Entity, Tagging

if TYPE_CHECKING:
    from bertworks.estimators.entities.recognizer import EntityRecognizer

_SHOWN = 8
"""Entities that are told beside the one that is explained."""


def explain_entity(
    recognizer: "EntityRecognizer",
    text: str,
    *,
    target: str | None = None,
    window: int | None = None,
    baseline: BaselineName = "pad",
    **options: Any,
) -> Explanation:
    """See `EntityRecognizer.explain`; `options` are those of `Explanation` (`tolerance`, `progress`)."""
    task: Tagging = recognizer.task_
    machine, tokenizer, model = recognizer.machine_, recognizer.tokenizer_, recognizer.loaded_.model
    stands_for_nothing = resolve_baseline(tokenizer, baseline)
    if not isinstance(text, str):
        raise DataError("an entity is explained in its text: give one string")
    (windows,) = tokenizer.encode_batch([text], max_tokens=task.max_tokens, overflow=task.overflow, stride=task.stride)
    shown = TextReading.of([text], windows)
    if not shown.words:
        raise DataError("the text has no word: there is nothing to explain")
    batch, readings, _ = task.encode([Sentence(text)], tokenizer)
    scores = task.word_scores(readings, recognizer._scores(batch)[HEAD])
    entities = sorted(task.entities(readings, scores)[0], key=lambda entity: -entity.score)
    span = _chosen(task, text, readings[0], entities, target)
    places = readings[0].places[span.start : span.end]
    tags = tags_of([span], len(readings[0].places), task.scheme)[span.start : span.end]
    start, end = int(readings[0].spans[span.start, 0]), int(readings[0].spans[span.end - 1, 1])
    sequence = int(np.searchsorted(batch.offsets, places[0], side="right")) - 1
    told = [f"{entity.text} → {entity.label}" for entity in entities]
    probability = task.lattices(scores)[0].span_probability(span)
    name = f"{text[start:end]} → {span.label or NAMELESS}"
    return Explanation(
        model,
        machine,
        shown,
        answer=Answer(name, {name: probability, **dict(zip(told[:_SHOWN], (e.score for e in entities), strict=False))}),
        question=_question(task, name, tags, places, batch, readings[0].places),
        baseline=stands_for_nothing,
        window=sequence if window is None else window,
        **options,
    )


def _question(task: Tagging, name: str, tags: list[str], places: Array, batch: PackedBatch, read: Array) -> Question:
    """The mean of the logits of the span's tags, each at the first piece of its word; `read` are the places of all words."""
    terms = []
    for tag, place in zip(tags, places.tolist(), strict=True):
        sequence = int(np.searchsorted(batch.offsets, place, side="right")) - 1
        if tag not in task.labels:
            raise SettingsError(f"the model has no tag '{tag}'.{nearest(tag, task.labels)}")
        terms.append(Term(sequence, task.labels.index(tag), 1 / len(tags), row=place - int(batch.offsets[sequence])))
    return Question(
        name=name,
        score=f"the mean logit of {' '.join(tags)}",
        quantity=f"P({name})",
        target=Target(HEAD, tuple(terms)),
        confidence=_confidence(task, parse(tags[0], task.scheme).type, places, read),
    )


def _confidence(task: Tagging, label: str, places: Array, read: Array) -> Callable[[Scores, PackedBatch], Float[Array, "groups"]]:
    """The mean, over the words of a span, of the probability of any tag of its label; 0 for a word that was removed. With
    transitions it is that among all sequences of tags of the words that are left."""
    own = [i for i, tag in enumerate(task.labels) if parse(tag, task.scheme).type == label and tag != OUTSIDE]

    def confidence(scores: Scores, batch: PackedBatch) -> Float[Array, "groups"]:
        group = np.repeat(np.unique(batch.groups, return_inverse=True)[1], batch.lengths)
        probabilities = log_probabilities(scores[HEAD])
        if task.transitions:
            left = np.flatnonzero(np.isin(batch.token_targets[ORIGINAL_TOKEN], read))
            rows = np.split(left, np.flatnonzero(np.diff(group[left])) + 1)
            marginals = np.concatenate([lattice.marginals() for lattice in task.lattices([probabilities[row] for row in rows])])
            with np.errstate(divide="ignore"):
                probabilities[left] = np.log(marginals)
        of_token = np.exp(probabilities)[:, own].sum(axis=1)
        wanted = np.isin(batch.token_targets[ORIGINAL_TOKEN], places)
        return np.bincount(group[wanted], weights=of_token[wanted], minlength=int(group.max(initial=-1)) + 1) / len(places)

    return confidence


def _chosen(task: Tagging, text: str, reading: Reading, entities: list[Entity], target: str | None) -> Span:
    """The words, of those that are read, and the label that are explained."""
    words, _, label = (target or "").rpartition("=")
    if target is None:
        if not entities:
            raise DataError("the model finds no entity in this text: name some of its words and a label to explain (target='words=label')")
        return _words(reading, entities[0].start, entities[0].end, _label(task, entities[0].label))
    for entity in entities:
        if target in (entity.text, entity.label):
            return _words(reading, entity.start, entity.end, _label(task, entity.label))
    if words:
        start = text.find(words)
        if start < 0:
            raise DataError(f"the text has no words {words!r:.60}: give them as they stand there")
        return _words(reading, start, start + len(words), _label(task, label))
    found = ", ".join(f"{entity.text} ({entity.label})" for entity in entities[:_SHOWN]) or "none"
    raise SettingsError(f"the model finds no entity '{target}'; it finds: {found}. For other words give words=label")


def _label(task: Tagging, label: str) -> str:
    """A label as the model has it. Raises `SettingsError` where it has none of that name."""
    known = [name or NAMELESS for name in task.types]
    if label not in known:
        raise SettingsError(f"the model has no label '{label}'.{nearest(label, known) or ' Labels: ' + ', '.join(known[:8])}")
    return task.types[known.index(label)]


def _words(reading: Reading, start: int, end: int, label: str) -> Span:
    """The words that some characters touch."""
    first = int(np.searchsorted(reading.spans[:, 1], start, side="right"))
    last = int(np.searchsorted(reading.spans[:, 0], end, side="left"))
    if first >= last:
        raise DataError("the model reads nothing of these words: there is nothing to explain")
    return Span(first, last, label)
