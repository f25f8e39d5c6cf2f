"""Vectors compared: similarity, search, paraphrases, translations, labels by their descriptions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from bertworks.batch import Array
from bertworks.errors import DataError, SettingsError
from bertworks.estimators.embeddings.encoding import VectorEncoder, Vectors
from bertworks.estimators.embeddings.quantization import from_bits, from_int8
from bertworks.estimators.embeddings.vector_index import NEIGHBOURS, RECALL, VectorIndex, fingerprint_of, library
from bertworks.estimators.fingerprints import fingerprint_of_model
from bertworks.estimators.rows import text_rows
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
        """How near each of some texts (or vectors) is to each of others: cosines, or dot products where the model has it so.

        Raises `DataError` where vectors have not equally many features.
        """
        one, other = self._floats(first), self._floats(second)
        if one.shape[1] != other.shape[1]:
            raise DataError(f"the first have {one.shape[1]} features, but the second have {other.shape[1]}: encode both in the same way")
        return one @ other.T if self._comparison() == "dot" else unit_vectors(one) @ unit_vectors(other).T

    def search(self, queries: Any, corpus: Any = None, top_k: int = 10, *, index: VectorIndex | None = None) -> Nearest:
        """The `top_k` nearest of a corpus for each query, the nearest first: their numbers, and how near they are.

        Both are texts, or vectors from `encode`; vectors of the corpus may be of any dtype, and lie on the disk
        (`np.load(…, mmap_mode="r")`). All are compared, block by block: beside the corpus itself this takes some dozens of
        megabytes. From some million vectors on, give an `index` from `build_index` in the place of the corpus: it compares a part of
        them, and finds nearly all. Prompts that the model has for queries and documents are put before texts.

        Raises `DataError` for an index that was built with another model.
        """
        if (corpus is None) == (index is None):
            raise SettingsError("give either a corpus to search, or an index of it")
        names = dict(self._ready().prompts)
        if index is not None and index.facts.model != self.fingerprint:
            raise DataError("the index was built with another model, or other settings of it: build it anew (build_index)")
        asked = self._floats(queries, prompt="query" if "query" in names else None)
        if index is not None:
            return index.search(asked, top_k, threads=self.machine_.threads)
        stored = self._vectors(corpus, self._document_prompt())
        return nearest_vectors(asked, stored, top_k, by=self._comparison(), decode=self._decode(stored, asked.shape[1]))

    def build_index(self, corpus: Any, *, recall: float = RECALL, neighbours: int = NEIGHBOURS) -> VectorIndex:
        """An index of texts (or of vectors from `encode`, of any dtype), by which `search` needs not compare all of them.

        It visits as many of its cells as it takes to find the share `recall` of the `neighbours` nearest, as measured on vectors of
        the corpus; what it finds has its exact similarity. `VectorIndex.save` and `load` keep it in a file. `vector_index` says more
        of the method, and what is raised.
        """
        library()
        by = self._comparison()
        given = corpus if isinstance(corpus, np.ndarray) and corpus.dtype.kind in "fiu" else text_rows(corpus)
        vectors, source = self._vectors(given, self._document_prompt()), fingerprint_of(given)
        width = min(self._size(None), 8 * vectors.shape[1]) if vectors.dtype == np.uint8 else None
        options: dict[str, Any] = {"by": by, "decode": self._decode(vectors, width), "recall": recall, "neighbours": neighbours}
        return VectorIndex.build(vectors, **options, model=self.fingerprint, source=source, threads=self.machine_.threads)

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the vectors of texts, but for the precision: the model, its tokenizer, and how texts are read."""
        task = replace(self._ready(), lows=None, highs=None)
        parts = (fingerprint_of_model(self.loaded_.model), self.tokenizer_.fingerprint(), repr(task), self.prompt, self._size(None))
        return fingerprint_of([str(part) for part in parts])

    def _document_prompt(self) -> str | None:
        names = dict(self._ready().prompts)
        return next((name for name in DOCUMENT_PROMPTS if name in names), None)

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
            return np.atleast_2d(given)
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
