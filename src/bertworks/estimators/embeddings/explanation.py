"""Explanations of vectors: attention in one text, or in each of two; and what the words of two add to how near their vectors are."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array, PackedBatch
from bertworks.errors import DataError
from bertworks.estimators.explanation import BaselineName, resolve_baseline
from bertworks.evaluation.nearest import similarities
from bertworks.explain import Answer, Explanation, Likeness, NoAnswer, Question, Reading
from bertworks.inference import score
from bertworks.tasks import Scores
from bertworks.tasks.embedding import HEAD, SentenceEmbedding, merged_vectors
from bertworks.tokenization import Tokenizer

if TYPE_CHECKING:
    from bertworks.estimators.embeddings.sentence_encoder import SentenceEncoder

ALONE = NoAnswer(
    "One text", "a vector is no answer", "one text alone has no similarity", "give a second text (pair) to see why the two are alike"
)
_CALLED = {"cosine": "cosine similarity", "dot": "dot product"}


def explain_vectors(
    encoder: "SentenceEncoder",
    text: str,
    pair: str | None = None,
    *,
    window: int | None = None,
    baseline: BaselineName = "pad",
    **options: Any,
) -> Explanation:
    """See `SentenceEncoder.explain`; `options` are those of `Explanation` (`tolerance`, `progress`)."""
    task = encoder._ready()
    machine, tokenizer, model = encoder.machine_, encoder.tokenizer_, encoder.loaded_.model
    stands_for_nothing = resolve_baseline(tokenizer, baseline)
    given = (text,) if pair is None else (text, pair)
    if not all(isinstance(each, str) for each in given):
        raise DataError("a vector is explained by its text: give one string, or two to see why they are alike")
    reading = reading_of(task, given, tokenizer, task.prompt(encoder.prompt))
    if pair is None:
        return Explanation(model, machine, reading, no_answer=ALONE, window=window, **options)
    near = _Nearness(task, encoder._comparison(), encoder._size(None), reading.batch)
    model.to(machine.torch_device).compute_in(machine.dtype)
    written_as = score(model, reading.batch, device=machine.torch_device, token_budget=machine.token_budget)[HEAD]
    first, second = near.vectors(written_as, reading.batch)
    called = _CALLED[near.comparison]
    return Explanation(
        model,
        machine,
        reading,
        answer=Answer(float(near(first, second)[0]), {}, name=called),
        question=Question(
            name="a greater similarity",
            score=f"the mean {called} of each text to the other as it is",
            quantity=f"the {called}",
            target=Likeness(HEAD, near.sequences, cosine=near.comparison == "cosine", width=near.width),
            confidence=lambda scores, variants: near.without_words(scores, variants, first, second),
        ),
        baseline=stands_for_nothing,
        window=window,
        **options,
    )


def reading_of(task: SentenceEmbedding, texts: tuple[str, ...], tokenizer: Tokenizer, prompt: str) -> Reading:
    """The texts as the model reads them, each by itself. Raises `DataError` where one has no word."""
    windows = task.windows(texts, tokenizer, prompt, offsets=True)
    prompts = [len(task.cased(prompt)) if len(own) == 1 else 0 for own in windows]
    batch, _ = task.encode(texts, tokenizer, prompt)
    cased = [task.cased(text) for text in texts]
    shown = [text if len(text) == len(other) else other for text, other in zip(texts, cased, strict=True)]
    reading = Reading.apart(shown, windows, prompts, batch.targets)
    for number in range(len(texts)):
        if not any(word.part == number for word in reading.words):
            which = f"the {reading.names[number]}" if len(texts) > 1 else "the text"
            raise DataError(f"{which} has no word: there is nothing to explain")
    return reading


class _Nearness:
    """How near vectors of first texts are to those of second ones, row by row."""

    def __init__(self, task: SentenceEmbedding, comparison: str, width: int, batch: PackedBatch) -> None:
        # vectors of length 1, and their beginnings that are made so long again, are compared by their cosine in any case
        self.comparison = "cosine" if task.is_unit else comparison
        self.width = width
        self._is_unit, self._texts = task.is_unit, batch.groups
        self.sequences = tuple(np.flatnonzero(batch.groups == 0).tolist()), tuple(np.flatnonzero(batch.groups == 1).tolist())

    def __call__(self, first: Float[Array, "firsts width"], second: Float[Array, "seconds width"]) -> Float[Array, "rows"]:
        """One of the two may have a single row, which is compared with all of the other."""
        first, second = np.broadcast_arrays(np.atleast_2d(first), np.atleast_2d(second))
        if self.comparison == "cosine":
            return similarities(first, second)
        return np.asarray(np.einsum("rw,rw->r", first, second, dtype=np.float64))

    def vectors(self, scores: Float[Array, "sequences all"], batch: PackedBatch) -> Float[Array, "texts width"]:
        """The vectors of the two texts, or of the two of each of their variants in turn."""
        variants = batch.sequences // len(self._texts)
        numbers = 2 * np.repeat(np.arange(variants), len(self._texts)) + np.tile(self._texts, variants)
        return merged_vectors(scores, numbers, batch.lengths, self._is_unit)[:, : self.width]

    def without_words(
        self, scores: Scores, variants: PackedBatch, first: Float[Array, "width"], second: Float[Array, "width"]
    ) -> Float[Array, "variants"]:
        """The mean of two similarities, as `Likeness` has it: of each shortened text to the other as written."""
        found = self.vectors(scores[HEAD], variants)
        return (self(found[0::2], second) + self(first, found[1::2])) / 2
