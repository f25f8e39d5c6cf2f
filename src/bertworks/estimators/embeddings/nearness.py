"""Vectors compared: similarity, search, paraphrases, translations, labels by their descriptions."""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.embeddings.encoding import VectorEncoder, Vectors
from bertworks.estimators.embeddings.quantization import from_bits, from_int8
from bertworks.evaluation.nearest import Comparison, Decode, Nearest, Pair, bitext_pairs, nearest_pairs, nearest_vectors, unit_vectors

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""What prompts for the texts of a corpus are called, the usual name first."""


class ZeroShotAnswers(NamedTuple):
    """What texts were sorted into by the nearness to descriptions."""

    labels: Array
    """The label of each text."""
    scores: Float[Array, "texts labels"]
    """The similarity of each text to each label's description, in the order of the descriptions."""


class VectorSearch(VectorEncoder):
    """What of a `SentenceEncoder` compares vectors."""

    def similarity(self, first: Any, second: Any) -> Float[Array, "firsts seconds"]:
        """How near each of some texts (or vectors) is to each of others: cosines, or dot products where the model has it so."""
        one, other = self._floats(first), self._floats(second)
        return one @ other.T if self._comparison() == "dot" else unit_vectors(one) @ unit_vectors(other).T

    def search(self, queries: Any, corpus: Any, top_k: int = 10) -> Nearest:
        """The `top_k` nearest of a corpus for each query, the nearest first: their numbers, and how near they are.

        Both are texts, or vectors from `encode`; vectors of the corpus may be of any dtype, and lie on the disk
        (`np.load(…, mmap_mode="r")`). All are compared, block by block: beside the corpus itself this takes some dozens of
        megabytes. From some million vectors on, an index library is faster: `encode` gives it its vectors. Prompts that the
        model has for queries and documents are put before texts.
        """
        names = dict(self._ready().prompts)
        asked = self._floats(queries, prompt="query" if "query" in names else None)
        stored = self._vectors(corpus, next((name for name in DOCUMENT_PROMPTS if name in names), None))
        return nearest_vectors(asked, stored, top_k, by=self._comparison(), decode=self._decode(stored, asked.shape[1]))

    def mine_paraphrases(self, texts: Any, most: int = 1000, *, least: float = 0.0) -> list[Pair]:
        """The `most` nearest pairs among texts (or vectors), of at least the similarity `least`. All pairs are compared."""
        vectors = self._vectors(texts)
        return nearest_pairs(vectors, most, least=least, by=self._comparison(), decode=self._decode(vectors))

    def mine_bitext(self, first: Any, second: Any, *, neighbours: int = 4, least: float = 1.0) -> list[Pair]:
        """Sentences of two languages that are translations of each other, by the margin of Artetxe & Schwenk 2019."""
        return bitext_pairs(self._floats(first), self._floats(second), neighbours=neighbours, least=least)

    def zero_shot(self, texts: Any, descriptions: Mapping[Any, str]) -> ZeroShotAnswers:
        """Each text's label, which is the one whose description is nearest; nothing is learnt of labelled texts."""
        if len(descriptions) < 2:
            raise DataError("zero_shot needs two labels at least, each with a description")
        labels = np.array(list(descriptions), dtype=object)
        scores = self.similarity(texts, list(descriptions.values()))
        return ZeroShotAnswers(labels[scores.argmax(axis=1)], scores)

    def _comparison(self) -> Comparison:
        kind = self._ready().similarity
        if kind not in get_args(Comparison):
            raise SettingsError(f"this model's vectors are compared by their {kind} distance, which bertworks does not compute: use encode")
        return kind  # type: ignore[return-value]

    def _vectors(self, given: Any, prompt: str | None = None) -> Vectors:
        if isinstance(given, np.ndarray) and given.dtype.kind in "fiu":
            return given
        return self.encode([given] if isinstance(given, str) else given, prompt=prompt)

    def _floats(self, given: Any, prompt: str | None = None) -> Float[Array, "rows width"]:
        vectors = self._vectors(given, prompt)
        decode = self._decode(vectors)
        return np.asarray(vectors if decode is None else decode(vectors), dtype=np.float32)

    def _decode(self, vectors: Vectors, width: int | None = None) -> Decode | None:
        """From vectors as they are stored to numbers."""
        self._ready()
        if vectors.dtype == np.int8:
            lows, highs = self._ranges(vectors.shape[1])
            return lambda some: from_int8(some, lows, highs)
        if vectors.dtype == np.uint8:
            return lambda some: from_bits(some, width)
        return None
